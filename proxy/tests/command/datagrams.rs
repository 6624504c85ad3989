//! UDP services across edges: real sockets on both ends, a hub and edges between them.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::edges::{Edge, Overlay, answers, word};
use super::gateway::{Backend, free_port};
use super::gateway_yaml;

/// How long a client waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_millis(500);

/// A UDP service that sends back what comes, its own letter in the place of the first byte. Its thread ends with the test process.
pub(crate) fn echo(letter: u8) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut room = vec![0; 65_536];
        while let Ok((length, client)) = socket.recv_from(&mut room) {
            room[0] = letter;
            let _ = socket.send_to(&room[..length], client);
        }
    });
    port
}

fn dns(offered: &str, port: u16) -> String {
    udp_service("dns", offered, port)
}

pub(crate) fn udp_service(name: &str, offered: &str, port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop, labels: {{offered: '{offered}'}}}}\nspec:\n  \
         hosts: [{name}.shop.example]\n  location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{{number: 53, name: udp-dns, protocol: UDP}}]\n  \
         endpoints: [{{address: 127.0.0.1, ports: {{udp-dns: {port}}}}}]\n"
    )
}

/// An edge that offers the service, which answers with the letter.
fn offering(overlay: &Overlay, name: &str, letter: u8) -> Edge {
    let (gateway, dns) = (gateway_yaml(free_port()), dns("yes", echo(letter)));
    let state = overlay.join(name, "export: [{labels: {offered: 'yes'}}]\n");
    Edge::start(state, &[("gateway.yaml", &gateway), ("dns.yaml", &dns)])
}

pub(crate) fn taking(host: &str, listen: u16) -> String {
    format!("datagrams: [{{host: {host}, port: 53, listen: '127.0.0.1:{listen}'}}]\n")
}

/// An edge that takes it, and the port at which it does.
fn importing(overlay: &Overlay) -> (Edge, u16) {
    let port = free_port();
    let state = overlay.join("a", &taking("dns.shop.example", port));
    (Edge::start(state, &[("gateway.yaml", &gateway_yaml(free_port()))]), port)
}

pub(crate) struct Client(UdpSocket);

impl Client {
    pub(crate) fn of(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        Self(socket)
    }

    /// What comes back of a datagram, if anything does in time.
    fn ask(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut room = vec![0; 65_536];
        self.0.send(datagram).ok()?;
        let length = self.0.recv(&mut room).ok()?;
        room.truncate(length);
        Some(room)
    }

    /// Who answers.
    pub(crate) fn letter(&self) -> Option<u8> {
        self.ask(b"?").and_then(|answer| answer.first().copied())
    }

    /// Asks until somebody answers.
    fn until(&self, edge: &Edge, accepts: impl Fn(u8) -> bool) -> u8 {
        let last = AtomicU16::new(0);
        edge.gateway.eventually("an answer", || {
            let letter = self.letter();
            last.store(letter.unwrap_or_default().into(), Ordering::Relaxed);
            letter.is_some_and(&accepts)
        });
        last.into_inner() as u8
    }
}

#[test]
fn datagrams_of_all_sizes_reach_a_udp_service_of_another_edge_and_come_back() {
    let overlay = Overlay::start();
    let b = offering(&overlay, "b", b'b');
    let (a, port) = importing(&overlay);
    let client = Client::of(port);
    assert_eq!(client.until(&a, |_| true), b'b');
    for length in [1, 1200, 9000, 65_507] {
        let datagram: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let expected = [b"b", &datagram[1..]].concat();
        // It may be lost, and only that.
        a.gateway.eventually(&format!("an answer of {length} bytes"), || match client.ask(&datagram) {
            Some(answer) if answer.len() == length => {
                assert!(answer == expected, "{length} bytes are not what was sent");
                true
            }
            _ => false,
        });
    }
    assert_eq!((a.count("overlay.datagram_flows_active"), b.count("overlay.datagram_incoming_total")), (1, 1));
    assert_eq!((a.count("overlay.datagram_packets_refused"), b.count("overlay.datagram_packets_refused")), (0, 0));
    let status = super::edges::status(a.state.path());
    assert_eq!(status["imports"], serde_json::json!([{"host": "dns.shop.example", "edges": ["b"]}]));
    assert_eq!(
        super::edges::status(b.state.path())["exports"],
        serde_json::json!([{"host": "dns.shop.example", "ports": [53]}])
    );
}

