//! Which events are logged.

use xds_model::access_log::{AccessLogFilter, Comparison};

use super::Record;
use crate::telemetry::response_flags::ResponseFlags;

/// Whether `record` is to be logged.
pub(super) fn passes(filter: &AccessLogFilter, record: &Record<'_>) -> bool {
    match filter {
        AccessLogFilter::Status { comparison, value } => compare(u32::from(record.status), *comparison, *value),
        AccessLogFilter::ResponseFlags(names) if names.is_empty() => !record.flags.is_empty(),
        AccessLogFilter::ResponseFlags(names) => {
            names.iter().filter_map(|name| ResponseFlags::from_short(name)).any(|flag| record.flags.intersects(flag))
        }
        AccessLogFilter::And(filters) => filters.iter().all(|filter| passes(filter, record)),
        AccessLogFilter::Or(filters) => filters.iter().any(|filter| passes(filter, record)),
    }
}

fn compare(status: u32, comparison: Comparison, value: u32) -> bool {
    match comparison {
        Comparison::Equal => status == value,
        Comparison::GreaterOrEqual => status >= value,
        Comparison::LessOrEqual => status <= value,
        Comparison::NotEqual => status != value,
    }
}
