use super::*;
use crate::load::budget::Budget;
use crate::load::yaml;

/// What `read` makes of the first document, and what is said about it.
fn read<T>(text: &str, read: impl for<'a> FnOnce(&mut Fields<'a>) -> T) -> (Option<T>, Vec<String>) {
    let documents = yaml::parse(text, &mut Budget::new(1 << 20)).unwrap();
    let problems = Problems::default();
    let file: Arc<str> = "a.yaml".into();
    let result = Value::new(&documents[0], String::new(), &file, &problems).object(read);
    (result, problems.into_sorted().iter().map(ToString::to_string).collect())
}

#[test]
fn fields_have_types_and_paths() {
    let (_, said) = read("a: 5\nb: [x, 2]\nc: {d: x}\ne: 70000\nf: {g: 1, h: 2.5}\ni: later\n", |fields| {
        assert_eq!(fields.string("a"), "");
        assert_eq!(fields.strings("b"), ["x"]);
        fields.object("c", |fields| assert_eq!(fields.bool("d"), None));
        assert_eq!(fields.port("e"), None);
        assert!(fields.string_map("f").is_empty());
        assert_eq!(fields.duration("i"), None);
    });
    assert_eq!(
        said,
        [
            "a.yaml:1: a: must be text: put it in quotes",
            "a.yaml:2: b[1]: must be text: put it in quotes",
            "a.yaml:3: c.d: must be true or false, is text",
            "a.yaml:4: e: 70000 is not between 1 and 65535",
            "a.yaml:5: f.g: must be text: put it in quotes",
            "a.yaml:5: f.h: must be text: put it in quotes",
            "a.yaml:6: i: later is not a duration such as 1.5s, 200ms or 1h30m",
        ]
    );
}

#[test]
fn unknown_fields_are_reported_and_null_is_absent() {
    let (value, said) = read("a: x\nb: ~\nc:\n  d: 1\n", |fields| {
        fields.ignore(&["e"]);
        (fields.string("a"), fields.get("b").is_none())
    });
    assert_eq!(value, Some(("x".into(), true)));
    assert_eq!(said, ["a.yaml:3: c: there is no such field; known are a, b, e"]);
}

#[test]
fn what_was_refused_is_not_reported_twice() {
    let (_, said) = read("a: [{x: 1}, {name: n, x: 1}]\n", |fields| {
        let names = fields.objects("a", |fields| fields.required("name")?.string());
        assert_eq!(names, ["n"]);
    });
    assert_eq!(said, ["a.yaml:1: a[0]: name is missing", "a.yaml:1: a[1].x: there is no such field; known are name"]);
}

#[test]
fn lists_can_be_required() {
    let (_, said) = read("a: []\nb: [1]\nc: x\n", |fields| {
        ["a", "b", "c", "d"].iter().for_each(|name| fields.require_elements(name));
        assert_eq!(fields.get("c").and_then(|value| value.list(|value| value.string())), None);
    });
    assert_eq!(
        said,
        [
            "a.yaml:1: a must have at least one element",
            "a.yaml:1: d must have at least one element",
            "a.yaml:3: c: must be a list, is text",
        ]
    );
}

#[test]
fn what_is_not_supported_is_an_error_only_if_it_is_there() {
    let (_, said) = read("a: {b: 1}\n", |fields| fields.unsupported(&["a", "c"]));
    assert_eq!(said, ["a.yaml:1: a: is not supported yet"]);
}
