//! Everything that is fixed for the life of the process, from flags, environment and files.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{AgentFlags, BootstrapError, Environment, ProxyConfig, overload};
use crate::overload::OverloadSettings;

const MESH_ANNOTATION: &str = "proxy.istio.io/config";

/// The fixed settings of a gateway pod.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Worker threads.
    pub concurrency: usize,
    /// Where configuration and certificates come from.
    pub control_plane: ControlPlane,
    /// Ports of our own servers.
    pub ports: Ports,
    /// How the process ends.
    pub drain: DrainSettings,
    /// Pod name, as istiod and logs know it.
    pub pod_name: String,
    /// Namespace of the pod.
    pub pod_namespace: String,
    /// Service account of the pod.
    pub service_account: String,
    /// SPIFFE trust domain.
    pub trust_domain: String,
    /// DNS domain of the node.
    pub domain: String,
    /// The pod's addresses.
    pub instance_ips: Vec<IpAddr>,
    /// Where the last good configuration is kept.
    pub data_directory: PathBuf,
    /// Limits of connections, and what memory in use leads to.
    pub overload: OverloadSettings,
    /// The merged ProxyConfig.
    pub proxy_config: ProxyConfig,
}

/// How istiod is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlane {
    /// `host:port` for xDS.
    pub discovery_address: String,
    /// `host:port` for certificates.
    pub ca_address: String,
    /// Name to verify in istiod's certificate instead of the host (`ISTIOD_SAN`).
    pub server_name: Option<String>,
    /// Whom to trust for xDS.
    pub discovery_roots: TrustRoots,
    /// Whom to trust for certificates.
    pub ca_roots: TrustRoots,
    /// File with the bearer token, read anew for every stream.
    pub token_file: PathBuf,
    /// `CLUSTER_ID` of the node.
    pub cluster_id: String,
}

/// Certificate authorities of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustRoots {
    /// A PEM file, watched.
    File(PathBuf),
    /// Those of the operating system.
    System,
}

/// Ports of our own servers; 0 switches one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Admin, loopback only (15000).
    pub admin: u16,
    /// Readiness, metrics, and from the host itself `quitquitquit` and `drain` (15020).
    pub status: u16,
    /// Readiness probe (15021).
    pub readiness: u16,
    /// Metrics of the proxy alone (15090).
    pub prometheus: u16,
}

/// How the process ends after SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainSettings {
    /// How long connections of a removed listener or chain may go on; with `exit_on_zero_active_connections` also the longest drain.
    pub drain_duration: Duration,
    /// When the process goes, whatever is open; not with `exit_on_zero_active_connections`.
    pub termination_drain_duration: Duration,
    /// Go as soon as nothing is open, instead of after `termination_drain_duration`.
    pub exit_on_zero_active_connections: bool,
    /// With the above: how long connections are still accepted at least.
    pub minimum_drain_duration: Duration,
}

impl Settings {
    /// Reads everything that `selvedge proxy router` is given. `root` is the folder that relative paths start from.
    ///
    /// # Errors
    /// A value that cannot be understood, or one that is missing and has no default; the error names it.
    pub fn from_pod(flags: &AgentFlags, environment: &Environment, root: &Path) -> Result<Self, BootstrapError> {
        let proxy_config = read_proxy_config(flags, environment, root)?;
        let pod_namespace = environment.get("POD_NAMESPACE").unwrap_or("default").to_owned();
        let domain = match flags.domain.as_str() {
            "" => format!("{pod_namespace}.svc.cluster.local"),
            domain => domain.to_owned(),
        };
        Ok(Self {
            concurrency: concurrency(flags, environment, &proxy_config)?,
            control_plane: control_plane(environment, &proxy_config, root),
            ports: Ports {
                admin: proxy_config.proxy_admin_port,
                status: proxy_config.status_port,
                readiness: environment.port("ENVOY_STATUS_PORT", 15021)?,
                prometheus: environment.port("ENVOY_PROMETHEUS_PORT", 15090)?,
            },
            drain: DrainSettings {
                drain_duration: proxy_config.drain_duration,
                termination_drain_duration: environment
                    .duration("TERMINATION_DRAIN_DURATION_SECONDS", proxy_config.termination_drain_duration)
                    .or_else(|error| seconds(environment, "TERMINATION_DRAIN_DURATION_SECONDS").ok_or(error))?,
                exit_on_zero_active_connections: environment.flag("EXIT_ON_ZERO_ACTIVE_CONNECTIONS")?,
                minimum_drain_duration: environment.duration("MINIMUM_DRAIN_DURATION", Duration::from_secs(5))?,
            },
            pod_name: environment.get_or("POD_NAME", "selvedge").to_owned(),
            pod_namespace,
            service_account: environment.get_or("SERVICE_ACCOUNT", "default").to_owned(),
            trust_domain: environment.get_or("TRUST_DOMAIN", "cluster.local").to_owned(),
            domain,
            instance_ips: instance_ips(environment)?,
            data_directory: root.join("var/lib/istio/data"),
            overload: overload::settings(environment, &proxy_config, root)?,
            proxy_config,
        })
    }
}

fn read_proxy_config(
    flags: &AgentFlags,
    environment: &Environment,
    root: &Path,
) -> Result<ProxyConfig, BootstrapError> {
    let mesh = read_mesh_default_config(&root.join(&flags.mesh_config))?;
    let annotation = pod_annotation(&root.join("etc/istio/pod/annotations"), MESH_ANNOTATION);
    let mut documents = vec![("defaultConfig of the mesh configuration file", mesh.as_str())];
    if let Some(text) = environment.get("PROXY_CONFIG") {
        documents.push(("PROXY_CONFIG", text));
    }
    if let Some(text) = &annotation {
        documents.push(("annotation proxy.istio.io/config", text));
    }
    ProxyConfig::merge(&documents)
}

