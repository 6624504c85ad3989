//! Conversion of circuit breakers.

use xds_api::envoy::config::cluster::v3 as cluster;
use xds_api::envoy::config::core::v3::RoutingPriority;

use crate::cluster::CircuitBreaker;
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;

/// Envoy's limits where none are given.
const DEFAULT: CircuitBreaker =
    CircuitBreaker { max_connections: 1024, max_pending_requests: 1024, max_requests: 1024, max_retries: 3 };

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
        [implemented] priority, max_connections, max_pending_requests, max_requests, max_retries;
        [no_op "what remains is always tracked"] track_remaining;
        [no_op "there is one pool for each endpoint and worker"] max_connection_pools;
        [refused "retries are limited by max_retries"] retry_budget;
    } }
    let limits = CircuitBreaker {
        max_connections: max_connections.unwrap_or(DEFAULT.max_connections),
        max_pending_requests: max_pending_requests.unwrap_or(DEFAULT.max_pending_requests),
        max_requests: max_requests.unwrap_or(DEFAULT.max_requests),
        max_retries: max_retries.unwrap_or(DEFAULT.max_retries),
    };
    let priority: RoutingPriority = context.enumeration("priority", *priority)?;
    Ok((priority == RoutingPriority::Default).then_some(limits))
}
