//! One process takes over from another.

pub(crate) mod backend;
pub(crate) mod load;

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType};
use tempfile::TempDir;

use self::backend::Backend;
use self::load::{Load, Stream};
use crate::gateway::{Gateway, folder, free_port};

/// A folder to serve, its ports, and the path where processes meet.
struct Site {
    folder: TempDir,
    backend: Backend,
    http: u16,
    tcp: u16,
    readiness: u16,
}

impl Site {
    fn new() -> Self {
        let (backend, http, tcp, readiness) = (Backend::start(), free_port(), free_port(), free_port());
        let site = Self { folder: folder(&[]), backend, http, tcp, readiness };
        site.serves(&site.both_ports());
        site
    }

    /// Writes the Gateway's servers, and what is behind them.
    fn serves(&self, servers: &str) {
        let Backend { http, tcp, .. } = &self.backend;
        let yaml = format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: web, namespace: edge}}\nspec:\n  selector: \
             {{istio: edge}}\n  servers:\n{servers}---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web, namespace: edge}}\nspec:\n  \
             hosts: [\"*\"]\n  gateways: [web]\n  http:\n    - route: [{{destination: {{host: web.internal, port: {{number: 80}}}}}}]\n  \
             tcp:\n    - route: [{{destination: {{host: web.internal, port: {{number: 81}}}}}}]\n---\n\
             apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: web, namespace: edge}}\nspec:\n  \
             hosts: [web.internal]\n  location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}, \
             {{number: 81, name: tcp, protocol: TCP}}]\n  endpoints: [{{address: 127.0.0.1, ports: {{http: {http}, tcp: {tcp}}}}}]\n"
        );
        std::fs::write(self.config().join("site.yaml"), yaml).unwrap();
    }

    fn both_ports(&self) -> String {
        server(self.http, "HTTP") + &server(self.tcp, "TCP")
    }

    /// A folder of its own: the meeting point is not configuration.
    fn config(&self) -> PathBuf {
        let config = self.folder.path().join("config");
        std::fs::create_dir_all(&config).unwrap();
        config
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("handover.socket")
    }

    fn arguments(&self, workers: usize) -> [String; 3] {
        [
            format!("--handover-socket={}", self.socket().display()),
            format!("--readiness-port={}", self.readiness),
            format!("--concurrency={workers}"),
        ]
    }

    fn start(&self, workers: usize) -> Gateway {
        let arguments = self.arguments(workers);
        let gateway = Gateway::run(&self.config(), &arguments.each_ref().map(String::as_str));
        gateway.eventually("it serves", || is_ready(&gateway) && TcpStream::connect(("127.0.0.1", self.tcp)).is_ok());
        gateway
    }

    fn restart(&self, before: &Gateway, workers: usize) -> Gateway {
        self.restart_with(before, workers, &self.config())
    }

    fn restart_with(&self, before: &Gateway, workers: usize, config: &Path) -> Gateway {
        before.next(config, &self.arguments(workers).each_ref().map(String::as_str))
    }

    /// The kernel's numbers of the sockets that listen on our ports, of whatever process.
    fn listening(&self) -> BTreeSet<String> {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let ports = [self.http, self.tcp].map(|port| format!(":{port:04X}"));
        let listening =
            |fields: &Vec<&str>| fields[3] == "0A" && ports.iter().any(|port| fields[1].ends_with(port.as_str()));
        let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.filter(listening).map(|fields| format!("socket:[{}]", fields[9])).collect()
    }

    /// A copy of the folder with one more port, and who has that port: as long as it does, whoever serves the folder lacks something.
    fn lacking_folder(&self) -> (TempDir, TcpListener) {
        let (other, taken) = (folder(&[]), TcpListener::bind("127.0.0.1:0").unwrap());
        let missing = server(taken.local_addr().unwrap().port(), "TCP").replace("name: tcp", "name: taken");
        let now = std::fs::read_to_string(self.config().join("site.yaml")).unwrap();
        let with_missing = now.replacen("  servers:\n", &format!("  servers:\n{missing}"), 1);
        assert_ne!(now, with_missing);
        std::fs::write(other.path().join("site.yaml"), with_missing).unwrap();
        (other, taken)
    }
}

fn server(port: u16, protocol: &str) -> String {
    let name = protocol.to_ascii_lowercase();
    format!(
        "    - port: {{number: {port}, name: {name}, protocol: {protocol}}}\n      bind: 127.0.0.1\n      hosts: [\"*\"]\n"
    )
}

