//! Conversion of circuit breakers.

use xds_api::envoy::config::cluster::v3 as cluster;
use xds_api::envoy::config::core::v3::RoutingPriority;
use xds_api::envoy::r#type::v3::Percent;

use crate::cluster::{CircuitBreaker, RetryBudget};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;

/// Envoy's limits where none are given.
const DEFAULT: CircuitBreaker = CircuitBreaker {
    max_connections: 1024,
    max_pending_requests: 1024,
    max_requests: 1024,
    max_retries: 3,
    retry_budget: None,
};
/// Envoy's budget where a number is left out.
const DEFAULT_BUDGET: RetryBudget = RetryBudget { percent: 20.0, min_retry_concurrency: 3 };

pub(super) fn convert(
    wire: &Option<cluster::CircuitBreakers>,
    context: &mut Context<'_>,
) -> Result<CircuitBreaker, Refusal> {
    Ok(context.optional("circuit_breakers", wire, default_priority)?.unwrap_or(DEFAULT))
}

fn default_priority(wire: &cluster::CircuitBreakers, context: &mut Context<'_>) -> Result<CircuitBreaker, Refusal> {
    fates! { context, wire => cluster::CircuitBreakers {
        [implemented "of the default priority, the only one there is"] thresholds;
        [refused "limits hold for the cluster"] per_host_thresholds;
    } }
    let limits = context.each("thresholds", thresholds, limits)?;
    Ok(limits.into_iter().flatten().next().unwrap_or(DEFAULT))
}

/// The limits, if they are those of the default priority.
fn limits(
    wire: &cluster::circuit_breakers::Thresholds,
    context: &mut Context<'_>,
) -> Result<Option<CircuitBreaker>, Refusal> {
    fates! { context, wire => cluster::circuit_breakers::Thresholds {
        [implemented] priority, max_connections, max_pending_requests, max_requests, max_retries, retry_budget;
        [no_op "what remains is always tracked"] track_remaining;
        [no_op "there is one pool for each endpoint and worker"] max_connection_pools;
    } }
    let limits = CircuitBreaker {
        max_connections: max_connections.unwrap_or(DEFAULT.max_connections),
        max_pending_requests: max_pending_requests.unwrap_or(DEFAULT.max_pending_requests),
        max_requests: max_requests.unwrap_or(DEFAULT.max_requests),
        max_retries: max_retries.unwrap_or(DEFAULT.max_retries),
        retry_budget: context.optional("retry_budget", retry_budget, budget)?,
    };
    let priority: RoutingPriority = context.enumeration("priority", *priority)?;
    Ok((priority == RoutingPriority::Default).then_some(limits))
}

fn budget(
    wire: &cluster::circuit_breakers::thresholds::RetryBudget,
    context: &mut Context<'_>,
) -> Result<RetryBudget, Refusal> {
    fates! { context, wire => cluster::circuit_breakers::thresholds::RetryBudget {
        [implemented] budget_percent, min_retry_concurrency;
        [no_op "requests count while they are under way"] budget_interval;
    } }
    let percent = match budget_percent {
        Some(Percent { value }) if (0.0..=100.0).contains(value) => *value,
        Some(Percent { value }) => {
            return Err(context.refusal("budget_percent", format_args!("{value} is not a percentage")));
        }
        None => DEFAULT_BUDGET.percent,
    };
    let min_retry_concurrency = min_retry_concurrency.unwrap_or(DEFAULT_BUDGET.min_retry_concurrency);
    Ok(RetryBudget { percent, min_retry_concurrency })
}
