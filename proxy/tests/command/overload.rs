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
    let setup = start(&["--max-connections=2"]);
    // The one that found out that it listens may be open a moment longer.
    setup.gateway.eventually("nothing is open", || setup.counts("server.total_connections", 0));
    let (mut first, mut second) = (setup.connect(), setup.connect());
    assert!(is_answered(&mut first) && is_answered(&mut second));
    assert!(!is_answered(&mut setup.connect()));
    assert!(setup.counts(".downstream_global_cx_overflow", 1), "{:?}", setup.gateway.admin_get("/stats"));
    assert!(is_answered(&mut first));
    drop(second);
    setup.gateway.eventually("there is room again", || is_answered(&mut setup.connect()));
    assert!(is_answered(&mut first));
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
    drop(client);
}
