//! An edge that others can dial: they call each other without a hub between.

use super::edges::{Edge, Overlay, answers, service, status, word};
use super::gateway::{Backend, folder, free_port};
use super::gateway_yaml;

const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: edge}
spec:
  hosts: ['*']
  gateways: [web]
  http: [{route: [{destination: {host: HOST.shop.example}}]}]
";

/// All edges of these tests are on one machine.
const DIALS_HERE: &str = "direct: {dial: [127.0.0.0/8, '::1/128']}\n";

fn config(direct: &str) -> String {
    format!("export: [{{hosts: ['*']}}]\nimport: [{{hosts: ['*.shop.example']}}]\n{direct}")
}

/// An edge that offers a service, and its gateway at `port`, which leads to that of the other edge.
fn start(overlay: &Overlay, name: &'static str, direct: &str, offers: &str, calls: &str) -> (Edge, Backend, u16) {
    let (backend, port) = (Backend::start(name), free_port());
    let config = config(direct);
    let files = [
        ("gateway.yaml", gateway_yaml(port)),
        ("routes.yaml", ROUTES.replace("HOST", calls)),
        ("services.yaml", service(offers, "", backend.port)),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let (state, folder) = (overlay.join(name, &config), folder(&files));
    // Each worker would need a link of its own.
    let gateway = Edge::run_with(&state, &folder, &["--concurrency=1"]);
    (Edge { gateway, state, folder }, backend, port)
}

fn is_linked(edge: &Edge, other: &str) -> bool {
    let status = status(edge.state.path());
    let links = status["links"].as_array().cloned().unwrap_or_default();
    links.iter().any(|link| link["peer"]["edge"]["name"] == other)
}

#[test]
fn edges_call_each_other_without_a_hub_where_one_of_them_can_be_dialled() {
    let overlay = Overlay::start();
    let listen = free_port();
    let direct = format!("direct: {{listen: '127.0.0.1:{listen}'}}\n");
    let (a, _backend_a, port_a) = start(&overlay, "a", DIALS_HERE, "orders", "ratings");
    let (b, _backend_b, port_b) = start(&overlay, "b", &direct, "ratings", "orders");
    answers(&a, port_a, &[("/", "b")]);
    answers(&b, port_b, &[("/", "a")]);
    a.gateway.eventually("a link to the other edge", || is_linked(&a, "b") && is_linked(&b, "a"));

    drop(overlay);
    a.gateway.eventually("no hub", || {
        let pending = status(a.state.path())["pending"].to_string();
        pending.contains("refused")
    });
    // Both ways, whoever has dialled.
    for _ in 0..20 {
        assert_eq!((word(port_a, "/").as_deref(), word(port_b, "/").as_deref()), (Some("b"), Some("a")));
    }
    assert_eq!(a.count("overlay.outgoing_failed") + b.count("overlay.outgoing_failed"), 0);
}

#[test]
fn an_address_that_cannot_be_dialled_costs_nothing() {
    let overlay = Overlay::start();
    let direct = format!("direct: {{listen: '127.0.0.1:{}', advertise: ['127.0.0.1:1']}}\n", free_port());
    let (a, _backend_a, port) = start(&overlay, "a", DIALS_HERE, "orders", "ratings");
    let (_b, _backend_b, _) = start(&overlay, "b", &direct, "ratings", "orders");
    answers(&a, port, &[("/", "b")]);
    a.gateway.eventually("an attempt", || a.count("overlay.direct_dials_failed") > 0);
    assert!((0..20).all(|_| word(port, "/").as_deref() == Some("b")));
    assert!(!is_linked(&a, "b"));
    assert!(a.gateway.log().contains("is reached over hubs: 127.0.0.1:1: cannot connect"), "{}", a.gateway.log());
}

#[test]
fn this_machine_is_dialled_only_if_the_operator_says_so() {
    let overlay = Overlay::start();
    let listen = free_port();
    let direct = format!("direct: {{listen: '127.0.0.1:{listen}', advertise: ['localhost:{listen}']}}\n");
    let (a, _backend_a, port) = start(&overlay, "a", "", "orders", "ratings");
    let (_b, _backend_b, _) = start(&overlay, "b", &direct, "ratings", "orders");
    answers(&a, port, &[("/", "b")]);
    a.gateway.eventually("an attempt", || a.count("overlay.direct_dials_failed") > 0);
    assert!(!is_linked(&a, "b"));
    assert!(a.gateway.log().contains("127.0.0.1 may not be dialled (direct.dial)"), "{}", a.gateway.log());

    let change = |direct| std::fs::write(a.state.path().join("edge.yaml"), config(direct)).unwrap();
    change(DIALS_HERE);
    a.gateway.eventually("a link to the other edge", || is_linked(&a, "b"));
    change("direct: {dial: []}\n");
    a.gateway.eventually("no link to the other edge", || !is_linked(&a, "b"));
}
