//! Conversion of routes that forward.

use std::time::Duration;

use xds_api::envoy::config::route::v3 as route;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::hash_policy;
use crate::matcher::wire::substitution;
use crate::route::wire::{retry, weighted};
use crate::route::{ConnectMode, Forward, GrpcTimeout, MaxStreamDuration, PathRewrite, RouteAction, WeightedCluster};
use crate::wire::number::{bound, duration};

/// Envoy's default of `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// Converts a route to clusters.
pub(super) fn convert(wire: &route::RouteAction, context: &mut Context<'_>) -> Result<RouteAction, Refusal> {
    fates! { context, wire => route::RouteAction {
            [implemented] cluster_not_found_response_code, prefix_rewrite, regex_rewrite, append_x_forwarded_host, timeout,
                idle_timeout, retry_policy, max_grpc_timeout, max_stream_duration;
            [implemented "of CONNECT; other upgrades are switched in the listener only"] upgrade_configs;
            [implemented "with max_grpc_timeout"] grpc_timeout_offset;
            [implemented "where the cluster balances by hash"] hash_policy;
            [no_op "rate limits are refused"] include_vh_rate_limits;
            [refused "there is one priority"] priority;
            [refused "endpoints are not chosen by metadata"] metadata_match;
            [refused "mirroring is not supported yet"] request_mirror_policies;
            [refused "rate limits are not supported yet"] rate_limits;
            [refused "CORS is not supported yet"] cors;
            [refused "path templates are not supported yet"] path_rewrite_policy;
            [refused "redirects are passed to the client"] internal_redirect_policy, internal_redirect_action, max_internal_redirects;
            [refused "not supported"] path_rewrite, flush_timeout, early_data_policy, retry_policy_typed_config, hedge_policy;
        }
        oneof cluster_specifier {
            [implemented] cluster, weighted_clusters;
            [refused "clusters are not chosen by requests"] cluster_header, cluster_specifier_plugin,
                inline_cluster_specifier_plugin;
        }
        oneof host_rewrite_specifier {
            [implemented] host_rewrite_literal;
            [refused "the new authority must be given as it is"] auto_host_rewrite, host_rewrite_header, host_rewrite_path_regex,
                host_rewrite;
        }
    }
    Ok(RouteAction::Forward(Box::new(Forward {
        clusters: clusters(cluster_specifier, context)?,
        cluster_not_found_status: not_found_status(*cluster_not_found_response_code, context)?,
        timeout: bound("timeout", timeout, Some(DEFAULT_TIMEOUT), context)?,
        idle_timeout: duration("idle_timeout", idle_timeout, context)?,
        grpc_timeout: match duration("max_grpc_timeout", max_grpc_timeout, context)? {
            Some(max) => Some(GrpcTimeout {
                max: Some(max).filter(|max| !max.is_zero()),
                offset: duration("grpc_timeout_offset", grpc_timeout_offset, context)?.unwrap_or_default(),
            }),
            None => None,
        },
        max_stream_duration: context
            .optional("max_stream_duration", max_stream_duration, stream_duration)?
            .map(Box::new),
        retry: context.optional("retry_policy", retry_policy, retry::policy)?,
        path_rewrite: path_rewrite_of(prefix_rewrite, regex_rewrite, context)?,
        host_rewrite: host_rewrite(host_rewrite_specifier, context)?,
        append_x_forwarded_host: *append_x_forwarded_host,
        connect: connect_mode(upgrade_configs, context)?,
        hash_policies: hash_policy::wire::convert(hash_policy, context)?,
    })))
}

fn connect_mode(
    wire: &[route::route_action::UpgradeConfig],
    context: &mut Context<'_>,
) -> Result<ConnectMode, Refusal> {
    let modes = context.each("upgrade_configs", wire, |wire, context| {
        fates! { context, wire => route::route_action::UpgradeConfig {
            [implemented "CONNECT only"] upgrade_type;
            [implemented] enabled;
            [implemented "opens the tunnel here"] connect_config;
        } }
        if !upgrade_type.eq_ignore_ascii_case("connect") {
            return Err(
                context.refusal("upgrade_type", "is not CONNECT: other upgrades are switched in the listener only")
            );
        }
        let is_terminated = context.optional("connect_config", connect_config, |wire, context| {
            fates! { context, wire => route::route_action::upgrade_config::ConnectConfig {
                [refused "not supported"] proxy_protocol_config, allow_post;
            } }
            Ok(())
        })?;
        Ok(match (enabled, is_terminated) {
            (Some(false), _) => ConnectMode::Refused,
            (_, Some(())) => ConnectMode::Terminated,
            (_, None) => ConnectMode::Forwarded,
        })
    })?;
    match modes.as_slice() {
        [] => Ok(ConnectMode::Inherited),
        [mode] => Ok(*mode),
        _ => Err(context.refusal("upgrade_configs", "names CONNECT more than once")),
    }
}

