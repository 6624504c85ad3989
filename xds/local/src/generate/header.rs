//! Changes of headers.

use std::collections::BTreeMap;

use xds_api::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use xds_api::envoy::config::core::v3::{HeaderValue, HeaderValueOption};

use crate::object::virtual_service::{HeaderOperations, Headers};

/// Changes in both directions, and the authority that they ask for.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) add_to_request: Vec<HeaderValueOption>,
    pub(super) remove_from_request: Vec<String>,
    pub(super) add_to_response: Vec<HeaderValueOption>,
    pub(super) remove_from_response: Vec<String>,
    /// From a change of `host` or `:authority`; empty for none.
    pub(super) authority: String,
}

impl Changes {
    pub(super) fn new(headers: &Headers) -> Self {
        Self {
            add_to_request: additions(&headers.request),
            remove_from_request: removals(&headers.request),
            add_to_response: additions(&headers.response),
            remove_from_response: removals(&headers.response),
            authority: authority(&headers.request),
        }
    }

    /// Adds changes that come after these.
    pub(super) fn extend(&mut self, other: Self) {
        self.add_to_request.extend(other.add_to_request);
        self.remove_from_request.extend(other.remove_from_request);
        self.add_to_response.extend(other.add_to_response);
        self.remove_from_response.extend(other.remove_from_response);
    }
}

/// First what replaces, then what is added.
fn additions(operations: &HeaderOperations) -> Vec<HeaderValueOption> {
    let options = |headers: &BTreeMap<String, String>, action: HeaderAppendAction| {
        let known = headers.iter().filter(|(name, _)| !is_internal(name));
        let option = |(name, value): (&String, &String)| HeaderValueOption {
            header: Some(HeaderValue { key: name.clone(), value: value.clone(), ..HeaderValue::default() }),
            append_action: action as i32,
            ..HeaderValueOption::default()
        };
        known.map(option).collect::<Vec<_>>()
    };
    let mut all = options(&operations.set, HeaderAppendAction::OverwriteIfExistsOrAdd);
    all.extend(options(&operations.add, HeaderAppendAction::AppendIfExistsOrAdd));
    all
}

fn removals(operations: &HeaderOperations) -> Vec<String> {
    operations.remove.iter().filter(|name| !is_internal(name)).cloned().collect()
}

fn authority(operations: &HeaderOperations) -> String {
    let find = |headers: &BTreeMap<String, String>| {
        let mut found = headers.iter().filter(|(name, _)| is_authority(name));
        found.next_back().map(|(_, value)| value.clone())
    };
    find(&operations.set).filter(|value| !value.is_empty()).or_else(|| find(&operations.add)).unwrap_or_default()
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// Pseudo-headers and `host`, which header rules must not touch.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}