#[test]
fn a_flow_stays_at_its_edge_and_goes_on_at_another_when_that_is_killed_or_offers_it_no_longer() {
    let overlay = Overlay::start();
    let mut edges = [offering(&overlay, "b", b'b'), offering(&overlay, "c", b'c')];
    let (a, port) = importing(&overlay);
    a.gateway.eventually("both edges", || {
        let letters: BTreeSet<_> = (0..4).filter_map(|_| Client::of(port).letter()).collect();
        letters == BTreeSet::from([b'b', b'c'])
    });

    let client = Client::of(port);
    let first = client.until(&a, |_| true);
    for _ in 0..50 {
        assert!(client.letter().is_none_or(|letter| letter == first), "it moved");
    }
    let (dying, other) = (usize::from(first == b'c'), if first == b'c' { b'b' } else { b'c' });
    edges[dying].gateway.signal("KILL");
    edges[dying].gateway.wait();
    assert_eq!(client.until(&a, |letter| letter != first), other);
    assert!(a.count("overlay.datagram_flows_moved") >= 1);

    // Nobody has it any more: the flow ends, and there is no answer.
    let left = &edges[1 - dying];
    std::fs::write(left.folder.path().join("dns.yaml"), dns("no", 9)).unwrap();
    a.gateway.eventually("the end of the flow", || {
        client.letter().is_none() && left.count("overlay.datagram_incoming_active") == 0
    });
    a.gateway.eventually("the line in the log", || {
        let _ = client.letter();
        a.gateway.log().contains("datagrams find no edge: no edge has it")
            && a.count("overlay.datagram_flows_failed") > 0
    });
}

/// A port of UDP at which nobody listens.
fn silent_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn an_edge_whose_endpoints_all_refuse_is_left_for_another_one() {
    let overlay = Overlay::start();
    let export = "export: [{labels: {offered: 'yes'}}]\n";
    let (gateway, refusing) = (gateway_yaml(free_port()), dns("yes", silent_port()));
    // Without the other one it is the first in the order of names.
    let b = Edge::start(overlay.join("b", export), &[("gateway.yaml", &gateway), ("dns.yaml", &refusing)]);
    let (a, port) = importing(&overlay);
    let client = Client::of(port);
    a.gateway.eventually("a flow that is refused", || {
        assert_eq!(client.letter(), None);
        b.count("overlay.datagram_incoming_total") > 0
    });
    let _c = offering(&overlay, "c", b'c');
    assert_eq!(client.until(&a, |_| true), b'c');
    a.gateway.eventually("the end of the flow", || b.count("overlay.datagram_incoming_active") == 0);
}

#[test]
fn clients_that_send_on_where_nobody_listens_make_few_calls_which_are_counted() {
    const CLIENTS: usize = 10;
    let overlay = Overlay::start();
    let state = overlay.join("b", "export: [{labels: {offered: 'yes'}}]\n");
    let (gateway, refusing) = (gateway_yaml(free_port()), dns("yes", silent_port()));
    let b = Edge::start(state, &[("gateway.yaml", &gateway), ("dns.yaml", &refusing)]);
    let (a, port) = importing(&overlay);
    let nowhere = Client::of(port);
    a.gateway.eventually("a flow that is refused", || {
        assert_eq!(nowhere.letter(), None);
        b.count("overlay.incoming_unreachable") > 0
    });
    let before = b.count("overlay.datagram_incoming_total");
    let (ends, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let floods: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (ends, client) = (ends.clone(), Client::of(port));
            thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let _ = client.0.send(b"?");
                    thread::sleep(Duration::from_millis(1));
                }
            })
        })
        .collect();
    let most = || {
        // Each client waits for 0.1 s, 0.2 s and so on; the one from before may go on, too.
        let pauses = (began.elapsed().as_secs_f64() / 0.1 + 1.0).log2();
        (CLIENTS as u64 + 1) * (pauses as u64 + 2)
    };
    a.gateway.eventually("three flows of each", || a.count("overlay.datagram_flows_failed") >= 3 * CLIENTS as u64);
    let calls = b.count("overlay.datagram_incoming_total") - before;
    assert!(calls <= most(), "{calls} calls");
    ends.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    assert!(b.count("overlay.incoming_unreachable") >= 3 * CLIENTS as u64);
    assert!(a.gateway.log().contains("datagrams find no edge: b has nobody who answers"), "{}", a.gateway.log());
}

