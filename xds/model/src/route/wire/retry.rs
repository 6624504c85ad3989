//! Conversion of retry policies.

use std::num::NonZeroU32;
use std::time::Duration;

use xds_api::envoy::config::route::v3 as route;
use xds_api::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, Fates, fates};
use crate::route::{RetryOn, RetryPolicy};
use crate::wire::number::{bound, duration};

/// Envoy's default of `retry_back_off.base_interval`.
const DEFAULT_BACK_OFF: Duration = Duration::from_millis(25);
/// Envoy's default of `retry_back_off.max_interval`, as a multiple of the base.
const DEFAULT_BACK_OFF_GROWTH: u32 = 10;
/// Shorter back-offs are lengthened to this one, as in Envoy.
const SHORTEST_BACK_OFF: Duration = Duration::from_millis(1);

pub(crate) const HOST_PREDICATES: ExtensionTable = ExtensionTable {
    kind: "retry host predicate",
    rows: &[Extension::implemented("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")],
};

pub(crate) const PRIORITIES: ExtensionTable = ExtensionTable {
    kind: "retry priority",
    rows: &[Extension::implemented("envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig")],
};

/// Converts a policy.
pub(super) fn policy(wire: &route::RetryPolicy, context: &mut Context<'_>) -> Result<RetryPolicy, Refusal> {
    fates! { context, wire => route::RetryPolicy {
        [implemented "unknown conditions have no effect, as in Envoy, and neither has retriable-headers without retriable_headers"] retry_on;
        [implemented] num_retries, per_try_timeout, retry_host_predicate, host_selection_retry_max_attempts,
            retriable_status_codes, retry_back_off, retry_priority;
        [refused "not supported"] per_try_idle_timeout, retry_options_predicates, rate_limited_retry_back_off, retriable_headers,
            retriable_request_headers, refresh_cluster_on_retry;
    } }
    let predicates = context.each("retry_host_predicate", retry_host_predicate, host_predicate)?;
    let (back_off_base, back_off_max) = match context.optional("retry_back_off", retry_back_off, back_off)? {
        Some(intervals) => intervals,
        None => (DEFAULT_BACK_OFF, DEFAULT_BACK_OFF * DEFAULT_BACK_OFF_GROWTH),
    };
    Ok(RetryPolicy {
        num_retries: num_retries.unwrap_or(1),
        retry_on: conditions(retry_on, context)?,
        retriable_status_codes: context.each("retriable_status_codes", retriable_status_codes, status)?,
        per_try_timeout: bound("per_try_timeout", per_try_timeout, None, context)?,
        back_off_base,
        back_off_max,
        avoid_previous_hosts: !predicates.is_empty(),
        host_selection_attempts: match host_selection_retry_max_attempts {
            0 => 1,
            attempts => u32::try_from(*attempts)
                .map_err(|_| context.refusal("host_selection_retry_max_attempts", "is out of range"))?,
        },
        leave_priorities_after: context.optional("retry_priority", retry_priority, priority)?,
    })
}

fn host_predicate(wire: &route::retry_policy::RetryHostPredicate, context: &mut Context<'_>) -> Result<(), Refusal> {
    fates! { context, wire => route::retry_policy::RetryHostPredicate {
            [elsewhere "for people; predicates are told apart by type"] name;
        }
        oneof config_type { [implemented] typed_config; }
    }
    use route::retry_policy::retry_host_predicate::ConfigType;
    match config_type {
        Some(ConfigType::TypedConfig(any)) => {
            context.within("typed_config", |context| context.extension(&HOST_PREDICATES, any)).map(|_| ())
        }
        None => Err(context.refusal("typed_config", "is missing")),
    }
}

/// After how many tries priorities are left out.
fn priority(wire: &route::retry_policy::RetryPriority, context: &mut Context<'_>) -> Result<NonZeroU32, Refusal> {
    fates! { context, wire => route::retry_policy::RetryPriority {
            [elsewhere "for people; extensions are told apart by type"] name;
        }
        oneof config_type { [implemented] typed_config; }
    }
    use route::retry_policy::retry_priority::ConfigType;
    match config_type {
        Some(ConfigType::TypedConfig(any)) => context.within("typed_config", |context| {
            context.extension(&PRIORITIES, any)?;
            previous_priorities(&context.decode(any)?, context)
        }),
        None => Err(context.refusal("typed_config", "is missing")),
    }
}

fn previous_priorities(wire: &PreviousPrioritiesConfig, context: &mut Context<'_>) -> Result<NonZeroU32, Refusal> {
    fates! { context, wire => PreviousPrioritiesConfig { [implemented] update_frequency; } }
    let frequency = u32::try_from(*update_frequency).ok().and_then(NonZeroU32::new);
    frequency.ok_or_else(|| context.refusal("update_frequency", "must be more than 0"))
}

fn back_off(
    wire: &route::retry_policy::RetryBackOff,
    context: &mut Context<'_>,
) -> Result<(Duration, Duration), Refusal> {
    fates! { context, wire => route::retry_policy::RetryBackOff { [implemented] base_interval, max_interval; } }
    let base = duration("base_interval", base_interval, context)?.filter(|base| !base.is_zero());
    let base = base.ok_or_else(|| context.refusal("base_interval", "must be more than 0"))?.max(SHORTEST_BACK_OFF);
    let max = match duration("max_interval", max_interval, context)? {
        Some(max) if max < base => return Err(context.refusal("max_interval", "is less than base_interval")),
        Some(max) => max,
        None => base.saturating_mul(DEFAULT_BACK_OFF_GROWTH),
    };
    Ok((base, max))
}

fn status(wire: &u32, context: &mut Context<'_>) -> Result<u16, Refusal> {
    let status = u16::try_from(*wire).ok().filter(|status| (100..600).contains(status));
    status.ok_or_else(|| context.refusal_here(format_args!("{wire} is not a status")))
}

fn conditions(text: &str, context: &mut Context<'_>) -> Result<RetryOn, Refusal> {
    let mut on = RetryOn::default();
    for condition in text.split(',').map(str::trim).filter(|condition| !condition.is_empty()) {
        match condition {
            "connect-failure" => on.connect_failure = true,
            "refused-stream" => on.refused_stream = true,
            "reset" => on.reset = true,
            "reset-before-request" => on.reset_before_request = true,
            "gateway-error" => on.gateway_error = true,
            "envoy-ratelimited" => on.rate_limited = true,
            "5xx" => on.server_error = true,
            "retriable-4xx" => on.retriable_4xx = true,
            "retriable-status-codes" => on.retriable_status_codes = true,
            "cancelled" => on.grpc_cancelled = true,
            "deadline-exceeded" => on.grpc_deadline_exceeded = true,
            "internal" => on.grpc_internal = true,
            "resource-exhausted" => on.grpc_resource_exhausted = true,
            "unavailable" => on.grpc_unavailable = true,
            _ => context.no_op(route::RetryPolicy::message(), "retry_on"),
        }
    }
    Ok(on)
}
