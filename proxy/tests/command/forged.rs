//! Edges and hubs that were let in and announce what is not theirs to announce: real hubs and edges do not believe it, and say so.

mod forger;
mod site;

use std::time::{Duration, SystemTime};

use overlay::catalogue::{Announcement, OfferedService, Port, Protocol, Signed};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use self::site::{IMPORTS, Site, joined};
use super::edges::Edge;
use super::gateway::free_port;
use super::gateway_yaml;

const PATIENCE: Duration = Duration::from_secs(30);

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} does not happen");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Something that nobody offers.
fn announcement(sequence: u64) -> Announcement {
    let port = Port { number: 80, name: "http".into(), protocol: Protocol::Http };
    let service = OfferedService {
        host: "forged.shop.example".into(),
        namespace: "shop".into(),
        ports: vec![port],
        labels: Default::default(),
        weight: 1,
        healthy: true,
    };
    // Newer than whatever the edge has said: of a clock that is a day ahead.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let epoch = (now + Duration::from_hours(24)).as_secs();
    Announcement { epoch, sequence, services: vec![service], ..Announcement::default() }
}

/// One byte is another one: the number of the announcement.
fn changed(signed: &Signed) -> Signed {
    let mut changed = signed.clone();
    let mut said = Announcement::parse(&signed.payload).unwrap();
    said.epoch += 1;
    changed.payload = said.to_bytes();
    assert_eq!(changed.payload.len(), signed.payload.len());
    changed
}

/// By a certificate for that name, which an authority of the forger's own has signed.
fn of_another_authority(uri: &str) -> Signed {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let payload = announcement(1).to_bytes();
    let signature = overlay::identity::Signature {
        certificate: CertificateDer::from(certificate.der().to_vec()),
        bytes: vec![0; 70],
    };
    Signed { payload, signature }
}

/// Attempts, of which each must be refused and counted.
struct Attempts<'a> {
    site: &'a Site,
    made: u64,
}