#[test]
fn a_flow_leaves_an_endpoint_that_refuses_for_the_others_of_its_edge() {
    const CLIENTS: u64 = 4;
    let overlay = Overlay::start();
    let first = format!("endpoints: [{{address: 127.0.0.1, ports: {{udp-dns: {}}}}}, ", silent_port());
    let both = dns("yes", echo(b'b')).replace("endpoints: [", &first);
    let state = overlay.join("b", "export: [{labels: {offered: 'yes'}}]\n");
    let b = Edge::start(state, &[("gateway.yaml", &gateway_yaml(free_port())), ("dns.yaml", &both)]);
    let (a, port) = importing(&overlay);
    a.gateway.eventually("the service", || Client::of(port).letter().is_some());
    let before = b.count("overlay.datagram_incoming_total");
    let clients: Vec<_> = (0..CLIENTS).map(|_| Client::of(port)).collect();
    for client in &clients {
        client.until(&a, |_| true);
    }
    assert_eq!(b.count("overlay.datagram_incoming_total"), before + CLIENTS, "each has one flow");
}

#[test]
fn a_service_that_nobody_offers_is_not_there_and_a_port_in_use_is_named() {
    let overlay = Overlay::start();
    let (port, taken) = (free_port(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let taken_port = taken.local_addr().unwrap().port();
    let config = format!(
        "datagrams:\n- {{host: ledger.shop.example, port: 53, listen: '127.0.0.1:{port}'}}\n- {{host: dns.shop.example, port: 53, listen: \
         '127.0.0.1:{taken_port}'}}\n"
    );
    let state = overlay.join("a", &config);
    let a = Edge::start(state, &[("gateway.yaml", &gateway_yaml(free_port()))]);
    a.gateway.eventually("the complaint", || a.gateway.log().contains(&format!("at 127.0.0.1:{taken_port}")));
    let client = Client::of(port);
    a.gateway.eventually("a flow that finds no edge", || {
        assert_eq!(client.letter(), None);
        a.count("overlay.datagram_flows_failed") > 0
    });

    // Once it is free it is served.
    let b = offering(&overlay, "b", b'b');
    drop(taken);
    assert_eq!(Client::of(taken_port).until(&a, |_| true), b'b');
    drop(b);
}

#[test]
fn a_flood_of_datagrams_leaves_connections_unharmed() {
    const REQUESTS: usize = 200;
    let overlay = Overlay::start();
    let backend = Backend::start("web");
    let web = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: web, namespace: shop, labels: {{offered: 'yes'}}}}\nspec:\n  \
         hosts: [web.shop.example]\n  location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
         endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]\n",
        backend.port
    );
    let state = overlay.join("b", "export: [{labels: {offered: 'yes'}}]\n");
    let dns = dns("yes", echo(b'b'));
    let files = [("gateway.yaml", gateway_yaml(free_port())), ("dns.yaml", dns), ("web.yaml", web)];
    let _b = Edge::start(state, &files.each_ref().map(|(name, text)| (*name, text.as_str())));

    let (port, flooded) = (free_port(), free_port());
    let config = format!("import: [{{hosts: ['*.shop.example']}}]\n{}", taking("dns.shop.example", flooded));
    let routes = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, namespace: edge}\nspec:\n  hosts: ['*']\n  \
                  gateways: [web]\n  http: [{route: [{destination: {host: web.shop.example}}]}]\n";
    let a = Edge::start(overlay.join("a", &config), &[("gateway.yaml", &gateway_yaml(port)), ("routes.yaml", routes)]);
    answers(&a, port, &[("/", "web")]);
    let client = Client::of(flooded);
    client.until(&a, |_| true);

    let ends = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..2)
        .map(|_| {
            let (ends, client) = (ends.clone(), Client::of(flooded));
            thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let _ = client.0.send(&[b'x'; 1200]);
                }
            })
        })
        .collect();
    a.gateway.eventually("the flood", || a.count("overlay.datagram_packets_sent") > 1000);
    let failed = (0..REQUESTS).filter(|_| word(port, "/").as_deref() != Some("web")).count();
    ends.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    assert_eq!(failed, 0);
    client.until(&a, |_| true);
}
