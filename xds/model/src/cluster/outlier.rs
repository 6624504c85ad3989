//! Which endpoints get no requests for a while because they have failed.

use std::time::Duration;

/// `OutlierDetection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Answers of 5xx in a row, and what counts as such.
    pub consecutive_5xx: Consecutive,
    /// Answers of 502, 503 and 504 in a row, and what counts as such.
    pub consecutive_gateway_failure: Consecutive,
    /// Failures to connect and times that ran out, in a row. Only with [`Self::split_external_local_origin_errors`].
    pub consecutive_local_origin_failure: Consecutive,
    /// Failures to connect and times that ran out are counted apart, and not as answers of 5xx.
    pub split_external_local_origin_errors: bool,
    /// Between two looks at those that may come back.
    pub interval: Duration,
    /// How long an endpoint is left out, times the number of times that it was.
    pub base_ejection_time: Duration,
    /// The longest of it.
    pub max_ejection_time: Duration,
    /// The longest time that comes on top at random, so that not all come back at once.
    pub max_ejection_time_jitter: Duration,
    /// No more endpoints of the cluster are left out, percent.
    pub max_ejection_percent: u8,
    /// One may be left out even if that is more than [`Self::max_ejection_percent`].
    pub always_eject_one_host: bool,
}

/// Failures in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consecutive {
    /// How many are one too many; 0 for never.
    pub failures: u32,
    /// How often that has a consequence, percent.
    pub enforcing: u8,
}