/// The `defaultConfig` of a MeshConfig file, as YAML; empty where there is no file.
fn read_mesh_default_config(path: &Path) -> Result<String, BootstrapError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(BootstrapError::new(path.display().to_string(), error.to_string())),
    };
    let mesh: serde_json::Value = yaml_serde::from_str(&text)
        .map_err(|error| BootstrapError::new(path.display().to_string(), error.to_string()))?;
    Ok(mesh.get("defaultConfig").map(ToString::to_string).unwrap_or_default())
}

/// One annotation from the downward API file, whose lines are `name="value"` with Go escapes.
fn pod_annotation(path: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let quoted = line.strip_prefix(name)?.strip_prefix('=')?;
        serde_json::from_str(quoted).ok()
    })
}

fn concurrency(flags: &AgentFlags, environment: &Environment, config: &ProxyConfig) -> Result<usize, BootstrapError> {
    if flags.concurrency > 0 {
        return Ok(flags.concurrency);
    }
    if let Some(configured) = config.concurrency {
        return Ok(configured);
    }
    let limit = match environment.get("ISTIO_CPU_LIMIT") {
        None => None,
        Some(text) => Some(
            text.parse::<usize>()
                .map_err(|_| BootstrapError::new("ISTIO_CPU_LIMIT", format!("`{text}` is not a number of CPUs")))?,
        ),
    };
    Ok(limit.filter(|cores| *cores > 0).unwrap_or_else(default_concurrency))
}

/// One worker a core, at most four: an edge has few cores, and each worker keeps pools of its own.
pub fn default_concurrency() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

fn control_plane(environment: &Environment, config: &ProxyConfig, root: &Path) -> ControlPlane {
    let default_root = root.join("var/run/secrets/istio/root-cert.pem");
    let roots = |name: &str| match environment.get(name) {
        None => TrustRoots::File(default_root.clone()),
        Some("SYSTEM") => TrustRoots::System,
        Some(path) => TrustRoots::File(root.join(path)),
    };
    ControlPlane {
        discovery_address: config.discovery_address.clone(),
        ca_address: environment.get_or("CA_ADDR", &config.discovery_address).to_owned(),
        server_name: environment.get("ISTIOD_SAN").map(str::to_owned),
        discovery_roots: roots("XDS_ROOT_CA"),
        ca_roots: roots("CA_ROOT_CA"),
        token_file: root.join("var/run/secrets/tokens/istio-token"),
        cluster_id: environment.get_or("ISTIO_META_CLUSTER_ID", "Kubernetes").to_owned(),
    }
}

fn instance_ips(environment: &Environment) -> Result<Vec<IpAddr>, BootstrapError> {
    let text = environment.get("INSTANCE_IP").unwrap_or("127.0.0.1");
    text.split(',')
        .map(|part| {
            part.trim()
                .parse()
                .map_err(|_| BootstrapError::new("INSTANCE_IP", format!("`{part}` is not an IP address")))
        })
        .collect()
}

fn seconds(environment: &Environment, name: &str) -> Option<Duration> {
    environment.get(name)?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Parser {
        #[command(flatten)]
        flags: AgentFlags,
    }

    fn flags(arguments: &[&str]) -> AgentFlags {
        use clap::Parser as _;
        Parser::try_parse_from(std::iter::once("selvedge").chain(arguments.iter().copied())).unwrap().flags
    }

    /// Arguments as `kube-gateway.yaml` of istiod writes them.
    const GATEWAY_POD: &[&str] = &[
        "router",
        "--domain",
        "edge.svc.cluster.local",
        "--proxyLogLevel",
        "warning",
        "--proxyComponentLogLevel",
        "misc:error",
        "--log_output_level",
        "default:info",
    ];

    #[test]
    fn a_gateway_pod_is_understood() {
        let environment = Environment::new([
            ("POD_NAME", "gateway-7f"),
            ("POD_NAMESPACE", "edge"),
            ("INSTANCE_IP", "10.244.0.7"),
            ("SERVICE_ACCOUNT", "gateway"),
            ("ISTIO_CPU_LIMIT", "2"),
            ("PROXY_CONFIG", r#"{"discoveryAddress":"istiod.istio-system.svc:15012","terminationDrainDuration":"7s"}"#),
        ]);
        let settings = Settings::from_pod(&flags(GATEWAY_POD), &environment, Path::new("/nowhere")).unwrap();
        assert_eq!(settings.concurrency, 2);
        assert_eq!(settings.control_plane.ca_address, "istiod.istio-system.svc:15012");
        assert_eq!(settings.drain.termination_drain_duration, Duration::from_secs(7));
        assert_eq!(settings.ports, Ports { admin: 15000, status: 15020, readiness: 15021, prometheus: 15090 });
        assert_eq!(settings.domain, "edge.svc.cluster.local");
        assert_eq!(settings.instance_ips, vec![IpAddr::from([10, 244, 0, 7])]);
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let environment = Environment::new([("INSTANCE_IP", "10.0.0.300")]);
        let error = Settings::from_pod(&flags(&[]), &environment, Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.to_string(), "INSTANCE_IP: `10.0.0.300` is not an IP address");
    }
}
