//! Limits of connections and of memory, as arguments of the command.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tempfile::TempDir;

use crate::gateway::{Backend, Gateway, folder, free_port};
use crate::{gateway_yaml, routes_yaml, services_yaml};

/// A gateway that answers "one".
struct Setup {
    gateway: Gateway,
    port: u16,
    _folder: TempDir,
}

fn start(arguments: &[&str]) -> Setup {
    let (backend, port) = (Backend::start("one"), free_port());
    let folder = folder(&[
        ("gateway.yaml", &gateway_yaml(port)),
        ("routes.yaml", &routes_yaml("v1")),
        ("services.yaml", &services_yaml(&backend, &backend)),
    ]);
    let gateway = Gateway::run(folder.path(), arguments);
    gateway.eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    Setup { gateway, port, _folder: folder }
}

impl Setup {
    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client
    }

    /// Waits until nothing is open. The connection that found out that it listens may be accepted a moment later, but not after one
    /// that is answered.
    fn rests(&self) {
        self.gateway.eventually("it answers", || is_answered(&mut self.connect()));
        self.gateway.eventually("nothing is open", || self.counts("server.total_connections", 0));
    }

    /// Whether a counter whose name ends like this has this value.
    fn counts(&self, name: &str, value: u64) -> bool {
        let page = self.gateway.admin_get("/stats").unwrap_or_default();
        page.lines().any(|line| line.ends_with(&format!("{name}: {value}")))
    }
}

/// Whether a request on this connection is answered; it stays open.
fn is_answered(client: &mut TcpStream) -> bool {
    if client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").is_err() {
        return false;
    }
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.ends_with(b"one") {
        match client.read(&mut piece) {
            Ok(count) if count > 0 => answer.extend_from_slice(&piece[..count]),
            _ => return false,
        }
    }
    true
}

#[test]
fn connections_have_a_limit_and_the_admin_interface_has_its_own() {
    let setup = start(&["--max-connections=2", "--concurrency=1"]);
    setup.rests();
    let (mut first, mut second) = (setup.connect(), setup.connect());
    assert!(is_answered(&mut first) && is_answered(&mut second));
    assert!(!is_answered(&mut setup.connect()));
    assert!(setup.counts(".downstream_global_cx_overflow", 1), "{:?}", setup.gateway.admin_get("/stats"));
    let warning = |log: String| log.lines().filter(|line| line.contains("all listeners together have as many")).count();
    setup.gateway.eventually("the log says so", || warning(setup.gateway.log()) > 0);
    assert!(!is_answered(&mut setup.connect()));
    assert!(is_answered(&mut first));
    assert_eq!(warning(setup.gateway.log()), 1, "the same is said once in a minute");
    drop(second);
    setup.gateway.eventually("there is room again", || is_answered(&mut setup.connect()));
    assert!(is_answered(&mut first));
}

#[test]
fn a_source_that_has_enough_connections_is_named_in_the_log() {
    let setup = start(&["--max-connections-per-source=1", "--concurrency=1"]);
    setup.rests();
    let mut first = setup.connect();
    assert!(is_answered(&mut first));
    assert!(!is_answered(&mut setup.connect()));
    let is_named = |line: &str| line.contains("its source has as many") && line.contains("127.0.0.1");
    setup.gateway.eventually("the log says so", || setup.gateway.log().lines().any(is_named));
}

#[test]
fn a_process_that_is_too_large_accepts_nothing_but_can_be_asked_why() {
    let setup = start(&["--max-heap-size-bytes=1"]);
    for action in ["disable_http_keepalive", "stop_accepting_requests", "stop_accepting_connections"] {
        let active = format!("overload.envoy.overload_actions.{action}.active");
        setup.gateway.eventually(&active, || setup.counts(&active, 1));
    }
    let client = setup.connect();
    for _ in 0..10 {
        let page = setup.gateway.admin_get("/stats?filter=fixed_heap.pressure").unwrap();
        let pressure = page.trim().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        assert!(pressure > 100, "{page}");
    }
    assert!(setup.counts("server.total_connections", 0), "nothing was let in");
    assert!(setup.gateway.log().contains("overload: envoy.overload_actions.stop_accepting_connections is active"));
    setup.gateway.eventually("load balancers look elsewhere", || {
        let answer = setup.gateway.admin_get("/ready").unwrap();
        answer.starts_with("HTTP/1.1 503") && answer.ends_with("overloaded: no connections are accepted\n")
    });
    drop(client);
}
