//! `edge.yaml` changes while the edges run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::edges::{Edge, Overlay, answers, service, word};
use super::gateway::{Backend, free_port, get};
use super::gateway_yaml;

/// `/slow` to a service of its own, everything else to the ratings.
const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: edge}
spec:
  hosts: ['*']
  gateways: [web]
  http:
    - match: [{uri: {prefix: /slow}}]
      route: [{destination: {host: slow.shop.example}}]
    - route: [{destination: {host: ratings.shop.example}}]
";

const EXPORT: &str = "export: [{labels: {offered: 'yes'}}]\n";
const IMPORT: &str = "import: [{hosts: ['*.shop.example']}]\n";

/// Replaces the file as a careful editor does.
fn says(edge: &Edge, text: &str) {
    let path = edge.state.path().join("edge.yaml");
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, &path).unwrap();
}

/// How often what it says was put in force.
fn loaded(edge: &Edge) -> u64 {
    edge.count("overlay.configuration_loaded")
}

/// By all workers, each of which may have kept a connection to the service.
fn is_unavailable(port: u16) -> bool {
    (0..10).all(|_| get(port, "/").is_some_and(|answer| answer.starts_with("HTTP/1.1 503")))
}

#[test]
fn what_is_offered_and_taken_changes_and_calls_under_way_go_on() {
    let overlay = Overlay::start();
    let (ratings, (slow, answer)) = (Backend::start("b"), Backend::holding("slow"));
    let services =
        service("ratings", "offered: 'yes'", ratings.port) + "---\n" + &service("slow", "offered: 'yes'", slow.port);
    let gateway = gateway_yaml(free_port());
    let b = Edge::start(overlay.join("b", ""), &[("gateway.yaml", &gateway), ("services.yaml", &services)]);
    let port = free_port();
    let a = Edge::start(overlay.join("a", IMPORT), &[("gateway.yaml", &gateway_yaml(port)), ("routes.yaml", ROUTES)]);
    let imports = || std::fs::read_to_string(a.folder.path().join("selvedge-imports.yaml")).unwrap_or_default();
    a.gateway.eventually("an empty file of imports", || !imports().is_empty());

    says(&b, EXPORT);
    answers(&a, port, &[("/", "b")]);
    let call = thread::spawn(move || word(port, "/slow"));
    a.gateway.eventually("the call at the backend", || slow.requests() == 1);
    says(&b, "export: []\n");
    a.gateway.eventually("nobody", || loaded(&b) == 2 && is_unavailable(port));
    says(&b, EXPORT);
    b.gateway.eventually("what is offered", || loaded(&b) == 3);
    answers(&a, port, &[("/", "b")]);

    says(&a, "import: [{hosts: [other.shop.example]}]\n");
    a.gateway.eventually("nothing imported", || loaded(&a) == 1 && !imports().contains("ratings"));
    a.gateway.eventually("nobody", || is_unavailable(port));
    says(&a, IMPORT);
    a.gateway.eventually("what is taken", || loaded(&a) == 2);
    answers(&a, port, &[("/", "b")]);

    drop(answer);
    assert_eq!(call.join().unwrap().as_deref(), Some("slow"), "it was under way all the time");
}

#[test]
fn a_bad_file_is_named_and_what_was_good_goes_on() {
    let overlay = Overlay::start();
    let (b, _backend) = Edge::offering(&overlay, "b");
    let port = free_port();
    let a = Edge::start(overlay.join("a", IMPORT), &[("gateway.yaml", &gateway_yaml(port)), ("routes.yaml", ROUTES)]);
    answers(&a, port, &[("/", "b")]);
    let path = a.state.path().join("edge.yaml");
    let path = path.to_str().unwrap();
    for (rejected, (text, field)) in (1..).zip([
        ("import: [{hostz: ['*']}]\n", "hostz"),
        ("import: [{hosts: ['*'], mergeWithLocal: true}]\n", "import[].mergeWithLocal"),
        ("import: [{hosts: [other.example]}]\nimportAddresses: 127.97.0.0/16\n", "importAddresses"),
    ]) {
        says(&a, text);
        a.gateway.eventually("the refusal", || a.count("overlay.configuration_rejected") == rejected);
        let names = |text: &str| text.lines().any(|line| line.contains(path) && line.contains(field));
        a.gateway.eventually("the line in the log", || names(&a.gateway.log()));
        assert!(names(&a.gateway.admin_get("/problems").unwrap()), "{text}");
        assert_eq!(a.count("configuration.problems"), 1);
        assert_eq!(word(port, "/").as_deref(), Some("b"), "{text}");
    }
    says(&a, IMPORT);
    a.gateway.eventually("no problem", || {
        a.gateway.admin_get("/problems").as_deref().is_some_and(|page| !page.contains(path))
    });
    assert_eq!(word(port, "/").as_deref(), Some("b"));
    assert_eq!(b.count("overlay.configuration_rejected"), 0);
}

