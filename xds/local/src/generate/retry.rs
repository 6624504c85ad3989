//! When requests are sent again.

use xds_api::Any;
use xds_api::envoy::config::route::v3::RetryPolicy;
use xds_api::envoy::config::route::v3::retry_policy::{
    RetryBackOff, RetryHostPredicate, RetryPriority, retry_host_predicate, retry_priority,
};
use xds_api::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use xds_api::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;

use super::wire::duration;
use crate::object::virtual_service::Retries;

/// What is tried again when nobody asked for anything.
const DEFAULT_CONDITIONS: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const DEFAULT_RETRIES: u32 = 2;
/// How often another host is looked for.
const HOST_SELECTION_ATTEMPTS: i64 = 5;

/// The policy of a route; none if retries are switched off. Where a hash decides which host gets a request, no other host is looked
/// for unless that is asked for.
pub(super) fn policy(retries: Option<&Retries>, hash_decides: bool) -> Option<RetryPolicy> {
    let asked = retries.and_then(|retries| retries.ignore_previous_hosts);
    let wants_other_host = asked.unwrap_or(!hash_decides);
    let default = RetryPolicy {
        retry_on: DEFAULT_CONDITIONS.into(),
        num_retries: Some(DEFAULT_RETRIES),
        retry_host_predicate: wants_other_host.then(other_host).into_iter().collect(),
        host_selection_retry_max_attempts: HOST_SELECTION_ATTEMPTS,
        ..RetryPolicy::default()
    };
    let Some(retries) = retries else { return Some(default) };
    if retries.attempts == 0 {
        return None;
    }
    let mut policy = RetryPolicy {
        num_retries: Some(retries.attempts),
        per_try_timeout: retries.per_try_timeout.map(duration),
        retry_back_off: retries
            .backoff
            .map(|backoff| RetryBackOff { base_interval: Some(duration(backoff)), ..RetryBackOff::default() }),
        retry_priority: retries.remote_localities.then(other_priority),
        ..default
    };
    if !retries.retry_on.is_empty() {
        (policy.retry_on, policy.retriable_status_codes) = conditions(&retries.retry_on);
    }
    Some(policy)
}

/// Conditions by name, and those that are status codes.
fn conditions(listed: &str) -> (String, Vec<u32>) {
    let (mut names, mut codes) = (Vec::new(), Vec::new());
    for part in listed.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.parse().ok().filter(|code| is_known_status(*code)) {
            Some(code) => codes.push(code),
            None => names.push(part),
        }
    }
    let mut names = names.join(",");
    // As istiod has it, the comma stands there even if nothing stands before it.
    if !codes.is_empty() && !names.contains("retriable-status-codes") {
        names.push_str(",retriable-status-codes");
    }
    (names, codes)
}

/// Codes with a name in the registry of HTTP status codes; istiod takes other numbers for names.
fn is_known_status(code: u32) -> bool {
    let is_error = matches!(code, 400..=418 | 421..=426 | 428..=429 | 431 | 451 | 500..=508 | 510..=511);
    is_error || matches!(code, 100..=103 | 200..=208 | 226 | 300..=305 | 307..=308)
}

fn other_host() -> RetryHostPredicate {
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".into(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(Any::pack(&PreviousHostsPredicate {}))),
    }
}

fn other_priority() -> RetryPriority {
    let config = PreviousPrioritiesConfig { update_frequency: 2 };
    RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".into(),
        config_type: Some(retry_priority::ConfigType::TypedConfig(Any::pack(&config))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_host_is_looked_for_if_it_is_asked_for_or_no_hash_decides() {
        let looks = |ignore_previous_hosts: Option<bool>, hash_decides| {
            let retries = Retries {
                attempts: 1,
                per_try_timeout: None,
                retry_on: String::new(),
                ignore_previous_hosts,
                remote_localities: false,
                backoff: None,
            };
            policy(Some(&retries), hash_decides).is_some_and(|policy| !policy.retry_host_predicate.is_empty())
        };
        assert!(looks(None, false) && !looks(None, true));
        assert!(looks(Some(true), false) && looks(Some(true), true));
        assert!(!looks(Some(false), false) && !looks(Some(false), true));
        assert!(policy(None, true).is_some_and(|policy| policy.retry_host_predicate.is_empty()));
    }
}
