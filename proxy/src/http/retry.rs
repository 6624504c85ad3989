//! What may be tried again, how often and when: the policy. `send` in `upstream_request.rs` goes by it.

use std::time::Duration;

use balance::PreviousPriorities;
use h1::{Fields, Header};
use xds_model::route::{RetryOn, RetryPolicy};

/// What became of a try, as far as there may be another for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryReason {
    /// No connection.
    ConnectFailure,
    /// The connection ended before a response.
    Reset,
    /// The endpoint refused the stream: it has not acted upon the request.
    RefusedStream,
    /// No response within the time for one try.
    PerTryTimeout,
    /// A response with this status.
    Response(u16),
}

/// Counts the tries of one request.
#[derive(Debug)]
pub(super) struct Retries<'a> {
    policy: Option<&'a RetryPolicy>,
    left: u32,
    made: u32,
}

impl<'a> Retries<'a> {
    pub(super) fn new(policy: Option<&'a RetryPolicy>) -> Self {
        Self { policy, left: policy.map_or(0, |policy| policy.num_retries), made: 0 }
    }

    /// Time for one try.
    pub(super) fn per_try_timeout(&self) -> Option<Duration> {
        self.policy.and_then(|policy| policy.per_try_timeout)
    }

    /// How often another endpoint is drawn in place of one that was tried.
    pub(super) fn host_selection_attempts(&self) -> Option<u32> {
        self.policy.filter(|policy| policy.avoid_previous_hosts).map(|policy| policy.host_selection_attempts)
    }

    /// Where tries went, if further ones are to go elsewhere.
    pub(super) fn previous_priorities(&self) -> Option<PreviousPriorities> {
        self.policy.and_then(|policy| policy.leave_priorities_after).map(PreviousPriorities::new)
    }

    /// Whether the policy names this reason.
    pub(super) fn applies(&self, reason: RetryReason, response: Option<&Fields>) -> bool {
        self.policy.is_some_and(|policy| is_retriable(policy, reason, response))
    }

    /// Whether retries are used up.
    pub(super) fn exhausted(&self) -> bool {
        self.left == 0
    }

    /// Takes one retry and says how long to wait before it.
    pub(super) fn take(&mut self, random: u64) -> Duration {
        self.left = self.left.saturating_sub(1);
        self.made += 1;
        let Some(policy) = self.policy else { return Duration::ZERO };
        // Envoy: fully jittered, up to the base times 2^n - 1 (router/retry_state_impl.cc).
        let factor = 2_u32.saturating_pow(self.made.min(16)) - 1;
        let longest = policy.back_off_base.saturating_mul(factor).min(policy.back_off_max);
        let nanoseconds = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(random % nanoseconds)
    }
}

fn is_retriable(policy: &RetryPolicy, reason: RetryReason, response: Option<&Fields>) -> bool {
    let on = policy.retry_on;
    match reason {
        RetryReason::ConnectFailure => {
            on.connect_failure || on.reset || on.reset_before_request || on.server_error || on.gateway_error
        }
        // Envoy takes the 503 that would follow for an error of a gateway.
        RetryReason::Reset => on.reset || on.server_error || on.gateway_error,
        RetryReason::RefusedStream => on.refused_stream || on.reset || on.server_error || on.gateway_error,
        RetryReason::PerTryTimeout => on.server_error || on.gateway_error || on.reset,
        // Envoy: whatever the status, another try would meet the same limit.
        RetryReason::Response(_) if response.is_some_and(|fields| fields.get(Header::XEnvoyRateLimited).is_some()) => {
            on.rate_limited
        }
        RetryReason::Response(status) => {
            (on.server_error && status >= 500)
                || (on.gateway_error && matches!(status, 502..=504))
                || (on.retriable_4xx && status == 409)
                || (on.retriable_status_codes && policy.retriable_status_codes.contains(&status))
                || response.is_some_and(|fields| is_retriable_grpc(on, fields))
        }
    }
}

/// gRPC statuses in a response without a body.
fn is_retriable_grpc(on: RetryOn, fields: &Fields) -> bool {
    match fields.get(Header::GrpcStatus) {
        Some(b"1") => on.grpc_cancelled,
        Some(b"4") => on.grpc_deadline_exceeded,
        Some(b"8") => on.grpc_resource_exhausted,
        Some(b"13") => on.grpc_internal,
        Some(b"14") => on.grpc_unavailable,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(retry_on: RetryOn) -> RetryPolicy {
        RetryPolicy {
            num_retries: 2,
            retry_on,
            retriable_status_codes: vec![418],
            per_try_timeout: None,
            back_off_base: Duration::from_millis(25),
            back_off_max: Duration::from_millis(250),
            avoid_previous_hosts: true,
            host_selection_attempts: 5,
            leave_priorities_after: None,
        }
    }

    #[test]
    fn istios_default_tries_again_only_where_nothing_was_sent() {
        let default = RetryOn {
            connect_failure: true,
            refused_stream: true,
            grpc_unavailable: true,
            grpc_cancelled: true,
            retriable_status_codes: true,
            ..RetryOn::default()
        };
        let policy = policy(default);
        let retries = Retries::new(Some(&policy));
        assert!(retries.applies(RetryReason::ConnectFailure, None));
        assert!(retries.applies(RetryReason::RefusedStream, None));
        assert!(retries.applies(RetryReason::Response(418), None));
        for reason in [RetryReason::Reset, RetryReason::Response(503), RetryReason::PerTryTimeout] {
            assert!(!retries.applies(reason, None), "{reason:?}");
        }
    }

    #[test]
    fn server_errors_include_resets_and_timeouts() {
        let policy = policy(RetryOn { server_error: true, ..RetryOn::default() });
        let retries = Retries::new(Some(&policy));
        for reason in
            [RetryReason::ConnectFailure, RetryReason::Reset, RetryReason::Response(500), RetryReason::PerTryTimeout]
        {
            assert!(retries.applies(reason, None), "{reason:?}");
        }
        assert!(!retries.applies(RetryReason::Response(404), None));
    }

    #[test]
    fn gateway_errors_include_resets() {
        let policy = policy(RetryOn { gateway_error: true, ..RetryOn::default() });
        let retries = Retries::new(Some(&policy));
        for reason in
            [RetryReason::ConnectFailure, RetryReason::Reset, RetryReason::Response(502), RetryReason::PerTryTimeout]
        {
            assert!(retries.applies(reason, None), "{reason:?}");
        }
        assert!(!retries.applies(RetryReason::Response(500), None));
    }

    #[test]
    fn a_rate_limit_is_tried_again_only_where_the_policy_names_it() {
        let mut limited = Fields::default();
        limited.append(b"x-envoy-ratelimited", b"true").unwrap();
        for (rate_limited, server_error) in [(true, false), (true, true), (false, true), (false, false)] {
            let policy = policy(RetryOn { rate_limited, server_error, ..RetryOn::default() });
            let applies = Retries::new(Some(&policy)).applies(RetryReason::Response(503), Some(&limited));
            assert_eq!(applies, rate_limited);
        }
    }

    #[test]
    fn the_wait_grows_and_is_bounded() {
        let policy = policy(RetryOn::default());
        let mut retries = Retries::new(Some(&policy));
        assert!(!retries.exhausted());
        assert!(retries.take(u64::MAX) < Duration::from_millis(25));
        assert!(retries.take(u64::MAX) < Duration::from_millis(75));
        assert!(retries.exhausted());
        for _ in 0..40 {
            assert!(retries.take(u64::MAX) < Duration::from_millis(250));
        }
    }
}
