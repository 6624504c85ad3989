use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::fate::{Fate, MessageFates, extensions, support_markdown, table};

fn pool() -> DescriptorPool {
    DescriptorPool::decode(&include_bytes!("../../../api/descriptors.bin")[..]).unwrap()
}

#[test]
fn every_field_has_exactly_one_fate() {
    let pool = pool();
    for MessageFates { message, fields, .. } in table() {
        let descriptor = pool.get_message_by_name(message).unwrap();
        let defined: BTreeSet<String> = descriptor.fields().map(|field| field.name().to_owned()).collect();
        let listed: BTreeSet<String> = fields.iter().map(|field| field.name.to_owned()).collect();
        assert_eq!(listed, defined, "{message}");
        assert_eq!(fields.len(), listed.len(), "{message} has a field twice");
    }
}

#[test]
fn no_message_is_listed_twice_and_every_exception_has_a_reason() {
    let table = table();
    let keys: BTreeSet<_> = table.iter().map(|row| (row.message, row.place)).collect();
    assert_eq!(keys.len(), table.len());
    for row in &table {
        for field in row.fields {
            assert!(field.fate == Fate::Implemented || !field.note.is_empty(), "{}.{}", row.message, field.name);
        }
    }
    for row in extensions().iter().flat_map(|table| table.rows) {
        assert!(row.fate == Fate::Implemented || !row.note.is_empty(), "{}", row.message);
    }
}

/// What an implemented field holds is converted too, so it must be in the table; else its fields would have no fate.
#[test]
fn messages_in_implemented_fields_are_listed() {
    let pool = pool();
    let mut listed: BTreeMap<&str, Vec<MessageFates>> = BTreeMap::new();
    for row in table() {
        listed.entry(row.message).or_default().push(row);
    }
    for (message, rows) in &listed {
        for field in pool.get_message_by_name(message).unwrap().fields() {
            let implemented = rows
                .iter()
                .flat_map(|row| row.fields)
                .any(|fate| fate.name == field.name() && fate.fate == Fate::Implemented);
            let Some(held) = held(&field).filter(|held| implemented && has_fields(held)) else { continue };
            let choice_only = CHOICE_ONLY.contains(&(*message, field.name()));
            assert!(choice_only || listed.contains_key(held.full_name()), "{message}.{}: {held:?}", field.name());
        }
    }
}

/// Fields of which only the presence says something.
const CHOICE_ONLY: &[(&str, &str)] = &[
    ("envoy.config.core.v3.ConfigSource", "self"),
    ("envoy.type.matcher.v3.RegexMatcher", "google_re2"),
    ("envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig", "http2_protocol_options"),
];

/// The message in a field, the value of a map included.
fn held(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => held(&entry.map_entry_value_field()),
        Kind::Message(message) => Some(message),
        _ => None,
    }
}

fn has_fields(message: &MessageDescriptor) -> bool {
    message.package_name() != "google.protobuf" && message.fields().len() > 0
}

#[test]
fn the_document_lists_everything() {
    let text = support_markdown();
    for row in table() {
        assert!(text.contains(&format!("### {}", row.message)), "{}", row.message);
    }
    assert!(text.contains("| `traffic_direction` | no-op | traffic goes one way through a gateway |"));
    assert!(text.contains("| `type` | implemented |"), "names are those of the definitions, not of Rust");
    assert!(!text.contains("r#"));
}
