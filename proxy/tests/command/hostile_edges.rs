//! Edges of the same tenant that offer what harms whoever takes it.

use std::fs;

use super::edges::{Edge, Overlay, answers, importing_as, service, word};
use super::gateway::free_port;
use super::gateway_yaml;

const IMPORTS: &str = "selvedge-imports.yaml";

/// `/own` is answered here.
const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: edge}
spec:
  hosts: ['*']
  gateways: [web]
  http:
    - match: [{uri: {prefix: /own}}]
      directResponse: {status: 200, body: {string: first}}
    - route: [{destination: {host: ratings.shop.example}}]
";

/// An edge that offers all of these.
fn offering_all(overlay: &Overlay, name: &str, services: &str) -> Edge {
    let state = overlay.join(name, "export: [{hosts: ['*']}]\n");
    Edge::start(state, &[("gateway.yaml", &gateway_yaml(free_port())), ("services.yaml", services)])
}

fn imports(edge: &Edge) -> String {
    fs::read_to_string(edge.folder.path().join(IMPORTS)).unwrap_or_default()
}

/// A change that the operator makes comes into force.
fn takes_changes(edge: &Edge, port: u16) {
    answers(edge, port, &[("/own", "first")]);
    fs::write(edge.folder.path().join("routes.yaml"), ROUTES.replace("first", "second")).unwrap();
    answers(edge, port, &[("/own", "second")]);
}

#[test]
fn no_name_that_an_edge_chooses_stops_those_who_take_it() {
    let overlay = Overlay::start();
    let (_b, _backend) = Edge::offering(&overlay, "b");
    let (mut a, port) = importing_as(&overlay, "a", ROUTES);
    answers(&a, port, &[("/", "b")]);
    let services = service("odd", "", free_port()).replace("namespace: shop", "namespace: '1e400'");
    let _hostile = offering_all(&overlay, "aa", &services);
    a.gateway.eventually("what is taken", || imports(&a).contains("odd.shop.example"));
    takes_changes(&a, port);
    a.gateway.signal("KILL");
    a.gateway.wait();
    a.start_again();
    answers(&a, port, &[("/", "b")]);
}

#[test]
fn imports_that_cannot_be_read_are_set_aside_at_the_start_and_made_anew() {
    let overlay = Overlay::start();
    let (_b, _backend) = Edge::offering(&overlay, "b");
    let (mut a, port) = importing_as(&overlay, "a", ROUTES);
    answers(&a, port, &[("/", "b")]);
    a.gateway.signal("KILL");
    a.gateway.wait();
    let bad = imports(&a)
        + "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: odd, namespace: 1}\n";
    fs::write(a.folder.path().join(IMPORTS), &bad).unwrap();
    a.start_again();
    answers(&a, port, &[("/", "b")]);
    assert_eq!(fs::read_to_string(a.folder.path().join("selvedge-imports.refused")).ok(), Some(bad));
    assert!(a.gateway.log().contains("cannot be served, and is now"), "{}", a.gateway.log());
}

#[test]
fn an_edge_takes_no_port_from_a_service_that_others_have_offered_before() {
    let overlay = Overlay::start();
    let (_b, _backend) = Edge::offering(&overlay, "b");
    let (a, port) = importing_as(&overlay, "a", ROUTES);
    answers(&a, port, &[("/", "b")]);
    let same = service("ratings", "", free_port()).replace("number: 80", "number: 9999");
    let elsewhere = same.replace("namespace: shop", "namespace: evil").replace("protocol: HTTP", "protocol: TCP");
    let _hostile = offering_all(&overlay, "aa", &(elsewhere + "---\n" + &service("cart", "", free_port())));
    a.gateway.eventually("what else is offered", || imports(&a).contains("cart.shop.example"));
    assert!(!imports(&a).contains("9999"), "{}", imports(&a));
    assert!((0..10).all(|_| word(port, "/").as_deref() == Some("b")), "{}", a.gateway.log());
    assert!(a.gateway.log().contains("others have offered them before"), "{}", a.gateway.log());
}
