//! `selvedge proxy router`: a gateway in Istio's pod.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use tokio::sync::watch;
use xds_client::ca::{CaOptions, SpiffeId};
use xds_client::control_plane::{ControlPlane, RootSource, TlsOptions};
use xds_client::node::{Node, Sources};
use xds_client::session::{SessionOptions, Timing};

use super::{descriptors, log, on_control, summary};
use crate::admin::{Access, level};
use crate::bootstrap::{AgentFlags, BootstrapError, Environment, Settings, TrustRoots};
use crate::edge::{EdgeOptions, KubernetesOptions};
use crate::gateway::{Gateway, GatewayOptions, SourceOptions};

/// The end of names of Services, unless `--domain` says another.
const DEFAULT_DOMAIN: &str = "cluster.local";

pub(super) fn run(flags: &AgentFlags) -> anyhow::Result<ExitCode> {
    let log_levels = log::start(&log_filter(flags)?, flags.log_as_json);
    descriptors::raise_limit();
    let environment = Environment::of_process();
    let settings = Settings::from_pod(flags, &environment, Path::new("/"))?;
    let node = node(&settings, &environment)?;
    on_control(async {
        let options = GatewayOptions {
            workers: settings.concurrency,
            servers: servers(&settings),
            drain: settings.drain,
            handover_socket: flags.handover_socket.clone(),
            io_driver: flags.io_driver,
            overload: settings.overload.clone(),
            node: json!({ "id": node.id, "cluster": node.cluster, "metadata": node.metadata }),
            command_line: json!({ "concurrency": settings.concurrency, "service_node": node.id }),
            log_levels,
            file_root: "/".into(),
            local_address: settings.instance_ips.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host_name: settings.pod_name.clone(),
        };
        let gateway = Gateway::start(options, source(flags, &settings, node)).await?;
        summary::log_when_ready(gateway.admin().clone());
        gateway.run().await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// `--log_output_level default:info` is our own log's level: what Envoy logs, `--proxyLogLevel`, is part of it here.
fn log_filter(flags: &AgentFlags) -> Result<String, BootstrapError> {
    let scopes = || flags.log_output_level.split(',');
    let of_scope = |name: &str| scopes().find_map(|scope| scope.strip_prefix(name)?.strip_prefix(':'));
    let of_all = || scopes().find(|scope| !scope.contains(':'));
    let wanted = of_scope("default").or_else(|| of_scope("all")).or_else(of_all).unwrap_or("info");
    let known =
        level(wanted).ok_or_else(|| BootstrapError::new("--log_output_level", format!("`{wanted}` is no level")))?;
    Ok(known.to_owned())
}

fn node(settings: &Settings, environment: &Environment) -> anyhow::Result<Node> {
    let mut variables = environment.variables().clone();
    // The merged ProxyConfig, not only its variable: it overrides the mesh's defaults for this proxy.
    variables.insert("PROXY_CONFIG".to_owned(), settings.proxy_config.document.to_string());
    for (name, value) in &settings.proxy_config.proxy_metadata {
        variables.insert(name.clone(), value.clone());
    }
    Ok(Node::from_sources(&Sources::of_gateway(variables, &settings.domain))?)
}

fn servers(settings: &Settings) -> Vec<(SocketAddr, Access)> {
    let all = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let ports = settings.ports;
    [
        (loopback, ports.admin, Access::All),
        (all, ports.status, Access::Agent),
        (all, ports.readiness, Access::Readiness),
        (all, ports.prometheus, Access::Metrics),
    ]
    .into_iter()
    .filter(|(_, port, _)| *port != 0)
    .map(|(address, port, access)| (SocketAddr::new(address, port), access))
    .collect()
}

fn source(flags: &AgentFlags, settings: &Settings, node: Node) -> SourceOptions {
    let edge = flags.state.clone().map(|state| Box::new(edge(flags, settings, state, &node)));
    let session = SessionOptions {
        name: "istiod".to_owned(),
        control_plane: control_plane(
            settings,
            &settings.control_plane.discovery_address,
            &settings.control_plane.discovery_roots,
        ),
        node,
        snapshot_directory: Some(settings.data_directory.clone()),
        needed_clusters: watch::channel(BTreeSet::new()).1,
        timing: Timing::default(),
    };
    let certificates = CaOptions::new(
        control_plane(settings, &settings.control_plane.ca_address, &settings.control_plane.ca_roots),
        SpiffeId {
            trust_domain: settings.trust_domain.clone(),
            namespace: settings.pod_namespace.clone(),
            service_account: settings.service_account.clone(),
        },
    );
    // Plaintext (15010) knows nobody, so it signs nothing.
    let certificates = (!is_plaintext(&settings.control_plane.ca_address)).then(|| Box::new(certificates));
    SourceOptions::ControlPlane { session: Box::new(session), certificates, edge }
}

fn edge(flags: &AgentFlags, settings: &Settings, state: PathBuf, node: &Node) -> (EdgeOptions, KubernetesOptions) {
    // The name of a namespace has no dots.
    let domain = settings.domain.split_once(".svc.").map_or(DEFAULT_DOMAIN, |(_, domain)| domain);
    let cluster = KubernetesOptions {
        kubeconfig: flags.kubeconfig.clone(),
        namespace: settings.pod_namespace.clone(),
        service_account: settings.service_account.clone(),
        trust_domain: settings.trust_domain.clone(),
        domain: domain.to_owned(),
    };
    let workload = SpiffeId {
        trust_domain: settings.trust_domain.clone(),
        namespace: settings.pod_namespace.clone(),
        service_account: settings.service_account.clone(),
    };
    (EdgeOptions { state, locality: node.locality(), workload: Some(workload) }, cluster)
}

fn control_plane(settings: &Settings, address: &str, roots: &TrustRoots) -> ControlPlane {
    let tls = (!is_plaintext(address)).then(|| TlsOptions {
        roots: match roots {
            TrustRoots::File(path) => RootSource::File(path.clone()),
            TrustRoots::System => RootSource::System,
        },
        server_name: settings.control_plane.server_name.clone(),
    });
    ControlPlane {
        address: address.to_owned(),
        tls,
        token_file: Some(settings.control_plane.token_file.clone()),
        cluster_id: settings.control_plane.cluster_id.clone(),
    }
}

/// istiod's plaintext port; the agent goes by the port as well.
fn is_plaintext(address: &str) -> bool {
    address.ends_with(":15010")
}
