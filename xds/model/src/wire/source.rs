//! Who serves a resource.

use std::time::Duration;

use xds_api::envoy::config::core::v3 as core;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::tls::SecretServer;
use crate::wire::number;

/// Clusters by which Istio's bootstrap names the agent beside the proxy; here the process itself answers.
const AGENT_CLUSTERS: &[&str] = &["sds-grpc", "sds-files-grpc"];

/// Who serves what `wire` stands for: the control plane or the agent.
pub(crate) fn server(wire: &core::ConfigSource, context: &mut Context<'_>) -> Result<SecretServer, Refusal> {
    read(wire, context).map(|(server, _)| server)
}

/// Refuses what does not come over ADS, and returns for how long the first version is to be waited for, if there is a bound.
pub(crate) fn ads(wire: &core::ConfigSource, context: &mut Context<'_>) -> Result<Option<Duration>, Refusal> {
    match read(wire, context)? {
        (SecretServer::Ads, fetch_timeout) => Ok(fetch_timeout),
        (SecretServer::Agent, _) => Err(context.refusal("api_config_source", "only ADS is supported here")),
    }
}

fn read(wire: &core::ConfigSource, context: &mut Context<'_>) -> Result<(SecretServer, Option<Duration>), Refusal> {
    fates! { context, wire => core::ConfigSource {
            [implemented "for extension configurations; others are waited for 15 s, secrets 2 s"] initial_fetch_timeout;
            [no_op "version 3 is the only one"] resource_api_version;
            [refused "resources are named without authorities"] authorities;
        }
        oneof config_source_specifier {
            [implemented "the stream that carries the resource"] ads, self;
            [implemented "for secrets that Istio's agent serves, clusters `sds-grpc` and `sds-files-grpc`"] api_config_source;
            [refused "resources come over ADS only"] path, path_config_source;
        }
    }
    use core::config_source::ConfigSourceSpecifier as Specifier;
    let server = match config_source_specifier {
        Some(Specifier::Ads(core::AggregatedConfigSource {}) | Specifier::Self_(_)) => SecretServer::Ads,
        Some(Specifier::ApiConfigSource(wire)) => context.within("api_config_source", |context| api(wire, context))?,
        Some(Specifier::Path(_)) => return Err(context.refused_member::<core::ConfigSource>("path")),
        Some(Specifier::PathConfigSource(_)) => {
            return Err(context.refused_member::<core::ConfigSource>("path_config_source"));
        }
        None => return Err(context.refusal("config_source_specifier", "is missing")),
    };
    Ok((server, number::bound("initial_fetch_timeout", initial_fetch_timeout, None, context)?))
}

fn api(wire: &core::ApiConfigSource, context: &mut Context<'_>) -> Result<SecretServer, Refusal> {
    fates! { context, wire => core::ApiConfigSource {
        [implemented] grpc_services;
        [no_op "nothing is transported"] api_type, transport_api_version, refresh_delay, request_timeout, rate_limit_settings,
            set_node_on_first_message_only;
        [refused "use grpc_services"] cluster_names;
        [refused "validators are extensions of Envoy"] config_validators;
    } }
    let [service] = grpc_services.as_slice() else {
        return Err(context.refusal("grpc_services", "exactly one is needed"));
    };
    context.within("grpc_services", |context| service_target(service, context))
}

fn service_target(wire: &core::GrpcService, context: &mut Context<'_>) -> Result<SecretServer, Refusal> {
    fates! { context, wire => core::GrpcService {
            [no_op "nothing is transported"] timeout, initial_metadata, retry_policy;
        }
        oneof target_specifier {
            [implemented] envoy_grpc;
            [refused "services are named by cluster"] google_grpc;
        }
    }
    use core::grpc_service::TargetSpecifier;
    match target_specifier {
        Some(TargetSpecifier::EnvoyGrpc(wire)) => context.within("envoy_grpc", |context| cluster_target(wire, context)),
        Some(TargetSpecifier::GoogleGrpc(_)) => Err(context.refused_member::<core::GrpcService>("google_grpc")),
        None => Err(context.refusal("target_specifier", "is missing")),
    }
}

fn cluster_target(wire: &core::grpc_service::EnvoyGrpc, context: &mut Context<'_>) -> Result<SecretServer, Refusal> {
    fates! { context, wire => core::grpc_service::EnvoyGrpc {
        [implemented] cluster_name;
        [no_op "nothing is transported"] authority, retry_policy, max_receive_message_length, skip_envoy_headers;
    } }
    if AGENT_CLUSTERS.contains(&cluster_name.as_str()) {
        return Ok(SecretServer::Agent);
    }
    Err(context.refusal("cluster_name", format_args!("secrets cannot be fetched from {cluster_name:?}")))
}
