//! Conversion of clusters.

mod balancer;
mod discovery;
mod limits;
mod metadata;
mod outlier;
mod protocol;
#[cfg(test)]
mod tests;
mod transport;

use std::time::Duration;

use xds_api::envoy::config::cluster::v3 as cluster;
use xds_api::envoy::config::core::v3 as core;

use crate::cluster::{Cluster, TcpKeepalive};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Report, fates};
use crate::wire::number;

pub(crate) use discovery::DNS_RESOLVERS;
pub(crate) use metadata::UPSTREAM_FILTERS;
pub(crate) use protocol::PROTOCOL_OPTIONS;
pub(crate) use transport::TRANSPORT_SOCKETS;

/// Envoy's default of `connect_timeout`.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Envoy's default of `common_http_protocol_options.idle_timeout`.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

impl Cluster {
    /// Converts a cluster.
    ///
    /// # Errors
    /// A field is refused.
    pub fn from_wire(wire: &cluster::Cluster, report: &mut Report) -> Result<Self, Refusal> {
        Self::convert(wire, &mut Context::new(&wire.name, report))
    }

    fn convert(wire: &cluster::Cluster, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => cluster::Cluster {
                [implemented] name, connect_timeout, circuit_breakers, typed_extension_protocol_options, transport_socket,
                    transport_socket_matches, metadata, upstream_connection_options, filters, common_lb_config, outlier_detection;
                [elsewhere] eds_cluster_config, load_assignment, dns_refresh_rate, respect_dns_ttl, dns_lookup_family,
                    typed_dns_resolver_config;
                [implemented "all but CLUSTER_PROVIDED; weights of endpoints mean nothing to RANDOM, as in Envoy"] lb_policy;
                [implemented "the form in HttpProtocolOptions comes first"] max_requests_per_connection;
                [no_op "names of statistics; %UPSTREAM_CLUSTER% is the cluster's name"] alt_stat_name, stats_matcher;
                [no_op "statistics only"] track_timeout_budgets, track_cluster_stats;
                [no_op "look-ups are spread by their own times"] dns_jitter;
                [no_op "a failed look-up is tried again after half a second, then after twice as long each time, up to the refresh rate"] dns_failure_refresh_rate;
                [no_op "there are no active health checks"] ignore_health_on_host_removal;
                [no_op "nothing waits for a cluster"] wait_for_warm_on_init;
                [no_op "connections are made when they are needed"] preconnect_policy;
                [no_op "is for original destinations, which are refused"] cleanup_interval;
                [refused "use transport_socket_matches"] transport_socket_matcher;
                [no_op "the bounds of buffers are fixed"] per_connection_buffer_limit_bytes;
                [refused "not supported"] per_connection_buffer_high_watermark_timeout;
                [refused "active health checks are not supported"] health_checks, close_connections_on_host_health_failure;
                [refused "deprecated: use HttpProtocolOptions in typed_extension_protocol_options"] upstream_http_protocol_options,
                    common_http_protocol_options, http_protocol_options, http2_protocol_options, protocol_selection;
                [refused "names are resolved by the system's resolver"] dns_resolvers, use_tcp_for_dns_lookups,
                    dns_resolution_config;
                [refused "the kernel chooses the source address"] upstream_bind_config;
                [refused "endpoints are not chosen by metadata"] lb_subset_config;
                [refused "extensions of load balancing are not supported"] load_balancing_policy;
                [refused "load is not reported"] lrs_server, lrs_report_endpoint_metrics;
                [refused "connections are shared by all clients"] connection_pool_per_downstream_connection;
                [refused "not supported"] upstream_config, queuing_policies;
            }
            oneof cluster_discovery_type {
                [implemented "EDS, STATIC, STRICT_DNS and LOGICAL_DNS"] r#type;
                [refused "clusters of other types are not supported yet"] cluster_type;
            }
            oneof lb_config {
                [implemented] least_request_lb_config, round_robin_lb_config, ring_hash_lb_config, maglev_lb_config;
                [refused "original destinations are not supported yet"] original_dst_lb_config;
            }
        }
        if name.is_empty() {
            return Err(context.refusal("name", "is empty"));
        }
        metadata::check_filters(filters, context)?;
        let options = protocol::convert(typed_extension_protocol_options, context)?;
        let transport = transport::convert(transport_socket, transport_socket_matches, options.server_names, context)?;
        let common = balancer::common(common_lb_config, context)?;
        let (balancer, slow_start) = balancer::convert(*lb_policy, lb_config, context)?;
        protocol::check_transport(options.protocol, &transport, context)?;
        Ok(Self {
            name: name.clone(),
            discovery: discovery::convert(wire, cluster_discovery_type, context)?,
            balancer,
            slow_start,
            panic_threshold: common.panic_threshold,
            weighs_localities: common.weighs_localities,
            outlier_detection: context.optional("outlier_detection", outlier_detection, outlier::convert)?,
            connect_timeout: match number::duration("connect_timeout", connect_timeout, context)? {
                Some(Duration::ZERO) => return Err(context.refusal("connect_timeout", "must be more than 0")),
                timeout => timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
            },
            protocol: options.protocol,
            http2: options.http2,
            idle_timeout: options
                .idle_timeout
                .map_or(Some(DEFAULT_IDLE_TIMEOUT), |timeout| Some(timeout).filter(|timeout| !timeout.is_zero())),
            max_requests_per_connection: options
                .max_requests_per_connection
                .or(*max_requests_per_connection)
                .filter(|requests| *requests != 0),
            tcp_keepalive: context
                .optional("upstream_connection_options", upstream_connection_options, tcp_keepalive)?
                .flatten(),
            limits: limits::convert(circuit_breakers, context)?,
            transport,
            istio: context.optional("metadata", metadata, metadata::convert)?.unwrap_or_default(),
        })
    }
}

fn tcp_keepalive(
    wire: &cluster::UpstreamConnectionOptions,
    context: &mut Context<'_>,
) -> Result<Option<TcpKeepalive>, Refusal> {
    fates! { context, wire => cluster::UpstreamConnectionOptions {
        [implemented] tcp_keepalive;
        [no_op "nothing reads the interface"] set_local_interface_name_on_upstream_connections;
        [no_op "addresses of an endpoint are tried in the order they are given"] happy_eyeballs_config;
    } }
    context.optional("tcp_keepalive", tcp_keepalive, |wire, context| {
        fates! { context, wire => core::TcpKeepalive {
            [implemented] keepalive_probes, keepalive_time, keepalive_interval;
        } }
        let seconds = |value: &Option<u32>| value.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(TcpKeepalive {
            probes: *keepalive_probes,
            time: seconds(keepalive_time),
            interval: seconds(keepalive_interval),
        })
    })
}
