//! A hub, tokens and edges that join, as an operator has them.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use overlay::enroll::Token;
use overlay::folder::Folder;
use overlay::node::{Limits, Node, Role};
use overlay::uplink::{self, Uplink};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

use crate::gateway::{free_port, get};

const PATIENCE: Duration = Duration::from_secs(20);

/// `selvedge hub`; killed when dropped.
pub(crate) struct Hub {
    process: Child,
    log: Arc<Mutex<String>>,
    directory: TempDir,
    /// Only the hub sees what is mounted there.
    has_own_disk: bool,
    pub(crate) port: u16,
}

impl Hub {
    pub(crate) fn found() -> Self {
        Self::found_with(&[])
    }

    pub(crate) fn found_with(arguments: &[&str]) -> Self {
        let arguments = [&["--name=h1", "--overlay=mesh.example"], arguments].concat();
        Self::start(tempfile::tempdir().unwrap(), free_port(), &arguments)
    }

    pub(crate) fn start(directory: TempDir, port: u16, arguments: &[&str]) -> Self {
        Self::start_by(Command::new(super::SELVEDGE), directory, port, arguments)
    }

    /// With a small file system of its own for what it keeps, in a mount namespace.
    fn found_on_a_small_disk() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o size=4m none \"$0\"; exec \"$@\"";
        command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(directory.path()).arg(super::SELVEDGE);
        let mut hub = Self::start_by(command, directory, free_port(), &["--name=h1", "--overlay=mesh.example"]);
        hub.has_own_disk = true;
        hub
    }

    fn start_by(mut command: Command, directory: TempDir, port: u16, arguments: &[&str]) -> Self {
        let mut process = command
            .args(["hub", &format!("--listen=127.0.0.1:{port}"), "--state"])
            .arg(directory.path().join("state"))
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, collected) = (process.stderr.take().unwrap(), log.clone());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = collected.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let hub = Self { process, log, directory, has_own_disk: false, port };
        hub.eventually("the hub", || hub.log().contains("listening on"));
        hub
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// kill -9, and the same command again.
    pub(crate) fn kill_and_start_again(mut self) -> Self {
        self.kill();
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        Self::start(directory, self.port, &[])
    }

    fn state(&self) -> PathBuf {
        if !self.has_own_disk {
            return self.directory.path().join("state");
        }
        let directory = self.directory.path().strip_prefix("/").unwrap();
        Path::new(&format!("/proc/{}/root", self.process.id())).join(directory).join("state")
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn eventually(&self, what: &str, condition: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < end, "{what} did not happen; the hub says:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A command for this hub.
    pub(crate) fn command(&self, words: &[&str], arguments: &[&str]) -> Output {
        Command::new(super::SELVEDGE).args(words).arg("--state").arg(self.state()).args(arguments).output().unwrap()
    }

    pub(crate) fn token(&self, edge: &str, arguments: &[&str]) -> String {
        let edge = format!("--edge={edge}");
        let made = self.command(&["token", "create"], &[&["--tenant=acme", &edge], arguments].concat());
        assert!(made.status.success(), "{}", complaint(&made));
        let text = String::from_utf8(made.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "the token alone is printed");
        text.trim().to_owned()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_slice(&self.command(&["status"], &["--json"]).stdout).unwrap()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `selvedge join -` that has read its token.
fn start_join(token: &str, state: &Path) -> Child {
    let mut command = Command::new(super::SELVEDGE);
    command.args(["join", "-", "--state"]).arg(state).stdin(Stdio::piped());
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    process
}

pub(crate) fn join(token: &str, state: &Path) -> Output {
    start_join(token, state).wait_with_output().unwrap()
}

fn refusal(token: &str, state: &Path) -> String {
    let output = join(token, state);
    assert!(!output.status.success());
    complaint(&output)
}

#[test]
fn a_token_makes_one_edge() {
    let (hub, folders) = (Hub::found(), tempfile::tempdir().unwrap());
    let folder = |name: &str| folders.path().join(name);
    let token = hub.token("a", &[]);
    let joined = join(&token, &folder("a"));
    assert!(joined.status.success(), "{}", complaint(&joined));
    assert_eq!(String::from_utf8_lossy(&joined.stdout), "edge a of tenant acme has joined mesh.example\n");
    let used = refusal(&token, &folder("other"));
    assert!(used.contains("the hub refuses: ") && used.contains("was used already"), "{used}");

    let late = hub.token("late", &["--valid=1s"]);
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(Token::parse(&late).unwrap().expires);
    hub.eventually("the end of the token", || SystemTime::now() >= expires);
    let expired = refusal(&late, &folder("late"));
    assert!(expired.contains("has expired"), "{expired}");

    let pinned = Token { pins: vec![[7; 32]], ..Token::parse(&hub.token("b", &[])).unwrap() };
    let wrong = refusal(&pinned.to_text(), &folder("b"));
    assert!(wrong.contains("no hub can be reached") && wrong.contains("UnknownIssuer"), "{wrong}");
    let cut = refusal(&token[..token.len() / 2], &folder("cut"));
    assert!(cut.contains("cut off or damaged"), "{cut}");
}

#[test]
fn a_hub_that_was_killed_goes_on_where_it_was() {
    let (hub, folders) = (Hub::found(), tempfile::tempdir().unwrap());
    let (used, open) = (hub.token("a", &[]), hub.token("b", &[]));
    assert!(join(&used, &folders.path().join("a")).status.success());
    let hub = hub.kill_and_start_again();
    let again = refusal(&used, &folders.path().join("other"));
    assert!(again.contains("was used already"), "{again}");
    assert_eq!(hub.status()["pending"][0]["what"], "edge b of tenant acme");
    let joined = join(&open, &folders.path().join("b"));
    assert!(joined.status.success(), "{}", complaint(&joined));
    // They have joined and do not run.
    let pending = hub.status()["pending"].as_array().unwrap().clone();
    let silent = pending.iter().filter(|one| one["why"] == "has joined, and nothing is heard of it");
    assert_eq!((silent.count(), pending.len()), (2, 2));
}

#[test]
fn a_hundred_edges_join_at_once() {
    const EDGES: usize = 100;
    let (hub, folders) = (Hub::found(), tempfile::tempdir().unwrap());
    let tokens: Vec<String> = (0..EDGES).map(|number| hub.token(&format!("e{number}"), &[])).collect();
    let folder = |number: usize| folders.path().join(number.to_string());
    let joining: Vec<Child> =
        tokens.iter().enumerate().map(|(number, token)| start_join(token, &folder(number))).collect();
    for process in joining {
        let joined = process.wait_with_output().unwrap();
        assert!(joined.status.success(), "{}", complaint(&joined));
    }
    let (mut names, mut certificates) = (HashSet::new(), HashSet::new());
    for number in 0..EDGES {
        let identity = Folder::open(folder(number)).unwrap().identity(Arc::default()).unwrap();
        names.insert(identity.peer().name().to_owned());
        certificates.insert(identity.chain()[0].to_vec());
    }
    println!("{EDGES} joins at once: {} names, {} certificates", names.len(), certificates.len());
    assert_eq!((names.len(), certificates.len()), (EDGES, EDGES));
}

#[test]
fn who_cannot_be_asked_or_is_asked_for_nonsense_says_so() {
    let hub = Hub::found();
    let nobody = tempfile::tempdir().unwrap();
    let output = Command::new(super::SELVEDGE).args(["status", "--state"]).arg(nobody.path()).output().unwrap();
    assert!(complaint(&output).contains("control.sock: nobody answers"), "{}", complaint(&output));
    let name = complaint(&hub.command(&["token", "create"], &["--tenant=acme", "--edge=Not_A_Name"]));
    assert!(name.contains("\"Not_A_Name\" is no name"), "{name}");
    let taken = complaint(&hub.command(&["token", "create"], &["--tenant=acme", "--edge=h1"]));
    assert!(taken.contains("the name h1 is that of spiffe://mesh.example/hub/h1"), "{taken}");
    let unknown = complaint(&hub.command(&["revoke"], &["--tenant=acme", "--edge=nobody"]));
    assert!(unknown.contains("there is no edge nobody of tenant acme"), "{unknown}");
    let second = Command::new(super::SELVEDGE)
        .args(["hub", "--listen=127.0.0.1:0", "--state"])
        .arg(hub.state())
        .output()
        .unwrap();
    assert!(complaint(&second).contains("another process runs with this folder"), "{}", complaint(&second));
}

#[tokio::test]
async fn who_was_revoked_is_refused_and_the_log_says_why() {
    let test = async {
        let (hub, folders) = (Hub::found(), tempfile::tempdir().unwrap());
        assert!(join(&hub.token("a", &[]), &folders.path().join("a")).status.success());
        let folder = Folder::open(folders.path().join("a")).unwrap();
        let identity = folder.identity(folder.trust().unwrap()).unwrap();
        let (_sender, current) = watch::channel(Arc::new(identity));
        let node = Node::new("a", Role::Edge, 0, Limits::default());
        let way = Uplink { hub: folder.hubs().unwrap().remove(0), local: None };
        spawn_local(uplink::keep(node.clone(), current, way));
        eventually("the link", || !node.links().is_empty()).await;
        eventually("the link at the hub", || hub.status()["links"][0]["peer"]["edge"]["name"] == "a").await;
        let revoked = hub.command(&["revoke"], &["--tenant=acme", "--edge=a"]);
        assert_eq!(String::from_utf8_lossy(&revoked.stdout), "edge a of tenant acme is let in no longer\n");
        eventually("the reason", || hub.log().contains("edge a of tenant acme is refused: it was revoked")).await;
        eventually("the refusal", || is_refused(&node)).await;
        assert_eq!(hub.status()["links"].as_array().unwrap().len(), 0);
    };
    LocalSet::new().run_until(test).await;
}

#[test]
fn the_metrics_of_a_hub_have_its_links_and_whom_it_refused() {
    let port = free_port();
    let founding = ["--name=h1", "--overlay=mesh.example", &format!("--admin=127.0.0.1:{port}")];
    let hub = Hub::start(tempfile::tempdir().unwrap(), free_port(), &founding);
    let page = || get(port, "/stats/prometheus").unwrap_or_default();
    let has = |line: &str| page().lines().any(|found| found == line);
    hub.eventually("readiness", || get(port, "/healthz/ready").is_some_and(|page| page.ends_with("LIVE\n")));
    assert!(has("envoy_overlay_links_active{} 0"), "{}", page());

    // Who knows nothing of TLS, and who has a certificate.
    std::net::TcpStream::connect(("127.0.0.1", hub.port)).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    hub.eventually("the refusal", || has("envoy_overlay_handshakes_refused{} 1"));
    let (token, second) = (hub.command(&["token", "create"], &["--hub=h2"]).stdout, tempfile::tempdir().unwrap());
    assert!(join(&String::from_utf8(token).unwrap(), &second.path().join("state")).status.success());
    let _second = Hub::start(second, free_port(), &[]);
    hub.eventually("the link", || has("envoy_overlay_peer_links{peer_name=\"h2\"} 1"));
    hub.eventually("bytes", || !has("envoy_overlay_link_bytes_received{} 0"));
    assert!(has("envoy_overlay_certificates_issued{} 1") && has("envoy_overlay_links_total{} 1"), "{}", page());
}

fn is_refused(node: &Rc<Node>) -> bool {
    node.pending().iter().any(|(_, why)| why.contains("CertificateRevoked"))
}

/// Waits for a condition while the node of this thread goes on.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_full_disk_is_named_and_the_token_is_good_still() {
    let (hub, folders) = (Hub::found(), tempfile::tempdir().unwrap());
    let token = hub.token("a", &[]);
    // A small file system in a mount namespace, without any room left.
    let script = "mount -t tmpfs -o size=64k none \"$1\"; cat /dev/zero > \"$1/fill\" 2>/dev/null; \
                  exec \"$2\" join \"$3\" --state \"$1/state\"";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folders.path())
        .args([super::SELVEDGE, &token])
        .output()
        .unwrap();
    let complaint_of_disk = complaint(&output);
    assert!(!output.status.success() && complaint_of_disk.contains("key.pem: No space left"), "{complaint_of_disk}");
    let joined = join(&token, &folders.path().join("a"));
    assert!(joined.status.success(), "{}", complaint(&joined));
}

#[test]
fn a_hub_whose_disk_was_full_goes_on_when_there_is_room_again() {
    let hub = Hub::found_on_a_small_disk();
    hub.token("a", &[]);
    let fill = hub.state().join("fill");
    let mut file = std::fs::File::create(&fill).unwrap();
    while file.write_all(&[0; 1024]).is_ok() {}
    // What is there already may have room for some.
    let mut complaints = (0..200)
        .map(|number| complaint(&hub.command(&["token", "create"], &["--tenant=acme", &format!("--edge=n{number}")])));
    let refused = complaints.find(|complaint| !complaint.is_empty()).unwrap();
    assert!(refused.contains("authority.redb: ") && refused.contains("No space left"), "{refused}");
    let pending = || hub.status()["pending"].to_string();
    assert!(pending().contains("the last command has failed: store"), "{}", pending());
    let is_logged = |line: &str| line.contains("ERROR") && line.contains("no token for") && line.contains("redb");
    hub.eventually("the line in the log", || hub.log().lines().any(is_logged));

    std::fs::remove_file(&fill).unwrap();
    drop(file);
    hub.token("b", &[]);
    assert!(hub.command(&["revoke"], &["--tenant=acme", "--edge=a"]).status.success());
    assert!(hub.command(&["authority", "rotate"], &[]).status.success());
    assert!(!pending().contains("has failed"), "{}", pending());
}

#[test]
fn a_second_hub_joins_by_a_token() {
    let (mut hub, directory) = (Hub::found(), tempfile::tempdir().unwrap());
    let made = hub.command(&["token", "create"], &["--hub=h2"]);
    let token = String::from_utf8(made.stdout).unwrap();
    assert!(join(&token, &directory.path().join("state")).status.success());
    let second = Hub::start(directory, free_port(), &[]);
    second.eventually("the link", || second.status()["links"][0]["peer"]["hub"]["name"] == "h1");
    hub.eventually("the link", || hub.status()["links"][0]["peer"]["hub"]["name"] == "h2");
    let refused = complaint(&second.command(&["token", "create"], &["--tenant=acme", "--edge=a"]));
    assert!(refused.contains("hub h2 has not the authority"), "{refused}");
    // The first one ends in good order, and the second one says what is missing.
    assert!(Command::new("kill").arg(hub.process.id().to_string()).status().unwrap().success());
    assert!(hub.process.wait().unwrap().success());
    second.eventually("what is missing", || {
        second.status()["pending"][0]["what"] == format!("127.0.0.1:{}", hub.port).as_str()
    });
}
