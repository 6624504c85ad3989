//! What is on disk when the process has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use selvedge::admin::LogLevels;
use selvedge::bootstrap::DrainSettings;
use selvedge::gateway::{Gateway, GatewayOptions, SourceOptions};
use selvedge::io::DriverChoice;
use selvedge::overload::OverloadSettings;
use serde_json::Value;
use tracing_subscriber::{EnvFilter, reload};
use xds_client::node::{Node, Sources};
use xds_client::session::{SessionOptions, Timing};

use crate::SELVEDGE;
use crate::control_plane::{ControlPlane, listener};
use crate::gateway::{folder, free_port, get};

/// Tells this test program that it is the gateway: where the control plane is, and the folder for the last good configuration.
const GATEWAY: [&str; 2] = ["SELVEDGE_TEST_CONTROL_PLANE", "SELVEDGE_TEST_STATE"];
const PATIENCE: Duration = Duration::from_secs(20);

/// Not a test by itself: a gateway of a control plane, as `selvedge proxy` starts it but for the paths, in a process of its own.
#[tokio::test]
async fn gateway_of_a_control_plane() {
    let [Ok(address), Ok(state)] = GATEWAY.map(std::env::var) else { return };
    let session = SessionOptions {
        name: "istiod".to_owned(),
        control_plane: xds_client::control_plane::ControlPlane {
            address,
            tls: None,
            token_file: None,
            cluster_id: "Kubernetes".to_owned(),
        },
        node: node(),
        snapshot_directory: Some(state.into()),
        needed_clusters: tokio::sync::watch::channel(BTreeSet::new()).1,
        timing: Timing::default(),
    };
    let drain = Duration::from_secs(5);
    let options = GatewayOptions {
        workers: 2,
        servers: Vec::new(),
        drain: DrainSettings {
            drain_duration: drain,
            termination_drain_duration: drain,
            exit_on_zero_active_connections: true,
            minimum_drain_duration: Duration::ZERO,
        },
        handover_socket: None,
        io_driver: DriverChoice::default(),
        overload: OverloadSettings::default(),
        node: Value::Null,
        command_line: Value::Null,
        log_levels: LogLevels::new(reload::Layer::new(EnvFilter::new("off")).1),
        file_root: "/".into(),
        local_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        host_name: String::new(),
    };
    let source = SourceOptions::ControlPlane { session: Box::new(session), certificates: None, edge: None };
    Gateway::start(options, source).await.unwrap().run().await.unwrap();
}

fn node() -> Node {
    let variables = BTreeMap::from([("INSTANCE_IP".to_owned(), "127.0.0.1".to_owned())]);
    Node::from_sources(&Sources::of_gateway(variables, "edge.svc.cluster.local")).unwrap()
}

/// Killed when dropped.
struct Process(Child);

impl Process {
    fn start(control_plane: &str, state: &Path) -> Self {
        let [address, directory] = GATEWAY;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "end::gateway_of_a_control_plane", "--nocapture"]);
        Self(command.env(address, control_plane).env(directory, state).spawn().unwrap())
    }

    /// SIGTERM; it must end in good order.
    fn terminate(mut self) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answers(port: u16, path: &str) {
    let end = Instant::now() + PATIENCE;
    while !get(port, path).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        assert!(Instant::now() < end, "no answer from port {port}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_and_configuration_of_the_last_second_are_on_disk_at_the_end() {
    let folder = folder(&[]);
    let log = folder.path().join("access.log");
    let log = log.to_str().unwrap();
    let (first, second) = (free_port(), free_port());
    let control_plane = ControlPlane::start(listener(first, log)).await;
    let gateway = Process::start(&control_plane.address.to_string(), folder.path());
    answers(first, "/first");
    control_plane.add(listener(second, log));
    answers(second, "/last");
    gateway.terminate();
    let lines = std::fs::read_to_string(log).unwrap();
    assert!(lines.lines().any(|line| line == "/last"), "{lines}");

    drop(control_plane);
    let gateway = Process::start(&format!("127.0.0.1:{}", free_port()), folder.path());
    answers(second, "/again");
    gateway.terminate();
}

#[test]
fn a_gateway_without_a_listener_ends_when_it_is_told_to() {
    let folder = folder(&[]);
    let port = free_port();
    let mut command = Command::new(SELVEDGE);
    command.args(["run", &format!("--admin-port={port}"), "--readiness-port=0", "--config"]).arg(folder.path());
    let gateway = command.stdout(Stdio::piped()).spawn().unwrap();
    answers(port, "/ready");
    assert!(Command::new("kill").arg(gateway.id().to_string()).status().unwrap().success());
    let ended = gateway.wait_with_output().unwrap();
    // What it would have said of its listeners, had it waited for them.
    assert_eq!((ended.status.success(), String::from_utf8_lossy(&ended.stdout).as_ref()), (true, ""));
}
