//! Edges that join a hub by token, offer services to each other, and balance between them.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gateway::{Backend, Gateway, eventually, folder, free_port, get};
use super::{SELVEDGE, gateway_yaml};

/// What the edges have in common: a hub that is ready for them.
pub(crate) struct Overlay {
    pub(crate) hub: TempDir,
    pub(crate) port: u16,
    process: Child,
}

impl Overlay {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let (hub, port) = (tempfile::tempdir().unwrap(), free_port());
        let process = run_hub(hub.path(), port, arguments);
        Self { hub, port, process }
    }

    /// Ends it without a word, as a machine does that loses its power.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.process = run_hub(self.hub.path(), self.port, &[]);
    }

    /// The folder of an edge that has joined.
    pub(crate) fn join(&self, edge: &str, config: &str) -> TempDir {
        let state = tempfile::tempdir().unwrap();
        let mut join = Command::new(SELVEDGE);
        join.args(["join", "-", "--state"]).arg(state.path()).stdin(Stdio::piped());
        let mut join = join.spawn().unwrap();
        join.stdin.take().unwrap().write_all(self.token(edge).as_bytes()).unwrap();
        assert!(join.wait().unwrap().success(), "{edge} cannot join");
        std::fs::write(state.path().join("edge.yaml"), config).unwrap();
        state
    }

    /// Waits for the hub.
    fn token(&self, edge: &str) -> String {
        let mut token = String::new();
        eventually("a token", || {
            let mut create = Command::new(SELVEDGE);
            create.args(["token", "create", "--tenant", "acme", "--edge", edge, "--state"]).arg(self.hub.path());
            let made = create.output().unwrap();
            token = String::from_utf8(made.stdout).unwrap();
            made.status.success()
        });
        token
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run_hub(state: &Path, port: u16, arguments: &[&str]) -> Child {
    let address = format!("127.0.0.1:{port}");
    let mut hub = Command::new(SELVEDGE);
    hub.args([
        "hub",
        "--name",
        "h1",
        "--overlay",
        "mesh.test",
        "--listen",
        &address,
        "--advertise",
        &address,
        "--state",
    ]);
    hub.arg(state).args(arguments).spawn().unwrap()
}

/// An edge that runs.
pub(crate) struct Edge {
    pub(crate) gateway: Gateway,
    pub(crate) state: TempDir,
    pub(crate) folder: TempDir,
}

impl Edge {
    pub(crate) fn start(state: TempDir, files: &[(&str, &str)]) -> Self {
        let folder = folder(files);
        let gateway = Self::run(&state, &folder);
        Self { gateway, state, folder }
    }

    fn run(state: &TempDir, folder: &TempDir) -> Gateway {
        Self::run_with(state, folder, &[])
    }

    pub(crate) fn run_with(state: &TempDir, folder: &TempDir, arguments: &[&str]) -> Gateway {
        let arguments = [&["--state", state.path().to_str().unwrap()], arguments].concat();
        Gateway::run(folder.path(), &arguments)
    }

    /// In the place of a process that has ended.
    pub(crate) fn start_again(&mut self) {
        self.gateway = Self::run(&self.state, &self.folder);
    }

    /// Offers what answers with its name, and something that it keeps for itself.
    pub(crate) fn offering(overlay: &Overlay, name: &'static str) -> (Self, Backend) {
        Self::offering_by(overlay, name, "export: [{labels: {offered: 'yes'}}]\n", &[])
    }

    fn offering_by(overlay: &Overlay, name: &'static str, config: &str, arguments: &[&str]) -> (Self, Backend) {
        let backend = Backend::start(name);
        let services = format!(
            "{}---\n{}",
            service("ratings", "offered: 'yes'", backend.port),
            service("ledger", "offered: 'no'", backend.port)
        );
        let files = [("gateway.yaml", gateway_yaml(free_port())), ("services.yaml", services)];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        let (state, folder) = (overlay.join(name, config), folder(&files));
        let gateway = Self::run_with(&state, &folder, arguments);
        (Self { gateway, state, folder }, backend)
    }

    pub(crate) fn count(&self, counter: &str) -> u64 {
        count(&self.gateway, counter)
    }
}

/// The sum of a counter over the workers of a gateway.
pub(crate) fn count(gateway: &Gateway, counter: &str) -> u64 {
    let page = gateway.admin_get(&format!("/stats?filter={counter}")).unwrap_or_default();
    page.rsplit_once(": ").and_then(|(_, value)| value.trim().parse().ok()).unwrap_or_default()
}

pub(crate) fn service(name: &str, labels: &str, port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}\nspec:\n  \
         hosts: [{name}.shop.example]\n  location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
         endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]\n"
    )
}

