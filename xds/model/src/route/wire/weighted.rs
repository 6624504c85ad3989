//! Conversion of several targets with weights.

use xds_api::envoy::config::route::v3 as route;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::route::wire::{request_headers, response_headers};
use crate::route::{RouteHeaders, WeightedCluster};

/// Converts the targets; there may be none, and all weights may be 0.
pub(super) fn clusters(
    wire: &route::WeightedCluster,
    context: &mut Context<'_>,
) -> Result<Vec<WeightedCluster>, Refusal> {
    fates! { context, wire => route::WeightedCluster {
            [implemented] clusters;
            [no_op "weights are shares of their sum"] total_weight;
            [no_op "there is no runtime that could override weights"] runtime_key_prefix;
        }
        oneof random_value_specifier {
            [refused "the choice is random"] header_name, use_hash_policy;
        }
    }
    use route::weighted_cluster::RandomValueSpecifier as Specifier;
    match random_value_specifier {
        None | Some(Specifier::UseHashPolicy(false)) => {}
        Some(Specifier::HeaderName(_)) => return Err(context.refused_member::<route::WeightedCluster>("header_name")),
        Some(Specifier::UseHashPolicy(true)) => {
            return Err(context.refused_member::<route::WeightedCluster>("use_hash_policy"));
        }
    }
    let clusters = context.each("clusters", clusters, cluster)?;
    if clusters.iter().try_fold(0_u32, |sum, cluster| sum.checked_add(cluster.weight)).is_none() {
        return Err(context.refusal("clusters", "the sum of the weights is more than 4294967295"));
    }
    Ok(clusters)
}

fn cluster(
    wire: &route::weighted_cluster::ClusterWeight,
    context: &mut Context<'_>,
) -> Result<WeightedCluster, Refusal> {
    fates! { context, wire => route::weighted_cluster::ClusterWeight {
            [implemented] name, weight, request_headers_to_add, request_headers_to_remove, response_headers_to_add,
                response_headers_to_remove;
            [refused "clusters are not chosen by requests"] cluster_header;
            [refused "endpoints are not chosen by metadata"] metadata_match;
            [refused "settings of filters per target are not supported yet"] typed_per_filter_config;
        }
        oneof host_rewrite_specifier { [implemented] host_rewrite_literal; }
    }
    use route::weighted_cluster::cluster_weight::HostRewriteSpecifier as Specifier;
    if name.is_empty() {
        return Err(context.refusal("name", "is empty"));
    }
    let host = host_rewrite_specifier.as_ref().map(|Specifier::HostRewriteLiteral(host)| host.clone());
    Ok(WeightedCluster {
        name: name.clone(),
        weight: weight.unwrap_or_default(),
        headers: RouteHeaders {
            request: request_headers(request_headers_to_add, request_headers_to_remove).convert(context)?,
            response: response_headers(response_headers_to_add, response_headers_to_remove).convert(context)?,
        },
        host_rewrite: host.filter(|host| !host.is_empty()),
    })
}

impl WeightedCluster {
    /// The only target.
    pub(crate) fn only(name: String) -> Self {
        Self { name, weight: 1, headers: RouteHeaders::default(), host_rewrite: None }
    }
}
