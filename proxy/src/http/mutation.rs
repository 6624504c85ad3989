//! Header changes that the configuration asks for, on either way.

use h1::{Fields, RequestHead};
use xds_model::header::{HeaderAddition, HeaderAppend, HeaderMutations};

use crate::telemetry::access_log::Record;
use crate::telemetry::access_log::operator::{Missing, put_format};

/// Writes the value of an addition into the scratch memory; `false` if nothing is to be written.
pub(super) fn value(addition: &HeaderAddition, record: &Record<'_>, scratch: &mut Vec<u8>) -> bool {
    scratch.clear();
    put_format(&addition.value, record, Missing::Nothing, scratch);
    !scratch.is_empty() || addition.keep_empty_value
}

/// Removes what is to be removed.
pub(super) fn remove(mutations: &HeaderMutations, fields: &mut Fields) {
    for name in &mutations.remove {
        fields.remove_name(name.as_bytes());
    }
}

/// Writes one value of a request; pseudo-headers change the request line.
pub(super) fn add_to_request(addition: &HeaderAddition, value: &[u8], request: &mut RequestHead) {
    // A target that cannot be written is left as it was.
    match addition.name.as_str() {
        ":path" => drop(request.set_path(value)),
        ":authority" | "host" => drop(request.set_authority(value)),
        _ => add(addition, value, request.fields_mut()),
    }
}

/// Writes one value.
pub(super) fn add(addition: &HeaderAddition, value: &[u8], fields: &mut Fields) {
    let name = addition.name.as_bytes();
    let exists = fields.find(name).is_some();
    // A value with control characters, or one too many, is not written: the rest of the message is still good.
    let _ = match (addition.append, exists) {
        (HeaderAppend::AppendIfExistsOrAdd, _) | (HeaderAppend::AddIfAbsent, false) => fields.append(name, value),
        (HeaderAppend::OverwriteIfExistsOrAdd, _) | (HeaderAppend::OverwriteIfExists, true) => fields.set(name, value),
        (HeaderAppend::AddIfAbsent, true) | (HeaderAppend::OverwriteIfExists, false) => Ok(()),
    };
}
