//! Flags of `pilot-agent proxy`, so that `selvedge proxy router …` can stand in its place.

use std::path::PathBuf;

use crate::io::DriverChoice;

/// What follows `selvedge proxy`. Flags that only Envoy or the Go agent could act on are accepted, because the pod templates of
/// istiod pass them; their help says so.
#[derive(Debug, Clone, clap::Args)]
pub struct AgentFlags {
    /// Kind of proxy; this binary is a gateway.
    #[arg(value_parser = ["router"], default_value = "router")]
    pub node_type: String,

    /// DNS domain suffix of the node, `<namespace>.svc.<cluster domain>`.
    #[arg(long, default_value = "")]
    pub domain: String,

    /// Worker threads; 0 follows PROXY_CONFIG, then the CPU limit.
    #[arg(long, default_value_t = 0)]
    pub concurrency: usize,

    /// Service name used in tracing.
    #[arg(long = "serviceCluster", default_value = "istio-proxy")]
    pub service_cluster: String,

    /// Envoy's log level. The data path has no log of its own here, so this has no effect: see --log_output_level.
    #[arg(long = "proxyLogLevel", default_value = "warning")]
    pub proxy_log_level: String,

    /// Mesh configuration file with `defaultConfig`.
    #[arg(long = "meshConfig", default_value = "./etc/istio/config/mesh")]
    pub mesh_config: PathBuf,

    /// Level of our log, as the Go agent writes it: `default:info`, `all:debug` or `warn`.
    #[arg(long = "log_output_level", default_value = "default:info")]
    pub log_output_level: String,

    /// Write our own log as JSON.
    #[arg(long = "log_as_json")]
    pub log_as_json: bool,

    /// Envoy's per-component log levels; there are no such components here. Accepted for the pod template's sake.
    #[arg(long = "proxyComponentLogLevel", default_value = "")]
    pub proxy_component_log_level: String,

    /// Port of the Go agent's token exchange server; 0, because there is none here.
    #[arg(long = "stsPort", default_value_t = 0)]
    pub sts_port: u16,

    /// Take over from the gateway behind this Unix socket, if there is one, without refusing a client; then wait behind it for the
    /// next one. Ours alone, for gateways outside of pods.
    #[arg(long, value_name = "PATH")]
    pub handover_socket: Option<PathBuf>,

    /// Be an edge: the folder that `selvedge join` has made. Its file `edge.yaml` says what other edges may call here, and which of
    /// their services are served here; those are written into the cluster. Ours alone.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// How the API server is reached, for `--state`; as every pod reaches it, if not given. Ours alone.
    #[arg(long, value_name = "FILE", requires = "state")]
    pub kubeconfig: Option<PathBuf>,

    /// What drives sockets. `auto`: io_uring where the kernel allows it, otherwise epoll.
    /// Ours alone.
    #[arg(long, value_enum, default_value_t)]
    pub io_driver: DriverChoice,
}
