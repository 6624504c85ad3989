//! Whether two readers read the same.

use std::collections::BTreeMap;

use crate::http1::ours::{Message, Stream};

/// Fields that our heads do not have any more: they concern one connection, or are kept elsewhere.
const TAKEN_OUT: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What we took must be the beginning of what hyper took; it may have taken less only where it does not know the target.
pub(super) fn requests(ours: &Stream, theirs: &[Message], stream: &[u8]) {
    for (number, our) in ours.messages.iter().enumerate() {
        let Some(their) = theirs.get(number) else {
            let known = ours.targets[number].parse::<http::Uri>().is_ok();
            assert!(
                !known,
                "hyper refuses {our:?}, and not for its target, in {:?}",
                stream.escape_ascii().to_string()
            );
            return;
        };
        let our_target = our.start.split_once(' ').unwrap();
        let their_target = their.start.split_once(' ').unwrap();
        assert_eq!(our_target.0, their_target.0, "method");
        if their_target.1.starts_with('/') {
            assert_eq!(our_target.1, their_target.1, "target");
        }
        content(our, their, true, stream);
    }
    // hyper does not see "close" beside bytes that are not ASCII.
    let readable = |message: &Message| message.fields.iter().all(|(_, value)| value.is_ascii());
    if ours.ended && theirs.iter().all(readable) {
        assert_eq!(ours.messages.len(), theirs.len(), "{:?}", stream.escape_ascii().to_string());
    }
}

/// hyper must have taken the response that we took, and read the same.
pub(super) fn response(our: &Message, their: Option<&Message>, stream: &[u8]) {
    // We read later versions as 1.1, and chunks in 1.0; hyper neither.
    if their.is_none() && !stream.starts_with(b"HTTP/1.1") {
        return;
    }
    let their = their.unwrap_or_else(|| panic!("hyper refuses {:?}", stream.escape_ascii().to_string()));
    assert_eq!(our.start, their.start, "status");
    content(our, their, false, stream);
}

fn content(our: &Message, their: &Message, of_request: bool, stream: &[u8]) {
    assert_eq!(our.body, their.body, "body, of {:?}", stream.escape_ascii().to_string());
    let nominated = if of_request { elements(their).remove("connection").unwrap_or_default() } else { Vec::new() };
    let counts = |name: &String| {
        !TAKEN_OUT.contains(&name.as_str())
            && !nominated.iter().any(|other| name.as_bytes().eq_ignore_ascii_case(other))
    };
    let (mut ours, mut theirs) = (elements(our), elements(their));
    ours.retain(|name, _| counts(name));
    theirs.retain(|name, _| counts(name));
    assert_eq!(ours, theirs, "fields, of {:?}", stream.escape_ascii().to_string());
}

/// What stands between commas, by name of the field: some fields are one line with us that were several.
fn elements(message: &Message) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut fields = BTreeMap::<String, Vec<Vec<u8>>>::new();
    for (name, value) in &message.fields {
        let elements = fields.entry(name.to_ascii_lowercase()).or_default();
        let parts = value.split(|byte| *byte == b',').map(|part| part.trim_ascii().to_vec());
        elements.extend(parts.filter(|part| !part.is_empty()));
    }
    fields
}