fn is_ready(gateway: &Gateway) -> bool {
    gateway.admin_get("/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The sockets that a process holds.
fn sockets_of(gateway: &Gateway) -> BTreeSet<String> {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets.map(|target| target.to_string_lossy().into_owned()).collect()
}

fn shows(gateway: &Gateway, path: &str, text: &str) -> bool {
    gateway.admin_get(path).is_some_and(|page| page.contains(text))
}

pub(crate) fn has_taken_over(gateway: &Gateway) -> bool {
    gateway.log().contains("has handed over and drains")
}

/// How many restarts in a row: `RESTARTS`, or one for each number of workers.
fn restarts() -> usize {
    std::env::var("RESTARTS").map_or(3, |count| count.parse().unwrap())
}

#[test]
fn restarts_under_load_lose_nothing_whatever_the_number_of_workers() {
    let site = Site::new();
    let mut old = site.start(2);
    let load = Load::start(site.http);
    load.go_on(20);
    for (restarts, workers) in (1..=restarts()).zip([2, 3, 1].into_iter().cycle()) {
        let mut streams = [Stream::tcp(site.tcp), Stream::web_socket(site.http)];
        let (before, begun) = (site.listening(), Instant::now());
        let new = site.restart(&old, workers);
        new.eventually("it has taken over", || has_taken_over(&new));
        for stream in &mut streams {
            assert!(stream.lives(begun), "it lives until the deadline: {}", old.log());
        }
        assert!(site.listening().is_superset(&before) && sockets_of(&new).is_superset(&before), "{before:?}");
        old.eventually("it lets go of the sockets", || sockets_of(&old).is_disjoint(&before));
        assert!(shows(&new, "/server_info", &format!("\"restart_epoch\": {restarts}\n")));
        assert!(shows(&new, "/stats", &format!("server.hot_restart_generation: {}\n", restarts + 1)));
        load.go_on(20);
        streams.into_iter().for_each(Stream::closes);
        assert!(old.wait().success(), "{}", old.log());
        load.go_on(20);
        old = new;
    }
    let answers = load.finish();
    assert!(site.backend.answered() >= answers);
    old.terminate();
    assert!(old.wait().success());
    assert!(!site.socket().exists());
}

#[test]
fn what_the_new_process_does_not_serve_ends_and_what_is_new_begins() {
    let (site, added) = (Site::new(), free_port());
    let mut old = site.start(2);
    let other = folder(&[]);
    site.serves(&(server(site.http, "HTTP") + &server(added, "TCP")));
    std::fs::rename(site.config().join("site.yaml"), other.path().join("site.yaml")).unwrap();
    site.serves(&site.both_ports());
    let new = site.restart_with(&old, 1, other.path());
    new.eventually("it has taken over", || has_taken_over(&new));
    assert!(Stream::tcp(added).echoes() && Stream::web_socket(site.http).echoes());
    new.eventually("the old port refuses", || TcpStream::connect(("127.0.0.1", site.tcp)).is_err());
    assert!(old.wait().success());
}

#[test]
fn a_new_process_that_fails_changes_nothing() {
    let site = Site::new();
    let mut old = site.start(2);
    let load = Load::start(site.http);
    let mut stream = Stream::tcp(site.tcp);

    let broken = folder(&[("gateway.yaml", "kind: Gateway\nspec: [")]);
    let mut new = site.restart_with(&old, 2, broken.path());
    assert!(!new.wait().success());
    old.eventually("the complaint", || old.log().contains(&format!("process {} does not take over", new.pid())));

    let (lacking, _taken) = site.lacking_folder();
    for signal in ["KILL", "TERM"] {
        let mut new = site.restart_with(&old, 3, lacking.path());
        new.eventually("it waits", || new.log().contains("taking over"));
        load.go_on(20);
        let mut third = site.restart(&old, 2);
        assert!(!third.wait().success());
        assert!(third.log().contains(&format!("process {} is taking over already", new.pid())), "{}", third.log());
        assert!(third.log().contains(&*site.socket().to_string_lossy()), "{}", third.log());
        new.signal(signal);
        new.wait();
        let complaint = format!("process {} does not take over", new.pid());
        old.eventually("the complaint", || old.log().contains(&complaint));
        load.go_on(20);
    }
    assert!(is_ready(&old) && shows(&old, "/server_info", "\"restart_epoch\": 0") && stream.echoes());

    let new = site.restart(&old, 2);
    new.eventually("it has taken over", || has_taken_over(&new));
    assert!(old.wait().success());
    load.finish();
}

#[test]
fn an_old_process_that_ends_meanwhile_leaves_its_sockets_to_the_new_one() {
    for signal in ["KILL", "TERM"] {
        let site = Site::new();
        let mut old = site.start(2);
        let (lacking, _taken) = site.lacking_folder();
        let new = site.restart_with(&old, 1, lacking.path());
        // It holds the sockets by then.
        new.eventually("it waits", || new.log().contains("taking over"));
        old.signal(signal);
        old.wait();
        new.eventually("it serves", || new.log().contains("serving without it"));
        let load = Load::start(site.http);
        load.go_on(20);
        load.finish();
        new.eventually("the path is its own", || site.socket().exists());
        let next = site.restart(&new, 1);
        next.eventually("it has taken over", || has_taken_over(&next));
    }
}

#[test]
fn sockets_of_an_old_process_that_ends_wait_for_the_configuration_of_the_new_one() {
    let site = Site::new();
    let mut old = site.start(2);
    let (lacking, _taken) = site.lacking_folder();
    let path = lacking.path().join("site.yaml");
    let both = std::fs::read_to_string(&path).unwrap();
    let without_tcp = both.replacen(&server(site.tcp, "TCP"), "", 1);
    assert_ne!(both, without_tcp);
    std::fs::write(&path, without_tcp).unwrap();
    let new = site.restart_with(&old, 1, lacking.path());
    new.eventually("it waits", || new.log().contains("taking over"));
    old.signal("KILL");
    old.wait();
    new.eventually("it serves", || new.log().contains("serving without it") && is_ready(&new));
    let mut early = Stream::tcp(site.tcp);
    std::fs::write(&path, both).unwrap();
    assert!(early.echoes() && Stream::tcp(site.tcp).echoes());
}

#[test]
fn clients_are_refused_when_both_processes_go() {
    let site = Site::new();
    let mut old = site.start(2);
    let mut stream = Stream::tcp(site.tcp);
    let (lacking, _taken) = site.lacking_folder();
    let mut new = site.restart_with(&old, 1, lacking.path());
    new.eventually("it waits", || new.log().contains("taking over"));
    old.terminate();
    new.eventually("it serves", || new.log().contains("serving without it"));
    assert!(Stream::tcp(site.tcp).echoes(), "the new one accepts");
    new.signal("KILL");
    new.wait();
    old.eventually("the port refuses", || TcpStream::connect(("127.0.0.1", site.tcp)).is_err());
    assert!(stream.echoes() && old.ended().is_none(), "the old one drains still: {}", old.log());
}

#[test]
fn a_wedged_process_is_named() {
    let site = Site::new();
    let old = site.start(2);
    old.signal("STOP");
    let mut new = site.restart(&old, 2);
    assert!(!new.wait().success());
    let complaint = format!("cannot take over from process {} behind {}", old.pid(), site.socket().display());
    assert!(new.log().contains(&complaint) && new.log().contains("does not answer"), "{}", new.log());
    old.signal("CONT");
    let new = site.restart(&old, 2);
    new.eventually("it has taken over", || has_taken_over(&new));
}

#[test]
fn what_a_dead_process_left_is_replaced_and_what_is_not_ours_is_named() {
    let site = Site::new();
    let mut dead = site.start(1);
    dead.signal("KILL");
    dead.wait();
    assert!(site.socket().exists());
    let mut after = site.restart(&dead, 1);
    after.eventually("it serves", || is_ready(&after));
    after.terminate();
    assert!(after.wait().success());

    let complaint = || {
        let mut gateway = site.restart(&after, 1);
        assert!(!gateway.wait().success());
        assert!(gateway.log().contains(&*site.socket().to_string_lossy()), "{}", gateway.log());
        gateway.log()
    };
    std::fs::write(site.socket(), "").unwrap();
    assert!(complaint().contains("a file that is no socket"));
    std::fs::remove_file(site.socket()).unwrap();
    let _other = UnixListener::bind(site.socket()).unwrap();
    assert!(complaint().contains("another program listens there"));
}

#[test]
fn another_version_of_the_protocol_is_refused() {
    let site = Site::new();
    let old = site.start(1);
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::connect(&socket, &SocketAddrUnix::new(site.socket()).unwrap()).unwrap();
    let hello = br#"{"type":"hello","protocol":99,"version":"9.9"}"#;
    let mut nothing = rustix::net::SendAncillaryBuffer::default();
    rustix::net::sendmsg(&socket, &[IoSlice::new(hello)], &mut nothing, SendFlags::empty()).unwrap();
    let mut answer = [0; 1000];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty()).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.contains("refused") && answer.contains("protocol 99"), "{answer}");
    old.eventually("the complaint", || old.log().contains("version 9.9"));
}

#[test]
fn the_service_manager_is_told_when_the_process_serves_at_all_ports() {
    let site = Site::new();
    // So many that they do not begin all at once.
    let ports: Vec<u16> = std::iter::repeat_with(free_port).take(100).collect();
    site.serves(&ports.iter().map(|port| server(*port, "HTTP")).collect::<String>());
    let path = site.folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _gateway = Gateway::notifying(&site.config(), &path);
    let mut message = [0; 100];
    let length = manager.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1");
    for port in ports {
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}