impl Attempts<'_> {
    /// Repeats something until a new line of a log says why it is refused: such lines are seldom.
    async fn until_said(&mut self, what: &str, says: impl Fn() -> usize, mut attempt: impl AsyncFnMut()) {
        let (before, end) = (says(), Instant::now() + PATIENCE);
        while says() == before {
            assert!(Instant::now() < end, "nothing is said of {what}; the hub says:\n{}", self.site.hub.log());
            attempt().await;
            self.made += 1;
            assert!(self.site.is_served(), "{what}: the service is harmed");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn lines(log: &str, peer: &str, reason: &str) -> usize {
    let is_wanted = |line: &&str| line.contains(&format!("peer=\"{peer}\"")) && line.contains(reason);
    log.lines().filter(is_wanted).count()
}

#[tokio::test]
async fn an_edge_is_not_believed_what_it_tells_of_others_or_has_not_signed() {
    let test = async {
        let site = Site::start(&[]);
        let (m, x) =
            (site.forger("m", &["--tenant=acme", "--edge=m"]), site.forger("x", &["--tenant=globex", "--edge=x"]));
        // What is its own is believed, and it hears what others of its tenant announce.
        let mut line = m.dial(site.hub.port).await;
        line.tell(&m.sign(&Announcement { epoch: 1, ..Announcement::default() })).await;
        eventually("its own announcement", || site.known().to_string().contains("\"m\"")).await;
        eventually("the announcement of b", || !line.heard("b").is_empty()).await;
        let old = line.heard("b").pop().unwrap();
        site.change("new");
        eventually("the imports", || site.imports().contains("new.shop.example")).await;
        eventually("the next one", || line.heard("b").last().is_some_and(|last| *last != old)).await;
        let genuine = line.heard("b").pop().unwrap();
        let (known, imports) = (site.known(), site.imports());
        assert_eq!(site.count("announcements_refused"), 0);

        let mut attempts = Attempts { site: &site, made: 0 };
        for (what, forged, reason) in [
            ("another's, signed by itself", m.sign_as(&genuine, &announcement(1)), "it tells of edge b of tenant acme"),
            ("an old one of another", old, "it tells of edge b of tenant acme"),
            ("another's with another byte", changed(&genuine), "it tells of edge b of tenant acme"),
            ("one of another tenant", x.sign(&announcement(1)), "it tells of edge x of tenant globex"),
            ("its own with another byte", changed(&m.sign(&announcement(1))), "BadSignature"),
            (
                "its own of another authority",
                of_another_authority("spiffe://mesh.example/acme/edge/m"),
                "UnknownIssuer",
            ),
        ] {
            let says = || lines(&site.hub.log(), "m", reason);
            let attempt = async || {
                let mut line = m.dial(site.hub.port).await;
                line.tell(&forged).await;
                line.ends().await;
            };
            attempts.until_said(what, says, attempt).await;
        }
        assert_eq!(
            (site.count("announcements_refused"), site.known(), site.imports()),
            (attempts.made, known, imports)
        );
        println!("a forged or replayed record of an edge: {0} of {0} rejected", attempts.made);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_certificate_that_has_ended_signs_nothing_any_more() {
    let test = async {
        let site = Site::start(&["--certificate-lifetime=10s"]);
        let m = site.forger("m", &["--tenant=acme", "--edge=m"]);
        // Whoever is linked stays so.
        let mut line = m.dial(site.hub.port).await;
        let own = m.sign(&announcement(1));
        line.tell(&own).await;
        eventually("its own announcement", || site.known().to_string().contains("forged.shop.example")).await;
        // It is good with its last second.
        let end = m.identity().validity().unwrap().1.unsigned_abs() + 1;
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
        eventually("the end of the certificate", || SystemTime::now() >= end).await;
        line.tell(&m.sign(&announcement(2))).await;
        line.ends().await;
        let says = || lines(&site.hub.log(), "m", "xpired") == 1;
        eventually("a line", says).await;
        assert_eq!(site.count("announcements_refused"), 1);
        assert!(site.is_served());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_hub_is_not_believed_what_an_edge_has_not_signed_or_is_old() {
    let test = async {
        let site = Site::start(&[]);
        let h2 = site.forger("h2", &["--hub=h2"]);
        let x = site.forger("x", &["--tenant=globex", "--edge=x"]);
        let mut to_h1 = h2.dial(site.hub.port).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // An edge that hears of others through this hub alone.
        let state = joined(&site.hub, &["--tenant=acme", "--edge=c"], IMPORTS);
        let node = state.path().join("node.json");
        let mut membership: Value = serde_json::from_slice(&std::fs::read(&node).unwrap()).unwrap();
        membership["hubs"] = json!([listener.local_addr().unwrap().to_string()]);
        std::fs::write(&node, membership.to_string()).unwrap();
        let folder = super::folder(&[("gateway.yaml", &gateway_yaml(free_port()))]);
        let c = Edge::run_with(&state, &folder, &["--concurrency=1"]);
        let mut to_c = h2.accept(&listener).await;

        eventually("the announcement of b", || !to_h1.heard("b").is_empty()).await;
        let old = to_h1.heard("b").pop().unwrap();
        site.change("new");
        eventually("the imports", || site.imports().contains("new.shop.example")).await;
        eventually("the next one", || to_h1.heard("b").last().is_some_and(|last| *last != old)).await;
        let genuine = to_h1.heard("b").pop().unwrap();
        // What is genuine is believed, whoever passes it on.
        to_c.tell(&genuine).await;
        let imports_of_c = || std::fs::read_to_string(folder.path().join("selvedge-imports.yaml")).unwrap_or_default();
        eventually("the imports", || imports_of_c().contains("new.shop.example")).await;
        let before = (site.known(), site.imports(), imports_of_c());
        let count_of_c = |counter: &str| super::edges::count(&c, &format!("overlay.{counter}"));

        let forged = [
            ("an edge's, signed by the hub", h2.sign_as(&genuine, &announcement(1)), "BadSignature"),
            ("one with another byte", changed(&genuine), "BadSignature"),
            ("one of another authority", of_another_authority("spiffe://mesh.example/acme/edge/b"), "UnknownIssuer"),
            ("the hub's own", h2.sign(&announcement(1)), "hub h2 announces nothing"),
        ];
        let mut attempts = Attempts { site: &site, made: 0 };
        for (what, forged, reason) in &forged {
            let says = || lines(&site.hub.log(), "h2", reason);
            attempts.until_said(what, says, async || to_h1.tell(forged).await).await;
        }
        let by_h1 = std::mem::take(&mut attempts.made);
        let of_tenant = ("one of another tenant", x.sign(&announcement(1)), "x is an edge of tenant globex");
        for (what, forged, reason) in forged.iter().chain([&of_tenant]) {
            let says = || lines(&c.log(), "h2", reason);
            attempts.until_said(what, says, async || to_c.tell(forged).await).await;
        }
        let by_c = attempts.made;
        eventually("all are counted", || {
            (site.count("announcements_refused"), count_of_c("announcements_refused")) == (by_h1, by_c)
        })
        .await;

        // What is genuine and old is no news.
        let known = (site.count("announcements_known"), count_of_c("announcements_known"));
        to_h1.tell(&old).await;
        to_c.tell(&old).await;
        eventually("the replays", || {
            site.count("announcements_known") > known.0 && count_of_c("announcements_known") > known.1
        })
        .await;
        assert_eq!((site.known(), site.imports(), imports_of_c()), before);
        assert!(site.is_served());
        println!("a forged or replayed record of a hub: {0} of {0} rejected", by_h1 + by_c + 2);
    };
    LocalSet::new().run_until(test).await;
}
