//! `selvedge run`: a gateway from a folder.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::overload::OverloadArguments;
use super::{descriptors, log, on_control, summary};
use crate::admin::{Access, level};
use crate::bootstrap::{DrainSettings, default_concurrency};
use crate::config::local::LocalOptions;
use crate::edge::EdgeOptions;
use crate::gateway::{Gateway, GatewayOptions, SourceOptions};
use crate::io::DriverChoice;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder of Istio, Gateway API and Kubernetes YAML; changes are picked up while it runs.
    #[arg(long, value_name = "DIR")]
    pub(super) config: PathBuf,

    /// Serve only Gateways whose selector matches these labels (`istio=ingressgateway,zone=a`). All Gateways otherwise.
    #[arg(long, value_name = "KEY=VALUE,...", value_delimiter = ',', value_parser = parse_label)]
    pub(super) labels: Vec<(String, String)>,

    /// Be an edge: the folder that `selvedge join` has made. Its file `edge.yaml` says what other edges may call here, and which of
    /// their services are served here; those are written into the folder of `--config`.
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,

    /// Where the gateway is, as Istio writes it. Endpoints that are near come first where outlier detection is on, and
    /// `localityLbSetting` goes by it; other edges are told.
    #[arg(long, value_name = "REGION/ZONE/SUBZONE", default_value = "")]
    pub(super) locality: String,

    /// Worker threads; one per core, at most 4, if not given.
    #[arg(long, value_name = "N")]
    pub(super) concurrency: Option<usize>,

    /// Port of the admin interface on 127.0.0.1; 0 switches it off.
    #[arg(long, value_name = "PORT", default_value_t = 15000)]
    pub(super) admin_port: u16,

    /// Port of the readiness probe (`/healthz/ready`) on all addresses; 0 switches it off.
    #[arg(long, value_name = "PORT", default_value_t = 15021)]
    pub(super) readiness_port: u16,

    /// Take over from the gateway behind this Unix socket, if there is one, without refusing a client; then wait behind it for the
    /// next one. Starting the same command again replaces the binary.
    #[arg(long, value_name = "PATH")]
    pub(super) handover_socket: Option<PathBuf>,

    /// What drives sockets. `auto`: io_uring where the kernel allows it, otherwise epoll.
    #[arg(long, value_enum, default_value_t)]
    pub(super) io_driver: DriverChoice,

    #[command(flatten)]
    pub(super) overload: OverloadArguments,

    /// Log level: trace, debug, info, warn, error or off.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level)]
    pub(super) log_level: String,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let log_levels = log::start(&arguments.log_level, false);
    descriptors::raise_limit();
    on_control(async {
        let folder = LocalOptions {
            directory: arguments.config.clone(),
            labels: arguments.labels.iter().cloned().collect(),
            locality: arguments.locality.clone(),
        };
        let edge = arguments.state.clone().map(|state| EdgeOptions {
            state,
            locality: arguments.locality.clone(),
            workload: None,
        });
        let source = SourceOptions::Local { folder, edge };
        let gateway = Gateway::start(options(&arguments, log_levels), source).await?;
        // A folder may have no listener, for which the summary waits: signals are heard meanwhile.
        tokio::spawn(summary::print(gateway.admin().clone()));
        gateway.run().await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// How `run` (and `demo`) start a gateway.
pub(super) fn options(arguments: &Arguments, log_levels: crate::admin::LogLevels) -> GatewayOptions {
    let all = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let servers = [(loopback, arguments.admin_port, Access::All), (all, arguments.readiness_port, Access::Readiness)];
    GatewayOptions {
        workers: arguments.concurrency.filter(|workers| *workers > 0).unwrap_or_else(default_concurrency),
        servers: servers
            .into_iter()
            .filter(|(_, port, _)| *port != 0)
            .map(|(address, port, access)| (SocketAddr::new(address, port), access))
            .collect(),
        drain: DrainSettings {
            drain_duration: Duration::from_secs(5),
            termination_drain_duration: Duration::from_secs(5),
            exit_on_zero_active_connections: true,
            minimum_drain_duration: Duration::ZERO,
        },
        handover_socket: arguments.handover_socket.clone(),
        io_driver: arguments.io_driver,
        overload: arguments.overload.settings(),
        node: json!({ "id": "local" }),
        command_line: json!({ "config_path": arguments.config }),
        log_levels,
        file_root: arguments.config.clone(),
        local_address: loopback,
        host_name: host_name(),
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// A word that the log's filter does not know would be taken for the name of a module, and the log would be silent.
pub(super) fn log_level(text: &str) -> Result<String, String> {
    level(text).map(str::to_owned).ok_or_else(|| "trace, debug, info, warn, error or off".to_owned())
}

/// `key=value` of `--labels`.
pub(super) fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}
