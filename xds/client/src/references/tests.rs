use super::*;

fn key(kind: ResourceType, name: &str) -> Key {
    (kind, name.into())
}

fn targets(names: &[&str]) -> Targets {
    names.iter().map(|name| key(ResourceType::Cluster, name)).collect()
}

fn changes(references: &mut References) -> Vec<(String, bool)> {
    references.take_changes().into_iter().map(|change| (change.target.1.to_string(), change.needed)).collect()
}

#[test]
fn a_target_is_needed_while_anything_refers_to_it() {
    let (one, other) = (key(ResourceType::Route, "one"), key(ResourceType::Route, "other"));
    let mut references = References::default();
    references.set(&one, targets(&["a", "b"]));
    references.set(&other, targets(&["b"]));
    assert_eq!(changes(&mut references), [("a".to_owned(), true), ("b".to_owned(), true)]);
    references.remove(&one);
    assert_eq!(changes(&mut references), [("a".to_owned(), false)]);
    assert!(references.is_needed(&key(ResourceType::Cluster, "b")));
    references.remove(&other);
    references.remove(&other);
    assert_eq!(changes(&mut references), [("b".to_owned(), false)]);
    assert!(references.counts.is_empty() && references.sources.is_empty());
}

#[test]
fn only_net_changes_are_reported() {
    let source = key(ResourceType::Route, "r");
    let mut references = References::default();
    references.set(&source, targets(&["a"]));
    references.set(&source, targets(&["b"]));
    references.set(&source, targets(&["a"]));
    assert_eq!(changes(&mut references), [("a".to_owned(), true)]);
    references.set(&source, targets(&["a", "c"]));
    assert_eq!(changes(&mut references), [("c".to_owned(), true)]);
    assert!(changes(&mut references).is_empty());
}
