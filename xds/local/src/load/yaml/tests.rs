use std::time::{Duration, Instant};

use super::*;

/// More than the tests need that are not about it.
const PLENTY: usize = 1 << 30;

fn parse(text: &str) -> Result<Vec<Node>, Error> {
    super::parse(text, &mut Budget::new(PLENTY))
}

fn one(text: &str) -> Node {
    let mut documents = parse(text).unwrap();
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

fn entry<'a>(node: &'a Node, key: &str) -> &'a Node {
    let Content::Map(entries) = &node.content else { panic!("{node:?} is no map") };
    &entries.iter().find(|entry| entry.key == key).unwrap().value
}

fn error(text: &str) -> (u32, String) {
    let error = parse(text).unwrap_err();
    (error.line, error.message)
}

#[test]
fn scalars_have_the_types_of_the_core_schema() {
    let types = |text: &str| match one(&format!("a: {text}")).content {
        Content::Map(mut entries) => match entries.remove(0).value.content {
            Content::Null => "null".to_owned(),
            Content::Bool(value) => format!("bool {value}"),
            Content::Integer(number) => format!("integer {number}"),
            Content::Float(_) => "float".to_owned(),
            Content::String(text) => format!("text {text}"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    for (text, expected) in [
        ("~", "null"),
        ("", "null"),
        ("true", "bool true"),
        ("False", "bool false"),
        ("-12", "integer -12"),
        ("0x1F", "integer 31"),
        ("1.0", "float"),
        ("1e3", "float"),
        ("1e400", "text 1e400"),
        ("-1e400", "text -1e400"),
        ("1.2.3", "text 1.2.3"),
        ("127.0.0.1", "text 127.0.0.1"),
        ("infinity", "text infinity"),
        ("v1", "text v1"),
        ("'1'", "text 1"),
        ("\"true\"", "text true"),
        ("!!str 5", "text 5"),
        ("yes", "text yes"),
    ] {
        assert_eq!(types(text), expected, "{text}");
    }
}

#[test]
fn every_value_knows_its_line() {
    let document = one("a: 1\nb:\n  - x\n  - c:\n      d: 2\n");
    assert_eq!(entry(&document, "a").line, 1);
    let Content::List(items) = &entry(&document, "b").content else { panic!() };
    assert_eq!((items[0].line, items[1].line), (3, 4));
    assert_eq!(entry(entry(&items[1], "c"), "d").line, 5);
}

#[test]
fn a_file_has_several_documents_and_empty_ones_do_not_count() {
    assert_eq!(parse("---\na: 1\n---\n# nothing\n---\nb: 2\n").unwrap().len(), 2);
    assert_eq!(parse("").unwrap().len(), 0);
}

#[test]
fn json_is_read_too() {
    let document = one("{\n\t\"a\": [1, \"two\", null],\n\t\"b\": {\"c\": false}\n}\n");
    let Content::List(items) = &entry(&document, "a").content else { panic!() };
    assert_eq!(items.len(), 3);
    assert_eq!(entry(&document, "b").line, 3);
}

#[test]
fn aliases_and_merges_are_resolved() {
    let document = one("base: &base {a: 1, b: 2}\nuse: {<<: *base, b: 3}\nsame: *base\n");
    let used = entry(&document, "use");
    assert!(matches!(entry(used, "a").content, Content::Integer(1)));
    assert!(matches!(entry(used, "b").content, Content::Integer(3)));
    assert!(matches!(entry(entry(&document, "same"), "b").content, Content::Integer(2)));
}

#[test]
fn what_is_no_yaml_is_refused_with_its_line() {
    assert_eq!(error("a: 1\na: 2\n"), (2, "a is there twice".into()));
    assert_eq!(error("a: [1\nb: 2\n").0, 2);
    assert!(error("a: 1\n\tb: 2\n").1.starts_with("not YAML: "));
    assert_eq!(error("a: &x [*x]\n"), (1, "an alias inside of what it names".into()));
    assert_eq!(error("[a, b]: c\n").1, "the key of a map must be text");
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = "[".repeat(100) + &"]".repeat(100);
    assert_eq!(error(&deep).1, "nested deeper than 64 levels");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        bomb += &format!("a{level}: &a{level} [{previous}]\n");
    }
    assert!(error(&bomb).1.starts_with("more than "), "an alias bomb goes off");
}

#[test]
fn text_that_aliases_multiply_is_bounded() {
    let megabyte = "x".repeat(1 << 20);
    let within = |aliases: usize| {
        let text = format!("a: &a {megabyte}\nb: [{}]\n", "*a, ".repeat(aliases));
        super::parse(&text, &mut Budget::new(16 << 20)).map_err(|error| (error.line, error.message))
    };
    assert!(within(10).is_ok());
    let message = "with this the folder has more than 16 MiB, aliases resolved";
    assert_eq!(within(16).unwrap_err(), (2, message.into()));

    let keys = format!("a: &a {{{}: 1}}\nb: [{}]\n", megabyte.get(..1000).unwrap(), "*a, ".repeat(20_000));
    assert_eq!(super::parse(&keys, &mut Budget::new(16 << 20)).unwrap_err().message, message, "keys count, too");
}

#[test]
fn anchors_within_anchors_are_bounded() {
    let anchors: String = (0..50).map(|level| format!("&a{level} [")).collect();
    let text = format!("a: {anchors}{}{}\n", "x,".repeat(100_000), "]".repeat(50));
    assert_eq!(error(&text), (1, "more than 2000000 values in one file".into()), "each holds a copy");
}

#[test]
fn text_that_has_been_paid_for_costs_no_budget() {
    let text = format!("a: {}\n# {}\nb: [1, 2]\n", "x".repeat(1000), "a comment ".repeat(10));
    assert_eq!(super::parse(&text, &mut Budget::new(0)).unwrap().len(), 1);
}

#[test]
fn aliases_do_not_nest_deeper_than_brackets() {
    let deeper = |name: &str, inner: &str| format!("{name}: &{name} {}{inner}{}\n", "[".repeat(40), "]".repeat(40));
    let text = deeper("a", "x") + &deeper("b", "*a");
    assert_eq!(error(&text), (2, "nested deeper than 64 levels".into()));
}

#[test]
fn merging_takes_time_in_proportion() {
    let keys = |prefix: &str| (0..20_000).map(|number| format!("{prefix}{number}: 1, ")).collect::<String>();
    let text = |merge: &str| format!("a: &a {{{}}}\nb: {{{}{merge}: *a}}\n", keys("x"), keys("y"));
    let taken = |text: &str| -> Duration {
        let start = Instant::now();
        parse(text).unwrap();
        start.elapsed()
    };
    let plain = taken(&text("other"));
    let merged = taken(&text("<<"));
    // Comparing each key with each other takes two hundred times as long.
    assert!(merged < plain * 10, "{merged:?} with the merge, {plain:?} without");
}