/// Calls, one after the other, until it is asked how many there were and which of them failed.
fn calls(port: u16) -> impl FnOnce() -> (usize, Vec<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let caller: JoinHandle<(usize, Vec<usize>)> = thread::spawn(move || {
        let (mut count, mut failed) = (0, Vec::new());
        while !stopped.load(Ordering::Relaxed) {
            count += 1;
            if word(port, "/").is_none() {
                failed.push(count);
            }
        }
        (count, failed)
    });
    move || {
        stop.store(true, Ordering::Relaxed);
        caller.join().unwrap()
    }
}

/// The last numbers of the local addresses `127.0.0.x` that are connected to a port, and how often.
fn connected_from(port: u16) -> Vec<u8> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let hub = format!("0100007F:{port:04X}");
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut from: Vec<_> = lines
        .filter(|fields| fields[2] == hub && fields[3] == "01")
        .map(|fields| u8::from_str_radix(&fields[1][..2], 16).unwrap())
        .collect();
    from.sort_unstable();
    from
}

#[test]
fn links_over_an_address_that_is_not_named_any_more_end_and_calls_go_on_over_the_others() {
    let overlay = Overlay::start();
    let (slow, answer) = Backend::holding("slow");
    let (b, _backend) = Edge::offering(&overlay, "b");
    let services = b.folder.path().join("services.yaml");
    let all = std::fs::read_to_string(&services).unwrap() + "---\n" + &service("slow", "offered: 'yes'", slow.port);
    std::fs::write(&services, all).unwrap();
    let port = free_port();
    let state = overlay.join("a", &format!("{IMPORT}uplinks: [127.0.0.2]\n"));
    let a = Edge::start(state, &[("gateway.yaml", &gateway_yaml(port)), ("routes.yaml", ROUTES)]);
    answers(&a, port, &[("/", "b")]);
    a.gateway
        .eventually("the other service", || a.gateway.admin_get("/clusters").is_some_and(|page| page.contains("slow")));
    let call = thread::spawn(move || word(port, "/slow"));
    a.gateway.eventually("the call at the backend", || slow.requests() == 1);

    // Two workers each; edge b has no addresses of its own.
    let stop = calls(port);
    for (uplinks, expected) in [
        ("[127.0.0.2, 127.0.0.3]", &[1, 1, 2, 2, 3, 3][..]),
        ("[127.0.0.3]", &[1, 1, 3, 3]),
        ("[127.0.0.4]", &[1, 1, 4, 4]),
        ("[]", &[1, 1, 1, 1]),
    ] {
        says(&a, &format!("{IMPORT}uplinks: {uplinks}\n"));
        a.gateway.eventually(uplinks, || connected_from(overlay.port) == expected);
    }
    // An address that this machine does not have takes nothing away.
    says(&a, &format!("{IMPORT}uplinks: [192.0.2.1]\n"));
    a.gateway.eventually("a way without link", || a.count("overlay.ways_without_link") == 2);
    assert_eq!(connected_from(overlay.port), [1, 1, 1, 1]);
    drop(answer);
    assert_eq!(call.join().unwrap().as_deref(), Some("slow"));
    let (count, failed) = stop();
    assert!(count > 0 && failed.is_empty(), "{failed:?} of {count}");
}