/// 70 % to edge b, 30 % to edge c; `/c` to edge c alone.
const ROUTES: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: edge}
spec:
  hosts: ['*']
  gateways: [web]
  http:
    - match: [{uri: {prefix: /c}}]
      route: [{destination: {host: ratings.shop.example, subset: c}}]
    - route:
        - {destination: {host: ratings.shop.example, subset: b}, weight: 70}
        - {destination: {host: ratings.shop.example, subset: c}, weight: 30}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: edge}
spec:
  host: ratings.shop.example
  subsets:
    - {name: b, labels: {edge: b}}
    - {name: c, labels: {edge: c}}
";

/// The last word of an answer of 200.
pub(crate) fn word(port: u16, path: &str) -> Option<String> {
    let answer = get(port, path)?;
    answer.starts_with("HTTP/1.1 200").then(|| answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
}

pub(crate) fn importing(overlay: &Overlay) -> (Edge, u16) {
    importing_as(overlay, "a", ROUTES)
}

pub(crate) fn importing_as(overlay: &Overlay, name: &str, routes: &str) -> (Edge, u16) {
    let port = free_port();
    let state = overlay.join(name, "import: [{hosts: ['*.shop.example']}]\n");
    let edge = Edge::start(state, &[("gateway.yaml", &gateway_yaml(port)), ("routes.yaml", routes)]);
    (edge, port)
}

pub(crate) fn answers(edge: &Edge, port: u16, expected: &[(&str, &str)]) {
    for (path, name) in expected {
        edge.gateway.eventually(&format!("an answer of {name}"), || word(port, path).as_deref() == Some(name));
    }
}

#[test]
fn services_of_other_edges_are_balanced_as_configured_and_nothing_else_is_offered() {
    let overlay = Overlay::start();
    let (b, _backend_b) = Edge::offering(&overlay, "b");
    let (c, _backend_c) = Edge::offering(&overlay, "c");
    let (a, port) = importing(&overlay);
    answers(&a, port, &[("/c", "c"), ("/", "b")]);

    const REQUESTS: usize = 1000;
    let words: Vec<_> = (0..REQUESTS).map(|_| word(port, "/").unwrap()).collect();
    let of_b = words.iter().filter(|word| *word == "b").count();
    assert_eq!(words.iter().filter(|word| *word == "c").count(), REQUESTS - of_b);
    // Four standard deviations of a draw with 70 %.
    assert!((640..=760).contains(&of_b), "{of_b} of {REQUESTS}");
    assert!((0..20).all(|_| word(port, "/c").as_deref() == Some("c")));

    let imported = std::fs::read_to_string(a.folder.path().join("selvedge-imports.yaml")).unwrap();
    assert!(imported.contains("ratings.shop.example") && !imported.contains("ledger"), "{imported}");
    assert!(a.count("overlay.outgoing_total") > 0 && a.count("overlay.outgoing_failed") == 0);
    assert!(b.count("overlay.incoming_total") > 0 && c.count("overlay.incoming_total") > 0);
    assert_eq!(b.count("overlay.incoming_not_exported"), 0);
}

#[test]
fn a_file_of_imports_that_somebody_deletes_empties_or_spoils_comes_back() {
    let overlay = Overlay::start();
    let (_b, _backend) = Edge::offering(&overlay, "b");
    let (a, port) = importing(&overlay);
    answers(&a, port, &[("/", "b")]);
    let path = a.folder.path().join("selvedge-imports.yaml");
    let written = std::fs::read_to_string(&path).unwrap();
    let is_back = || std::fs::read_to_string(&path).is_ok_and(|text| text == written);
    std::fs::remove_file(&path).unwrap();
    a.gateway.eventually("the file", is_back);
    for spoilt in ["", "kind: [", "kind: ConfigMap\n"] {
        std::fs::write(&path, spoilt).unwrap();
        a.gateway.eventually("what was written", is_back);
    }
    answers(&a, port, &[("/", "b")]);
    assert!(a.gateway.log().contains("selvedge-imports.yaml was changed by somebody else"), "{}", a.gateway.log());

    // It cannot be written, and then it can: a folder has its name.
    while std::fs::create_dir(&path).is_err() {
        // It may be back already.
        let _ = std::fs::remove_file(&path);
    }
    let problem = || a.gateway.admin_get("/problems").unwrap_or_default();
    a.gateway.eventually("the problem", || problem().contains("edge: imports: cannot write "));
    std::fs::remove_dir(&path).unwrap();
    a.gateway.eventually("no problem", || is_back() && !problem().contains("edge: imports"));
}

#[test]
fn an_edge_calls_what_is_offered_to_it_and_the_log_of_the_other_says_so() {
    let overlay = Overlay::start();
    let config = "export: [{labels: {offered: 'yes'}, edges: [a]}]\n";
    let (b, _backend) = Edge::offering_by(&overlay, "b", config, &["--log-level", "debug"]);
    // A call is over, and in the log, when its connection was idle for so long.
    let idle = "  trafficPolicy: {connectionPool: {http: {idleTimeout: 1s}}}\n  subsets:";
    let (a, port) = importing_as(&overlay, "a", &ROUTES.replace("  subsets:", idle));
    answers(&a, port, &[("/", "b")]);
    assert_eq!(b.count("overlay.incoming_not_to_edge"), 0);
    let call = r#"host="ratings.shop.example" port=80"#;
    let logs = |edge: &str, outcome: &str| {
        let log = b.gateway.log();
        log.lines()
            .any(|line| line.contains(&format!("edge=\"{edge}\"")) && line.contains(call) && line.contains(outcome))
    };

    // It has heard of the service, and may not call it.
    let (d, port) = importing_as(&overlay, "d", ROUTES);
    d.gateway.eventually("a call that is refused", || {
        get(port, "/").is_some_and(|answer| answer.starts_with("HTTP/1.1 503"))
            && b.count("overlay.incoming_not_to_edge") > 0
    });
    b.gateway.eventually("a line", || logs("d", "no such service is exported"));
    assert!((0..5).all(|_| get(port, "/").is_some_and(|answer| answer.starts_with("HTTP/1.1 503"))));
    b.gateway.eventually("a line", || logs("a", "connected"));
}

/// How a hub or an edge says it is doing.
pub(crate) fn status(state: &Path) -> Value {
    let asked = Command::new(SELVEDGE).args(["status", "--json", "--state"]).arg(state).output().unwrap();
    serde_json::from_slice(&asked.stdout).unwrap_or_default()
}

fn list(status: &Value, name: &str) -> Vec<Value> {
    status[name].as_array().cloned().unwrap_or_default()
}

#[test]
fn every_worker_of_an_edge_is_in_its_status_and_its_metrics() {
    const WORKERS: usize = 3;
    let overlay = Overlay::start();
    let (b, _backend) = Edge::offering(&overlay, "b");
    let state = overlay.join("a", "import: [{hosts: ['*.shop.example']}, {hosts: [typo.example], edges: [b]}]\n");
    let (port, path) = (free_port(), state.path().to_owned());
    let folder = folder(&[("gateway.yaml", &gateway_yaml(port)), ("routes.yaml", ROUTES)]);
    let arguments = ["--state", path.to_str().unwrap(), "--concurrency", &WORKERS.to_string()];
    let gateway = Gateway::run(folder.path(), &arguments);
    let a = Edge { gateway, state, folder };
    answers(&a, port, &[("/", "b")]);

    a.gateway.eventually("the links of all workers", || {
        let status = status(&path);
        let measured = list(&status, "links").into_iter().filter(|link| link["round_trip_ms"].is_f64());
        let workers: HashSet<_> = measured.map(|link| link["worker"].as_u64()).collect();
        workers.len() == WORKERS && status["pending"] == json!([])
    });
    let mine = status(&path);
    assert_eq!(mine["imports"], json!([{"host": "ratings.shop.example", "edges": ["b"]}]));
    let entries = json!([
        {"entry": "import[0] hosts *.shop.example", "services": 1},
        {"entry": "import[1] hosts typo.example, edges b", "services": 0},
    ]);
    assert_eq!(mine["import_entries"], entries);
    assert!(mine["streams"].as_u64() > Some(0), "{mine}");
    assert_eq!(status(b.state.path())["exports"], json!([{"host": "ratings.shop.example", "ports": [80]}]));

    let page = a.gateway.admin_get("/stats/prometheus").unwrap();
    for line in
        [format!("envoy_overlay_peer_links{{peer_name=\"h1\"}} {WORKERS}"), "envoy_overlay_legs_forged{} 0".into()]
    {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(page.contains("envoy_overlay_peer_round_trip_microseconds{peer_name=\"h1\"}"), "{page}");
    assert!(a.count("overlay.link_bytes_sent") > 1000 && a.count("overlay.links_total") >= WORKERS as u64);

    // A hub that is away is said once, although all workers miss it.
    drop(overlay);
    a.gateway.eventually("what is missing", || {
        let status = status(&path);
        let reasons: Vec<_> = list(&status, "pending").iter().map(|pending| pending["why"].to_string()).collect();
        status["links"] == json!([]) && reasons.len() == 1 && reasons[0].contains("refused")
    });
}

#[test]
fn a_connection_that_comes_too_late_has_failed() {
    let overlay = Overlay::start();
    let (b, _backend) = Edge::offering(&overlay, "b");
    let in_time = "  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 0.3s}, http: {maxRequestsPerConnection: 1}}}\n  subsets:";
    let (a, port) = importing_as(&overlay, "a", &ROUTES.replace("  subsets:", in_time));
    answers(&a, port, &[("/", "b")]);
    let before = a.count("overlay.outgoing_failed");
    b.gateway.signal("STOP");
    let connection_timeout =
        |answer: String| answer.starts_with("HTTP/1.1 503") && answer.contains("connection timeout");
    a.gateway.eventually("a connection that is late", || get(port, "/").is_some_and(connection_timeout));
    assert!(a.count("overlay.outgoing_failed") > before);
    b.gateway.signal("CONT");
    answers(&a, port, &[("/", "b")]);
}

#[test]
fn what_is_not_offered_any_more_is_gone_and_what_is_offered_anew_is_there() {
    let overlay = Overlay::start();
    let (b, backend) = Edge::offering(&overlay, "b");
    let (a, port) = importing(&overlay);
    answers(&a, port, &[("/", "b")]);
    let services = b.folder.path().join("services.yaml");
    std::fs::write(&services, service("ratings", "offered: 'no'", backend.port)).unwrap();
    a.gateway
        .eventually("an answer of 503", || get(port, "/").is_some_and(|answer| answer.starts_with("HTTP/1.1 503")));
    std::fs::write(&services, service("ratings", "offered: 'yes'", backend.port)).unwrap();
    answers(&a, port, &[("/", "b")]);
}

#[test]
fn edges_find_each_other_again_when_the_hub_or_one_of_them_was_away() {
    let mut overlay = Overlay::start();
    let (_b, _backend) = Edge::offering(&overlay, "b");
    let (mut a, port) = importing(&overlay);
    answers(&a, port, &[("/", "b")]);
    overlay.kill();
    overlay.start_again();
    answers(&a, port, &[("/", "b")]);

    // What was known before is known at once, and used as soon as there is a way.
    a.gateway.signal("KILL");
    a.gateway.wait();
    let before = std::fs::read(a.folder.path().join("selvedge-imports.yaml")).unwrap();
    a.start_again();
    answers(&a, port, &[("/", "b")]);
    assert_eq!(std::fs::read(a.folder.path().join("selvedge-imports.yaml")).unwrap(), before);
}

#[test]
fn one_process_is_an_edge_and_the_next_may_start_while_it_drains() {
    let overlay = Overlay::start();
    let (backend, answer) = Backend::holding("b");
    let port = free_port();
    let files = [("gateway.yaml", gateway_yaml(port)), ("services.yaml", service("ratings", "", backend.port))];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, namespace: edge}\nspec:\n  hosts: ['*']\n  \
                 gateways: [web]\n  http: [{route: [{destination: {host: ratings.shop.example}}]}]\n";
    let a = Edge::start(overlay.join("a", ""), &[files[0], files[1], ("routes.yaml", route)]);
    a.gateway.eventually("the gateway", || a.gateway.admin_get("/ready").is_some_and(|page| page.contains("200")));

    let mut second = Edge::run(&a.state, &a.folder);
    assert!(!second.wait().success());
    let complaint = format!("{}: another process runs with this folder", a.state.path().display());
    assert!(second.log().contains(&complaint), "{}", second.log());

    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    eventually("the request", || backend.requests() == 1);
    a.gateway.terminate();
    a.gateway.eventually("the drain", || a.gateway.admin_get("/ready").is_none_or(|page| page.contains("503")));
    let next = Edge::run(&a.state, &a.folder);
    next.eventually("the next process", || next.admin_get("/ready").is_some_and(|page| page.contains("200")));
    drop(answer);
}

#[test]
fn an_edge_that_has_not_joined_says_so() {
    let (state, folder) = (tempfile::tempdir().unwrap(), folder(&[("gateway.yaml", &gateway_yaml(free_port()))]));
    let mut command = Command::new(SELVEDGE);
    command.args(["run", "--admin-port=0", "--readiness-port=0", "--config"]).arg(folder.path());
    let output = command.arg("--state").arg(state.path()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(complaint.contains(state.path().to_str().unwrap()), "{complaint}");
}