fn stream_duration(
    wire: &route::route_action::MaxStreamDuration,
    context: &mut Context<'_>,
) -> Result<MaxStreamDuration, Refusal> {
    fates! { context, wire => route::route_action::MaxStreamDuration {
        [implemented] max_stream_duration, grpc_timeout_header_max, grpc_timeout_header_offset;
    } }
    Ok(MaxStreamDuration {
        duration: duration("max_stream_duration", max_stream_duration, context)?,
        grpc_timeout_header_max: duration("grpc_timeout_header_max", grpc_timeout_header_max, context)?,
        grpc_timeout_header_offset: duration("grpc_timeout_header_offset", grpc_timeout_header_offset, context)?
            .unwrap_or_default(),
    })
}

fn clusters(
    wire: &Option<route::route_action::ClusterSpecifier>,
    context: &mut Context<'_>,
) -> Result<Vec<WeightedCluster>, Refusal> {
    use route::route_action::ClusterSpecifier as Specifier;
    let refused = |member| Err(context.refused_member::<route::RouteAction>(member));
    match wire {
        Some(Specifier::Cluster(name)) if name.is_empty() => Err(context.refusal("cluster", "is empty")),
        Some(Specifier::Cluster(name)) => Ok(vec![WeightedCluster::only(name.clone())]),
        Some(Specifier::WeightedClusters(wire)) => {
            context.within("weighted_clusters", |context| weighted::clusters(wire, context))
        }
        Some(Specifier::ClusterHeader(_)) => refused("cluster_header"),
        Some(Specifier::ClusterSpecifierPlugin(_)) => refused("cluster_specifier_plugin"),
        Some(Specifier::InlineClusterSpecifierPlugin(_)) => refused("inline_cluster_specifier_plugin"),
        None => Err(context.refusal("cluster_specifier", "is missing")),
    }
}

fn not_found_status(code: i32, context: &Context<'_>) -> Result<u16, Refusal> {
    use route::route_action::ClusterNotFoundResponseCode as Code;
    Ok(match context.enumeration("cluster_not_found_response_code", code)? {
        Code::ServiceUnavailable => 503,
        Code::NotFound => 404,
        Code::InternalServerError => 500,
    })
}

fn path_rewrite_of(
    prefix: &str,
    regex: &Option<xds_api::envoy::r#type::matcher::v3::RegexMatchAndSubstitute>,
    context: &mut Context<'_>,
) -> Result<Option<PathRewrite>, Refusal> {
    let regex = context.optional("regex_rewrite", regex, substitution)?;
    match (prefix, regex) {
        ("", None) => Ok(None),
        (prefix, None) => Ok(Some(PathRewrite::Prefix(prefix.to_owned()))),
        ("", Some((pattern, substitution))) => Ok(Some(PathRewrite::Regex { pattern, substitution })),
        (_, Some(_)) => Err(context.refusal("regex_rewrite", "and prefix_rewrite exclude each other")),
    }
}

fn host_rewrite(
    wire: &Option<route::route_action::HostRewriteSpecifier>,
    context: &Context<'_>,
) -> Result<Option<String>, Refusal> {
    use route::route_action::HostRewriteSpecifier as Specifier;
    let refused = |member| Err(context.refused_member::<route::RouteAction>(member));
    match wire {
        Some(Specifier::HostRewriteLiteral(host)) => Ok((!host.is_empty()).then(|| host.clone())),
        Some(Specifier::AutoHostRewrite(false)) | None => Ok(None),
        Some(Specifier::AutoHostRewrite(true)) => refused("auto_host_rewrite"),
        Some(Specifier::HostRewriteHeader(_)) => refused("host_rewrite_header"),
        Some(Specifier::HostRewritePathRegex(_)) => refused("host_rewrite_path_regex"),
        Some(Specifier::HostRewrite(_)) => refused("host_rewrite"),
    }
}
