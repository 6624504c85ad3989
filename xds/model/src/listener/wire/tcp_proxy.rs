//! Conversion of the TCP proxy.

use std::time::Duration;

use xds_api::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;

use crate::access_log::AccessLog;
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::hash_policy;
use crate::listener::TcpProxy;
use crate::route::WeightedCluster;
use crate::wire::number::bound;

/// Envoy's default of `idle_timeout`.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

pub(super) fn convert(wire: &tcp_proxy::TcpProxy, context: &mut Context<'_>) -> Result<TcpProxy, Refusal> {
    fates! { context, wire => tcp_proxy::TcpProxy {
            [implemented] stat_prefix, idle_timeout, access_log, max_downstream_connection_duration;
            [implemented "source_ip, where the cluster balances by hash"] hash_policy;
            [no_op "spreads the ends of connections; they are spread anyway"] max_downstream_connection_duration_jitter_percentage;
            [no_op "connections end when the gateway drains"] check_drain_close;
            [refused "clusters come with CDS"] on_demand;
            [refused "endpoints are not chosen by metadata"] metadata_match;
            [refused "tunnels are not supported yet"] tunneling_config;
            [refused "there is one attempt"] max_connect_attempts if max_connect_attempts.is_some_and(|attempts| attempts > 1),
                backoff_options;
            [refused "connections are logged when they end"] access_log_flush_interval, flush_access_log_on_connected,
                access_log_options;
            [refused "PROXY protocol is not written to upstreams yet"] proxy_protocol_tlvs, proxy_protocol_tlv_merge_policy;
            [refused "the upstream is connected at once"] upstream_connect_mode, max_early_data_bytes;
            [refused "use idle_timeout"] downstream_idle_timeout, upstream_idle_timeout;
        }
        oneof cluster_specifier { [implemented] cluster, weighted_clusters; }
    }
    use tcp_proxy::tcp_proxy::ClusterSpecifier;
    let clusters = match cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) if name.is_empty() => return Err(context.refusal("cluster", "is empty")),
        Some(ClusterSpecifier::Cluster(name)) => vec![WeightedCluster::only(name.clone())],
        Some(ClusterSpecifier::WeightedClusters(wire)) => {
            context.within("weighted_clusters", |context| weighted_clusters(wire, context))?
        }
        None => return Err(context.refusal("cluster_specifier", "is missing")),
    };
    Ok(TcpProxy {
        stat_prefix: stat_prefix.clone(),
        clusters,
        idle_timeout: bound("idle_timeout", idle_timeout, Some(DEFAULT_IDLE_TIMEOUT), context)?,
        max_downstream_connection_duration: bound(
            "max_downstream_connection_duration",
            max_downstream_connection_duration,
            None,
            context,
        )?,
        hashes_source: hash_policy::wire::hashes_source(hash_policy, context)?,
        access_log: context.each("access_log", access_log, AccessLog::convert)?,
    })
}

fn weighted_clusters(
    wire: &tcp_proxy::tcp_proxy::WeightedCluster,
    context: &mut Context<'_>,
) -> Result<Vec<WeightedCluster>, Refusal> {
    fates! { context, wire => tcp_proxy::tcp_proxy::WeightedCluster { [implemented] clusters; } }
    let clusters = context.each("clusters", clusters, cluster_weight)?;
    let sum = clusters.iter().try_fold(0_u32, |sum, cluster| sum.checked_add(cluster.weight));
    match sum {
        Some(1..) => Ok(clusters),
        Some(0) => Err(context.refusal("clusters", "needs at least one, and weights above 0")),
        None => Err(context.refusal("clusters", "the sum of the weights is more than 4294967295")),
    }
}

fn cluster_weight(
    wire: &tcp_proxy::tcp_proxy::weighted_cluster::ClusterWeight,
    context: &mut Context<'_>,
) -> Result<WeightedCluster, Refusal> {
    fates! { context, wire => tcp_proxy::tcp_proxy::weighted_cluster::ClusterWeight {
        [implemented] name, weight;
        [refused "endpoints are not chosen by metadata"] metadata_match;
    } }
    if name.is_empty() {
        return Err(context.refusal("name", "is empty"));
    }
    Ok(WeightedCluster { weight: *weight, ..WeightedCluster::only(name.clone()) })
}
