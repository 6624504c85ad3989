//! `/stats`: counters by Envoy's names.

use http::StatusCode;
use regex::RegexBuilder;
use serde_json::{Value, json};

use super::server::{Call, Reply, json as json_page, reply, text};
use super::{Admin, prometheus};

/// A pattern for `filter` larger than this is refused. Bytes, compiled.
const FILTER_SIZE_LIMIT: usize = 1 << 16;

/// The page: text, or `format=json|prometheus`; `filter` is a regular expression, `usedonly` leaves out zeros.
pub(super) fn page(admin: &Admin, call: &Call) -> Reply {
    let mut values = admin.process.registry.collect();
    if let Some(pattern) = call.parameter("filter") {
        match RegexBuilder::new(pattern).size_limit(FILTER_SIZE_LIMIT).build() {
            Ok(filter) => values.retain(|name, _| filter.is_match(name)),
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("Invalid regex: {error}\n")),
        }
    }
    if call.has("usedonly") {
        values.retain(|_, (_, value)| *value != 0);
    }
    match call.parameter("format") {
        None | Some("text") => {
            let lines: String = values.iter().map(|(name, (_, value))| format!("{name}: {value}\n")).collect();
            text(StatusCode::OK, lines)
        }
        Some("json") => {
            let stats: Vec<Value> =
                values.iter().map(|(name, (_, value))| json!({ "name": name, "value": value })).collect();
            json_page(&json!({ "stats": stats }))
        }
        Some("prometheus") => reply(StatusCode::OK, prometheus::CONTENT_TYPE, prometheus::render(&values)),
        Some(other) => text(StatusCode::BAD_REQUEST, format!("unknown format `{other}`\n")),
    }
}
