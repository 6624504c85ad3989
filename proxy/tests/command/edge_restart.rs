//! One process of an edge takes over from another.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::datagrams::{Client, echo, taking, udp_service};
use super::edges::{Edge, Overlay, service, status, word};
use super::gateway::{Gateway, folder, free_port};
use super::gateway_yaml;
use super::restart::backend::Backend;
use super::restart::has_taken_over;
use super::restart::load::{Load, Stream};

const CONFIG: &str = "export: [{labels: {offered: 'yes'}}]\nimport: [{hosts: ['*.shop.example']}]\n";

/// Everything to that service.
fn routes(host: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web, namespace: edge}}\nspec:\n  hosts: ['*']\n  \
         gateways: [web]\n  http:\n    - route: [{{destination: {{host: {host}.shop.example}}}}]\n"
    )
}

/// Each edge offers a service, and its gateway leads to that of the other; the same by UDP. Processes of edge `b` take over from each other.
pub(super) struct Site {
    _overlay: Overlay,
    _backends: [Backend; 2],
    _a: Edge,
    /// The gateway of edge `a`: what comes in to `b`.
    pub(super) incoming: u16,
    /// That of edge `b`: what goes out from it.
    pub(super) outgoing: u16,
    /// The same two ways for datagrams.
    flows: [u16; 2],
    pub(super) state: TempDir,
    pub(super) config: TempDir,
    other: TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        let (overlay, backends) = (Overlay::start(), [Backend::start(), Backend::start()]);
        let (incoming, outgoing, flows) = (free_port(), free_port(), [free_port(), free_port()]);
        let files = |port: u16, to: &str, offers: &str, backend: &Backend, letter: u8| {
            let dns = udp_service(&format!("dns-{}", letter as char), "yes", echo(letter));
            [
                ("gateway.yaml", gateway_yaml(port)),
                ("routes.yaml", routes(to)),
                ("services.yaml", service(offers, "offered: 'yes'", backend.http)),
                ("dns.yaml", dns),
            ]
        };
        let of_a = files(incoming, "ratings", "orders", &backends[0], b'a');
        let of_b = files(outgoing, "orders", "ratings", &backends[1], b'b');
        let takes = |host: &str, port: u16| format!("{CONFIG}{}", taking(host, port));
        let state = overlay.join("a", &takes("dns-b.shop.example", flows[0]));
        let a = Edge::start(state, &of_a.each_ref().map(|(name, text)| (*name, text.as_str())));
        let state = overlay.join("b", &takes("dns-a.shop.example", flows[1]));
        let config = folder(&of_b.each_ref().map(|(name, text)| (*name, text.as_str())));
        let other = folder(&[]);
        Self { _overlay: overlay, _backends: backends, _a: a, incoming, outgoing, flows, state, config, other }
    }

    /// Clients of both UDP services, and who must answer them.
    pub(super) fn clients(&self) -> [(Client, u8); 2] {
        let [to_b, to_a] = self.flows.map(Client::of);
        [(to_b, b'b'), (to_a, b'a')]
    }

    /// Waits until each way has an answer, for connections and for these clients.
    pub(super) fn answers(&self, gateway: &Gateway, clients: &[(Client, u8)]) {
        for port in [self.incoming, self.outgoing] {
            gateway.eventually("an answer", || word(port, "/").as_deref() == Some("one"));
        }
        for (client, letter) in clients {
            gateway.eventually("a datagram's answer", || client.letter() == Some(*letter));
        }
    }

    fn socket(&self) -> PathBuf {
        self.other.path().join("handover.socket")
    }

    fn arguments(&self, workers: usize) -> [String; 4] {
        [
            "--state".to_owned(),
            self.state.path().display().to_string(),
            format!("--handover-socket={}", self.socket().display()),
            format!("--concurrency={workers}"),
        ]
    }

    pub(super) fn start(&self, workers: usize) -> Gateway {
        let gateway = Gateway::run(self.config.path(), &self.arguments(workers).each_ref().map(String::as_str));
        self.answers(&gateway, &[]);
        gateway
    }

    pub(super) fn restart(&self, before: &Gateway, workers: usize) -> Gateway {
        self.restart_with(before, workers, self.config.path())
    }

    pub(super) fn restart_with(&self, before: &Gateway, workers: usize, config: &Path) -> Gateway {
        before.next(config, &self.arguments(workers).each_ref().map(String::as_str))
    }

    /// Links of the process that answers for the edge.
    pub(super) fn links(&self) -> usize {
        status(self.state.path())["links"].as_array().map_or(0, Vec::len)
    }

    fn imports(&self) -> String {
        std::fs::read_to_string(self.config.path().join("selvedge-imports.yaml")).unwrap()
    }
}

#[test]
fn restarts_of_an_edge_under_load_lose_no_call_in_either_direction() {
    let site = Site::new();
    let mut old = site.start(2);
    let imports = site.imports();
    let loads = [site.incoming, site.outgoing].map(Load::start);
    let go_on = || loads.iter().for_each(|load| load.go_on(20));
    go_on();
    for workers in [2, 3, 1] {
        let mut streams = [site.incoming, site.outgoing].map(Stream::web_socket);
        assert!(streams.iter_mut().all(Stream::echoes), "{}", old.log());
        let begun = Instant::now();
        let new = site.restart(&old, workers);
        new.eventually("it has taken over", || has_taken_over(&new));
        for (direction, stream) in ["in", "out"].iter().zip(&mut streams) {
            assert!(stream.lives(begun), "{direction}: it lives until the deadline: {}", old.log());
        }
        new.eventually("it answers for the edge", || site.links() == workers);
        let incoming = || new.admin_get("/stats?filter=overlay.incoming_total");
        new.eventually("calls of the other edge", || incoming().is_some_and(|page| !page.ends_with(": 0\n")));
        go_on();
        assert!(streams.iter_mut().all(|stream| stream.lives(begun)), "{}", old.log());
        streams.into_iter().for_each(Stream::closes);
        assert!(old.wait().success(), "{}", old.log());
        // Both are the edge, one after the other, and neither takes the other for a copy of it.
        for process in [&old, &new] {
            assert!(!process.log().contains("another process announces as this edge"), "{}", process.log());
        }
        go_on();
        assert_eq!(site.imports(), imports);
        assert_ne!(status(site.state.path()), Value::Null, "the end of the old one has left the socket to the new one");
        old = new;
    }
    let answers: usize = loads.into_iter().map(Load::finish).sum();
    assert!(answers > 0);
}

#[test]
fn an_edge_whose_process_dies_after_a_restart_is_found_again_at_once() {
    let site = Site::new();
    let mut old = site.start(2);
    let mut new = site.restart(&old, 2);
    new.eventually("it has taken over", || has_taken_over(&new));
    assert!(old.wait().success());
    let stream = Stream::web_socket(site.incoming);
    new.signal("KILL");
    new.wait();
    let after = site.start(1);
    // It says that the process has ended which the stream was with.
    stream.closes();
    after.eventually("an answer", || word(site.outgoing, "/").as_deref() == Some("one"));
}
