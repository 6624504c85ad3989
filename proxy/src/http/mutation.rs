//! Header changes that the configuration asks for, on either way.

use h1::{Fields, Header, HeaderSet, JOINED_IN_REQUESTS, RequestHead};
use xds_model::header::{HeaderAddition, HeaderAppend, HeaderMutations};

use crate::telemetry::access_log::Record;
use crate::telemetry::access_log::operator::{Missing, put_format};

/// Where the values end, in the scratch memory.
pub(super) type Ends = smallvec::SmallVec<[usize; 16]>;

/// Writes the values of all additions into the scratch memory, one behind the other.
pub(super) fn values(mutations: &HeaderMutations, record: &Record<'_>, scratch: &mut Vec<u8>) -> Ends {
    scratch.clear();
    let put = |addition: &HeaderAddition| {
        put_format(&addition.value, record, Missing::Nothing, scratch);
        scratch.len()
    };
    mutations.add.iter().map(put).collect()
}

/// The additions with their values, the ones that set before the ones that add; those that write nothing are left out.
pub(super) fn in_order<'a>(
    mutations: &'a HeaderMutations,
    ends: &'a [usize],
    values: &'a [u8],
) -> impl Iterator<Item = (&'a HeaderAddition, &'a [u8])> {
    let written = move |sets: bool| {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let ranges = mutations.add.iter().zip(starts.zip(ends.iter().copied()));
        ranges.filter_map(move |(addition, (start, end))| {
            let value = values.get(start..end)?;
            let wanted = !value.is_empty() || addition.keep_empty_value;
            (wanted && overwrites(addition.append) == sets).then_some((addition, value))
        })
    };
    written(true).chain(written(false))
}

const fn overwrites(append: HeaderAppend) -> bool {
    matches!(append, HeaderAppend::OverwriteIfExistsOrAdd | HeaderAppend::OverwriteIfExists)
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
        _ => add(addition, value, request.fields_mut(), JOINED_IN_REQUESTS),
    }
}

/// Writes one value. An addition to a field of those in `joined` goes on with its value.
pub(super) fn add(addition: &HeaderAddition, value: &[u8], fields: &mut Fields, joined: HeaderSet) {
    let name = addition.name.as_bytes();
    let exists = fields.find(name).is_some();
    // A value with control characters, or one too many, is not written: the rest of the message is still good.
    let _ = match (addition.append, exists) {
        (HeaderAppend::AppendIfExistsOrAdd, true) => match Header::from_name(name) {
            header if joined.contains(header) => fields.append_joined(header, value),
            _ => fields.append(name, value),
        },
        (HeaderAppend::AppendIfExistsOrAdd, false) | (HeaderAppend::AddIfAbsent, false) => fields.append(name, value),
        (HeaderAppend::OverwriteIfExistsOrAdd, _) | (HeaderAppend::OverwriteIfExists, true) => fields.set(name, value),
        (HeaderAppend::AddIfAbsent, true) | (HeaderAppend::OverwriteIfExists, false) => Ok(()),
    };
}
