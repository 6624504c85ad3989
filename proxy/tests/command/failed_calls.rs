//! What an operator of the calling edge sees of calls to services of other edges that fail: lines of the access log, and counters.

use std::path::Path;

use tempfile::TempDir;

use super::edges::{Edge, Overlay, answers, importing_as, service};
use super::gateway::{Backend, free_port, get};
use super::gateway_yaml;

/// One try for each request, with a connection of its own.
const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: edge}
spec:
  hosts: ['*']
  gateways: [web]
  http: [{route: [{destination: {host: ratings.shop.example}}], retries: {attempts: 0}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: edge}
spec:
  host: ratings.shop.example
  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 5s}, http: {maxRequestsPerConnection: 1}}}
---
";

/// Edge a, which imports what others offer and has an access log.
struct Caller {
    edge: Edge,
    port: u16,
    logs: TempDir,
}

impl Caller {
    fn start(overlay: &Overlay) -> Self {
        let logs = tempfile::tempdir().unwrap();
        let (edge, port) = importing_as(overlay, "a", &(ROUTES.to_owned() + &mesh_config(&logs.path().join("log"))));
        Self { edge, port, logs }
    }

    /// Makes requests until a line of the access log says so, and a counter as well.
    fn hears(&self, reason: &str, counter: &str) {
        let line = format!("503 UF upstream_reset_before_response_started{{remote_connection_failure}} {reason}");
        self.edge.gateway.eventually(&line, || {
            // At first nobody may listen.
            let _ = get(self.port, "/");
            self.lines().any(|found| found.starts_with(&line))
        });
        assert!(self.edge.count(&format!("overlay.{counter}")) > 0, "{counter}");
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let text = std::fs::read_to_string(self.logs.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
    }
}

/// As `kubectl get configmap -n istio-system istio -o yaml` shows it.
fn mesh_config(log: &Path) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |-\n    accessLogFile: {}\n    \
         accessLogFormat: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%'\n",
        log.display()
    )
}

/// Edge b, whose service is at a port, for whoever `edge.yaml` says.
fn offering_at(overlay: &Overlay, port: u16, config: &str) -> Edge {
    let services = service("ratings", "offered: 'yes'", port);
    Edge::start(
        overlay.join("b", config),
        &[("gateway.yaml", &gateway_yaml(free_port())), ("services.yaml", &services)],
    )
}

#[test]
fn what_the_other_edge_refuses_is_in_the_access_log_with_the_edge_and_why() {
    let overlay = Overlay::start();
    let a = Caller::start(&overlay);
    let nobody = free_port();
    let b = offering_at(&overlay, nobody, "export: [{labels: {offered: 'yes'}, edges: [z]}]\n");
    a.hears("edge b: no such service is exported", "outgoing_not_exported");
    std::fs::write(b.state.path().join("edge.yaml"), "export: [{labels: {offered: 'yes'}}]\n").unwrap();
    a.hears("edge b: no endpoint can be reached", "outgoing_unreachable");
    assert_eq!(a.edge.count("overlay.outgoing_silent") + a.edge.count("overlay.outgoing_no_tunnel"), 0);
}

#[test]
fn an_edge_that_is_gone_is_named_in_the_access_log() {
    let overlay = Overlay::start();
    let a = Caller::start(&overlay);
    let backend = Backend::start("b");
    let b = offering_at(&overlay, backend.port, "export: [{labels: {offered: 'yes'}}]\n");
    answers(&a.edge, a.port, &[("/", "b")]);
    b.gateway.signal("KILL");
    a.hears("edge b: no tunnel to b: it is not linked to any hub", "outgoing_silent");
    a.hears("edge b: no tunnel to b: it did not answer a moment ago", "outgoing_silent");
}
