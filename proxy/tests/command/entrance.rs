//! Clients of the mesh that are not this gateway, and services of another edge: by mutual TLS to the port that stands for a service, and
//! by HBONE.

mod hbone;
mod mesh;
mod restart;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::mesh::{Client, Mesh, WEB, Workload};
use super::edges::{Edge, Overlay};
use super::gateway::free_port;
use super::gateway_yaml;

/// How long anything may take to come about.
const PATIENCE: Duration = Duration::from_secs(30);
const SERVER_NAME: &str = "outbound_.80_._.echo.shop.example";

/// Edge `b` offers `echo.shop.example`, edge `a` takes it and lets clients of a mesh in.
struct Site {
    mesh: Mesh,
    a: Edge,
    b: Edge,
    /// Stands for edge `b`.
    address: String,
    _overlay: Overlay,
}

impl Site {
    fn start() -> Self {
        Self::with("", "")
    }

    /// With more lines in what the edges are told.
    fn with(of_a: &str, of_b: &str) -> Self {
        Self::of(echo(), of_a, of_b)
    }

    /// Of a service that is at this port.
    fn of(port: u16, of_a: &str, of_b: &str) -> Self {
        Self::run(port, of_a, of_b, &[])
    }

    /// With arguments for edge `a`.
    fn run(port: u16, of_a: &str, of_b: &str, arguments: &[&str]) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let (overlay, mesh) = (Overlay::start(), Mesh::new());
        let service = format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: echo, namespace: shop}}\nspec:\n  \
             hosts: [echo.shop.example]\n  location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{{number: 80, name: tcp, protocol: TCP}}]\n  \
             endpoints: [{{address: 127.0.0.1, ports: {{tcp: {port}}}}}]\n"
        );
        let gateway = gateway_yaml(free_port());
        let b = overlay.join("b", &format!("export: [{{hosts: ['*']}}]\n{of_b}"));
        let b = Edge::start(b, &[("gateway.yaml", &gateway), ("services.yaml", &service)]);
        // No two tests of the machine share addresses.
        let process = std::process::id().to_le_bytes();
        let network = format!("127.{}.{}", 100 + process[1] % 100, process[0] ^ NEXT.fetch_add(1, Ordering::Relaxed));
        let a = overlay.join(
            "a",
            &format!(
                "import: [{{hosts: ['*']}}]\nimportAddresses: {network}.0/24\n\
                 terminate: {{certificate: cert.pem, key: key.pem, authorities: root.pem}}\n{of_a}"
            ),
        );
        let files = mesh.gateway_files();
        let mut files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let gateway = gateway_yaml(free_port());
        files.push(("gateway.yaml", &gateway));
        let folder = super::folder(&files);
        let a = Edge { gateway: Edge::run_with(&a, &folder, arguments), state: a, folder };
        let site = Self { mesh, a, b, address: format!("{network}.1"), _overlay: overlay };
        site.a.gateway.eventually("a way in", || site.is_ready());
        site
    }

    fn is_ready(&self) -> bool {
        self.target_port().is_some_and(|port| self.serves(port)) && self.serves(15008)
    }

    /// Whether a port is open, and its certificate there.
    fn serves(&self, port: u16) -> bool {
        let listeners = self.a.gateway.admin_get("/listeners").unwrap_or_default();
        let line = listeners.lines().find(|line| line.contains(&format!("overlay|{}:{port}", self.address)));
        line.is_some_and(|line| !line.contains('(')) && self.is_open(port)
    }

    /// The port that stands for the service.
    fn target_port(&self) -> Option<u16> {
        let given = std::fs::read(self.a.state.path().join("addresses.json")).ok()?;
        let given: serde_json::Value = serde_json::from_slice(&given).ok()?;
        u16::try_from(given["services"]["echo.shop.example:80"].as_u64()?).ok()
    }

    fn is_open(&self, port: u16) -> bool {
        std::net::TcpStream::connect((self.address.as_str(), port)).is_ok()
    }

    fn target(&self) -> SocketAddr {
        SocketAddr::new(self.address.parse().unwrap(), self.target_port().unwrap())
    }

    async fn connect(&self, workload: Option<&Workload>, server_name: Option<&str>) -> io::Result<Client> {
        let mut client = self.mesh.connect(self.target(), workload, server_name, &["istio"]).await?;
        // With TLS 1.3 the client is done before the server has seen its certificate.
        client.write_all(b"hello").await?;
        let mut answer = [0; 5];
        client.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"hello");
        Ok(client)
    }
}

/// A server that repeats what it hears, and says that it has heard the end.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut sink = socket.try_clone().unwrap();
                let _ = io::copy(&mut socket, &mut sink);
                let _ = io::Write::write_all(&mut sink, b"end");
            });
        }
    });
    port
}

fn reason(result: io::Result<Client>) -> String {
    result.err().map_or_else(|| "let in".to_owned(), |error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workloads_of_the_mesh_are_let_in_and_may_close_their_half() {
    let site = Site::start();
    let web = site.mesh.workload(&[WEB]);
    for name in [Some(SERVER_NAME), Some("outbound_.80_.b_.echo.shop.example"), None] {
        let mut client = site.connect(Some(&web), name).await.unwrap();
        client.shutdown().await.unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "end", "{name:?}");
    }
    assert_eq!(site.a.count("overlay.outgoing_total"), 3);
    assert_eq!((site.b.count("overlay.incoming_total"), site.b.count("overlay.incoming_forbidden")), (3, 0));
    assert_eq!(site.a.count("overlay.entrance_handshake"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_others_are_refused_and_counted() {
    let site = Site::start();
    let elsewhere = Mesh::new();
    let web = site.mesh.workload(&[WEB]);
    let refused = [
        ("expired", Some(site.mesh.expired(WEB)), "CertificateExpired"),
        ("of another authority", Some(elsewhere.workload(&[WEB])), ""),
        ("without a certificate", None, "CertificateRequired"),
        ("of another trust domain", Some(site.mesh.workload(&["spiffe://other.example/ns/shop/sa/web"])), ""),
        ("of a trust domain that begins alike", Some(site.mesh.workload(&["spiffe://cluster.local.evil/x"])), ""),
        ("of two identities", Some(site.mesh.workload(&[WEB, "spiffe://cluster.local/ns/bank/sa/x"])), ""),
    ];
    for (count, (kind, workload, alert)) in (1..).zip(&refused) {
        let reason = reason(site.connect(workload.as_ref(), Some(SERVER_NAME)).await);
        assert!(reason != "let in" && reason.contains(alert), "{kind}: {reason}");
        site.a.gateway.eventually(kind, || site.a.count("overlay.entrance_handshake") == count);
    }
    let names = [
        "echo.shop.example",
        "outbound_.81_._.echo.shop.example",
        "outbound_.80_._.ledger.shop.example",
        "outbound_.80_._.evil.echo.shop.example",
    ];
    for (count, name) in (1..).zip(names) {
        let reason = reason(site.connect(Some(&web), Some(name)).await);
        assert!(reason.contains("UnrecognisedName"), "{name}: {reason}");
        site.a.gateway.eventually(name, || site.a.count("overlay.entrance_server_name") == count);
    }
    for port in [site.target().port(), 15008] {
        let mut clear = TcpStream::connect((site.address.as_str(), port)).await.unwrap();
        clear.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // A reset, because the request was not read.
        let _ = clear.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
    site.a.gateway.eventually("clear text", || site.a.count("overlay.entrance_clear_text") == 2);
    site.a.gateway.eventually("a line", || site.a.gateway.log().contains("a client of other edges is refused"));
    assert_eq!(site.b.count("overlay.incoming_total"), 0);
    site.connect(Some(&web), Some(SERVER_NAME)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_edge_believes_what_it_is_told_to_believe() {
    let site = Site::with("", "callers: [{trustDomain: cluster.local, edges: [c]}]\n");
    let web = site.mesh.workload(&[WEB]);
    assert_ne!(reason(site.connect(Some(&web), Some(SERVER_NAME)).await), "let in");
    assert_eq!((site.a.count("overlay.outgoing_forbidden"), site.b.count("overlay.incoming_forbidden")), (1, 1));
    site.b.gateway.eventually("a line", || {
        let log = site.b.gateway.log();
        log.lines().any(|line| line.contains("edge=\"a\"") && line.contains("trust domain cluster.local"))
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_offered_any_more_cannot_be_reached_and_comes_back() {
    let site = Site::start();
    let port = site.target().port();
    let services = site.b.folder.path().join("services.yaml");
    let offered = std::fs::read_to_string(&services).unwrap();
    std::fs::write(&services, "").unwrap();
    site.a.gateway.eventually("closed ports", || !site.is_open(port) && !site.is_open(15008));
    std::fs::write(&services, offered).unwrap();
    site.a.gateway.eventually("open ports", || site.is_ready());
    site.connect(Some(&site.mesh.workload(&[WEB])), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_named_and_the_others_serve() {
    let site = Site::start();
    let port = site.target().port();
    let services = site.b.folder.path().join("services.yaml");
    let offered = std::fs::read_to_string(&services).unwrap();
    std::fs::write(&services, "").unwrap();
    site.a.gateway.eventually("closed ports", || !site.is_open(port) && !site.is_open(15008));
    let taken = TcpListener::bind((site.address.as_str(), 15008)).unwrap();
    std::fs::write(&services, offered).unwrap();
    site.a.gateway.eventually("the other port", || site.serves(port));
    site.connect(Some(&site.mesh.workload(&[WEB])), None).await.unwrap();
    let complaint = format!("cannot listen on {}:15008", site.address);
    site.a.gateway.eventually("a complaint", || site.a.gateway.log().contains(&complaint));
    assert_ne!(site.a.count("listener_manager.listener_create_failure"), 0);
    drop(taken);
    site.a.gateway.eventually("the port", || site.is_open(15008));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_no_connection_while_the_edge_is_away() {
    let mut site = Site::start();
    let web = site.mesh.workload(&[WEB]);
    site.connect(Some(&web), Some(SERVER_NAME)).await.unwrap();
    site.b.gateway.signal("KILL");
    site.b.gateway.wait();
    let deadline = Instant::now() + PATIENCE;
    // What a client has sent over a connection is lost with it: it must not believe that it has one.
    while site.mesh.connect(site.target(), Some(&web), Some(SERVER_NAME), &["istio"]).await.is_ok() {
        assert!(Instant::now() < deadline, "hands are shaken still");
    }
    assert_ne!(site.a.count("overlay.entrance_unreachable"), 0);
    site.b.start_again();
    while let Err(error) = site.connect(Some(&web), Some(SERVER_NAME)).await {
        assert!(Instant::now() < deadline, "{error}");
    }
}

/// Puts a line in the place of another one, or of the end.
fn rewrite(edge: &Edge, old: &str, new: &str) {
    let path = edge.state.path().join("edge.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = if old.is_empty() { text + new } else { text.replace(old, new) };
    std::fs::write(&path, text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_let_in_and_believed_changes_while_the_edges_run() {
    let site = Site::start();
    let (web, other) = (site.mesh.workload(&[WEB]), site.mesh.workload(&["spiffe://other.example/ns/shop/sa/web"]));
    let mut client = site.connect(Some(&web), Some(SERVER_NAME)).await.unwrap();
    rewrite(&site.b, "", "callers: [{trustDomain: other.example}]\n");
    while reason(site.connect(Some(&web), Some(SERVER_NAME)).await) == "let in" {
        assert_eq!(site.b.count("overlay.configuration_rejected"), 0);
    }
    assert!(site.b.count("overlay.incoming_forbidden") > 0);
    let mut answer = [0; 5];
    client.write_all(b"still").await.unwrap();
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"still", "what was let in before goes on");

    rewrite(&site.a, "", "trustDomain: other.example\n");
    while reason(site.connect(Some(&other), Some(SERVER_NAME)).await) != "let in" {
        assert_eq!(site.a.count("overlay.configuration_rejected"), 0);
    }
    assert_ne!(reason(site.connect(Some(&web), Some(SERVER_NAME)).await), "let in");

    let port = site.target().port();
    let terminate = "terminate: {certificate: cert.pem, key: key.pem, authorities: root.pem}\n";
    rewrite(&site.a, terminate, "");
    site.a.gateway.eventually("closed ports", || !site.is_open(port) && !site.is_open(15008));
    rewrite(&site.a, "", terminate);
    site.a.gateway.eventually("open ports", || site.is_ready());
    site.connect(Some(&other), Some(SERVER_NAME)).await.unwrap();
}

#[test]
fn without_a_certificate_of_the_mesh_nobody_can_be_let_in() {
    let overlay = Overlay::start();
    let state = overlay.join("a", "terminate: {}\n");
    let folder = super::folder(&[("gateway.yaml", &gateway_yaml(free_port()))]);
    let mut command = std::process::Command::new(super::SELVEDGE);
    command.args(["run", "--admin-port=0", "--readiness-port=0", "--config"]).arg(folder.path());
    let output = command.arg("--state").arg(state.path()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(complaint.contains("edge.yaml") && complaint.contains("certificate, key and authorities"), "{complaint}");
}
