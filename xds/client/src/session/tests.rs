//! Sessions against a server in this process that does what each test says.

mod server;

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::ResourceType;
use crate::control_plane::{RootSource, TlsOptions};
use crate::delta::Received;
use crate::node::Sources;
use crate::testing::{
    bad_cluster, bad_listener, certificate, cluster, endpoints, http_listener, https_listener, route, summary,
    tcp_listener,
};

use ResourceType::{Cluster, Endpoints, Listener, Route, Secret};
use server::{Server, Stream, certificate_for};

const DEADLINE: Duration = Duration::from_secs(20);

fn options(address: &str) -> SessionOptions {
    let variables = [("INSTANCE_IP", "127.0.0.1"), ("POD_NAME", "web"), ("POD_NAMESPACE", "edge")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    SessionOptions {
        name: "istiod".to_owned(),
        control_plane: ControlPlane {
            address: address.to_owned(),
            tls: None,
            token_file: None,
            cluster_id: "Kubernetes".to_owned(),
        },
        node: Node::from_sources(&Sources::of_gateway(variables, "edge.svc.cluster.local")).unwrap(),
        snapshot_directory: None,
        needed_clusters: watch::channel(BTreeSet::new()).1,
        timing: Timing {
            back_off_maximum: Duration::from_millis(50),
            roots_check: Duration::from_millis(50),
            snapshot_quiet: Duration::from_millis(10),
            ..Timing::default()
        },
    }
}

/// Collects what happens until `last` has.
async fn events_until(events: &mut mpsc::Receiver<Vec<Event>>, last: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let collect = async {
        while !seen.iter().any(|event| event == last) {
            seen.extend(summary(&events.recv().await.expect("the session goes on")));
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, collect).await;
    in_time.unwrap_or_else(|_| panic!("no {last:?} but {seen:?}"));
    seen
}

async fn disconnect_reason(events: &mut mpsc::Receiver<Vec<Event>>) -> String {
    loop {
        let batch = tokio::time::timeout(DEADLINE, events.recv()).await.expect("in time").expect("the session goes on");
        for event in batch {
            if let Event::Disconnected { reason } = event {
                return reason;
            }
        }
    }
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What istiod does when a gateway connects.
async fn serve_all(stream: &mut Stream, listener: Received) {
    stream.expect(Cluster).await;
    stream.expect(Listener).await;
    stream.send(Cluster, &[cluster("a"), cluster("b")]).await;
    stream.send(Listener, &[listener]).await;
    stream.expect_ack(Cluster).await;
    stream.expect_ack(Listener).await;
    let asked = stream.expect(Route).await;
    assert_eq!(asked.resource_names_subscribe, ["r"]);
    stream.send(Route, &[route("r", &["a"])]).await;
    let first = stream.receive().await;
    let second = stream.receive().await;
    let (ack, asked) = if first.response_nonce.is_empty() { (second, first) } else { (first, second) };
    assert_eq!(ack.type_url, Route.type_url());
    if asked.type_url == Secret.type_url() {
        return;
    }
    assert_eq!(
        (asked.type_url.as_str(), &*asked.resource_names_subscribe),
        (Endpoints.type_url(), &["a".to_owned()][..])
    );
    stream.send(Endpoints, &[endpoints("a", &[1])]).await;
    stream.expect_ack(Endpoints).await;
}

#[tokio::test]
async fn a_gateway_gets_its_configuration() {
    let mut server = Server::start().await;
    let (session, mut events) = Session::spawn(options(&server.address));
    let mut stream = server.accept().await;
    assert_eq!(stream.header("clusterid"), Some("Kubernetes"));
    assert_eq!(stream.header("authorization"), None);
    serve_all(&mut stream, http_listener("l", "r")).await;
    let seen = events_until(&mut events, "synced Listener").await;
    let expected =
        ["connected", "synced Cluster", "+Endpoints a", "+Cluster a", "+Route r", "+Listener l", "synced Listener"];
    assert_eq!(seen, expected);
    let node = stream.node.as_ref().expect("the first request has a node");
    assert_eq!(node.id, "router~127.0.0.1~web.edge~edge.svc.cluster.local");

    let held: Vec<_> = session.held().into_iter().map(|held| (held.kind, held.name.to_string(), held.needed)).collect();
    let expected = [
        (Cluster, "a", true),
        (Cluster, "b", false),
        (Endpoints, "a", true),
        (Listener, "l", true),
        (Route, "r", true),
    ];
    assert_eq!(held, expected.map(|(kind, name, needed)| (kind, name.to_owned(), needed)));
    let status = session.status();
    assert!(status.connected_since.is_some() && status.waiting.is_empty());
    assert_eq!(status.kinds[0].accepted, 2);
    session.stop().await;
    assert!(stream.is_over().await);
}

#[tokio::test]
async fn a_bad_resource_is_refused_on_the_wire_by_name_and_field() {
    let mut server = Server::start().await;
    let (session, _events) = Session::spawn(options(&server.address));
    let mut stream = server.accept().await;
    stream.expect(Cluster).await;
    stream.expect(Listener).await;
    let nonce = stream.send(Cluster, &[cluster("good"), bad_cluster("bad one")]).await;
    let nack = stream.expect(Cluster).await;
    let error = nack.error_detail.expect("a reason");
    assert_eq!((nack.response_nonce, error.code), (nonce, 3));
    assert!(error.message.contains("bad one: health_checks: "), "{}", error.message);
    assert!(!error.message.contains("good:"));
    assert!(nack.resource_names_subscribe.is_empty() && nack.node.is_none());
    let status = session.status();
    assert_eq!(status.kinds[0].nacks, 1);
    assert_eq!(status.kinds[0].last_refusal.as_ref().unwrap().name, "bad one");
    let refused = session.held().into_iter().find(|held| &*held.name == "bad one").unwrap();
    assert!(refused.body.is_empty() && refused.refused.unwrap().reason.starts_with("health_checks: "));
    stream.send(Listener, &[bad_listener("two chains")]).await;
    let error = stream.expect(Listener).await.error_detail.expect("a reason");
    assert!(error.message.contains("two chains: filter_chains[1].filter_chain_match: "), "{}", error.message);
    // A type nobody asked for gets no answer and does no harm.
    stream.send_as("type.googleapis.com/istio.workload.Address", vec![]).await;
    stream.send(Cluster, &[cluster("good")]).await;
    stream.expect_ack(Cluster).await;
    assert_eq!(session.status().unexpected_responses, 1);
}

#[tokio::test]
async fn a_new_stream_starts_with_what_is_held_and_the_token_of_now() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "first\n").unwrap();
    let mut server = Server::start().await;
    let mut options = options(&server.address);
    options.control_plane.token_file = Some(token.clone());
    let (session, mut events) = Session::spawn(options);
    let mut stream = server.accept().await;
    assert_eq!(stream.header("authorization"), Some("Bearer first"));
    serve_all(&mut stream, http_listener("l", "r")).await;
    events_until(&mut events, "synced Listener").await;

    fs::write(&token, "second").unwrap();
    drop(stream);
    assert_eq!(events_until(&mut events, "disconnected").await, ["disconnected"]);
    let mut stream = server.accept().await;
    assert_eq!(stream.header("authorization"), Some("Bearer second"));
    for (kind, held, asked) in [
        (Cluster, vec!["a", "b"], vec![]),
        (Endpoints, vec!["a"], vec!["a"]),
        (Listener, vec!["l"], vec![]),
        (Route, vec!["r"], vec!["r"]),
    ] {
        let request = stream.expect(kind).await;
        assert_eq!(request.initial_resource_versions.keys().collect::<Vec<_>>(), held, "{kind}");
        assert_eq!(request.resource_names_subscribe, asked, "{kind}");
    }
    assert!(stream.node.is_some());
    // All of it again, but for a listener that was removed meanwhile.
    stream.send(Cluster, &[cluster("a"), cluster("b")]).await;
    stream.send_removal(Listener, "l").await;
    let seen = events_until(&mut events, "-Endpoints a").await;
    assert_eq!(seen, ["connected", "-Listener l", "-Route r", "-Cluster a", "-Endpoints a"]);
    assert_eq!(session.status().streams, 2);
}

#[tokio::test]
async fn clusters_that_are_needed_by_name_are_told_and_survive_a_restart_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start().await;
    let mut options = options(&server.address);
    let (need, needed) = watch::channel(BTreeSet::new());
    options.needed_clusters = needed;
    options.snapshot_directory = Some(directory.path().to_owned());
    let (session, mut events) = Session::spawn(options.clone());
    let mut stream = server.accept().await;
    stream.expect(Cluster).await;
    stream.expect(Listener).await;
    stream.send(Cluster, &[cluster("a"), cluster("b")]).await;
    stream.expect_ack(Cluster).await;
    need.send_replace(["b".to_owned()].into());
    assert_eq!(stream.expect(Endpoints).await.resource_names_subscribe, ["b"]);
    stream.send(Endpoints, &[endpoints("b", &[1])]).await;
    events_until(&mut events, "+Endpoints b").await;
    session.stop().await;
    drop(server);

    let (_session, mut events) = Session::spawn(options);
    let seen = events_until(&mut events, "+Endpoints b").await;
    assert!(seen.contains(&"+Cluster b".to_owned()) && !seen.contains(&"+Cluster a".to_owned()), "{seen:?}");
    need.send_replace(BTreeSet::new());
    events_until(&mut events, "-Cluster b").await;
}

#[tokio::test]
async fn a_server_that_refuses_or_does_not_answer_is_tried_again() {
    let mut server = Server::start().await;
    let mut options = options(&server.address);
    options.timing.first_response = Duration::from_millis(100);
    let (session, mut events) = Session::spawn(options);
    server.accept().await.refuse(tonic::Status::unauthenticated("the token is not for us"));
    let reason = disconnect_reason(&mut events).await;
    assert_eq!(reason, "Unauthenticated: the token is not for us");
    let silent = server.accept().await;
    let reason = disconnect_reason(&mut events).await;
    assert_eq!(reason, "no response within 100ms");
    drop(silent);
    let mut stream = server.accept().await;
    stream.send(Cluster, &[]).await;
    events_until(&mut events, "connected").await;
    assert_eq!(session.status().failures, 2);
    assert_eq!(session.status().last_failure.as_deref(), Some("no response within 100ms"));
}

#[tokio::test]
async fn what_is_missing_or_away_is_named() {
    let address = Server::start().await.address.clone();
    let mut options = options(&address);
    let (_session, mut events) = Session::spawn(options.clone());
    let reason = disconnect_reason(&mut events).await;
    assert!(reason.contains(&address), "{reason}");

    let server = Server::start().await;
    options.control_plane.address = server.address.clone();
    options.control_plane.token_file = Some("/does/not/exist".into());
    let (_session, mut events) = Session::spawn(options);
    let reason = disconnect_reason(&mut events).await;
    assert!(reason.starts_with("/does/not/exist: "), "{reason}");
}

#[tokio::test]
async fn a_server_is_known_by_its_name_and_roots_which_may_change() {
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("root-cert.pem");
    let (identity, root) = certificate_for("istiod.istio-system.svc");
    fs::write(&roots, &root).unwrap();
    let mut server = Server::start_with_tls(identity).await;
    let mut options = options(&server.address);
    let tls = |name: &str| TlsOptions { roots: RootSource::File(roots.clone()), server_name: Some(name.to_owned()) };

    options.control_plane.tls = Some(tls("istiod.elsewhere.svc"));
    let (wrong_name, mut events) = Session::spawn(options.clone());
    let reason = disconnect_reason(&mut events).await;
    assert!(reason.contains("certificate") && reason.contains(&server.address), "{reason}");
    wrong_name.stop().await;

    options.control_plane.tls = Some(tls("istiod.istio-system.svc"));
    let (_session, mut events) = Session::spawn(options);
    let mut stream = server.accept().await;
    stream.send(Cluster, &[]).await;
    events_until(&mut events, "connected").await;
    let (_, other_root) = certificate_for("other");
    fs::write(&roots, format!("{root}{other_root}")).unwrap();
    let reason = disconnect_reason(&mut events).await;
    assert!(reason.contains("root certificates were replaced"), "{reason}");
    server.accept().await.send(Cluster, &[]).await;
    events_until(&mut events, "connected").await;
}

#[tokio::test]
async fn large_responses_are_taken() {
    let mut server = Server::start().await;
    let (session, _events) = Session::spawn(options(&server.address));
    let mut stream = server.accept().await;
    stream.expect(Cluster).await;
    stream.expect(Listener).await;
    let clusters: Vec<Received> = (0..2000).map(|index| cluster(&format!("{index}-{}", "x".repeat(5000)))).collect();
    assert!(clusters.iter().map(|cluster| cluster.body.len()).sum::<usize>() > 10_000_000);
    stream.send(Cluster, &clusters).await;
    stream.expect_ack(Cluster).await;
    assert_eq!(session.held().len(), clusters.len());
}

#[tokio::test]
async fn a_file_that_is_left_to_another_process_is_written_once_it_is_ours_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start().await;
    let mut options = options(&server.address);
    options.snapshot_directory = Some(directory.path().to_owned());
    let start = || {
        let (session, events) = Session::spawn(options.clone());
        session.keep_on_disk(false);
        (session, events)
    };
    let (session, mut events) = start();
    let mut stream = server.accept().await;
    serve_all(&mut stream, https_listener("l", "r", "kubernetes://web")).await;
    events_until(&mut events, "synced Listener").await;
    session.stop().await;
    assert!(fs::read_dir(directory.path()).unwrap().next().is_none(), "not even at the end");

    let (session, mut events) = start();
    let mut stream = server.accept().await;
    serve_all(&mut stream, https_listener("l", "r", "kubernetes://web")).await;
    events_until(&mut events, "synced Listener").await;
    session.keep_on_disk(true);
    session.stop().await;
    assert!(directory.path().join("istiod.snapshot").exists());
}

#[tokio::test]
async fn the_last_good_state_is_served_from_disk_while_the_server_is_away() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start().await;
    let mut options = options(&server.address);
    options.snapshot_directory = Some(directory.path().to_owned());
    let (session, mut events) = Session::spawn(options.clone());
    let mut stream = server.accept().await;
    serve_all(&mut stream, https_listener("l", "r", "kubernetes://web")).await;
    // Of the two named types that are asked for at once, the order is fixed: endpoints, secrets.
    let mut asked = stream.unanswered().await;
    asked.retain(|request| request.response_nonce.is_empty());
    stream.send(Endpoints, &[endpoints("a", &[1])]).await;
    stream.send(Secret, &[certificate("kubernetes://web")]).await;
    events_until(&mut events, "synced Listener").await;
    eventually("the state is written", || session.status().snapshot.written.is_some()).await;
    session.stop().await;
    drop(server);

    let file = fs::read(directory.path().join("istiod.snapshot")).unwrap();
    let contains = |text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("127.0.0.1") && !contains("PRIVATE KEY"));
    let (session, mut events) = Session::spawn(options.clone());
    let seen = events_until(&mut events, "disconnected").await;
    assert_eq!(seen, ["+Endpoints a", "+Cluster a", "+Route r", "+Listener l", "restored 4", "disconnected"]);
    session.stop().await;

    fs::write(directory.path().join("istiod.snapshot"), "rubbish").unwrap();
    let (session, mut events) = Session::spawn(options);
    assert_eq!(events_until(&mut events, "disconnected").await, ["snapshot failed", "disconnected"]);
    assert_eq!(session.status().snapshot.failures, 1);
}

#[tokio::test]
async fn a_state_that_cannot_be_written_is_an_event_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let not_a_directory = directory.path().join("file");
    fs::write(&not_a_directory, "").unwrap();
    let mut server = Server::start().await;
    let mut options = options(&server.address);
    options.snapshot_directory = Some(Path::new(&not_a_directory).join("state"));
    let (session, mut events) = Session::spawn(options);
    let mut stream = server.accept().await;
    serve_all(&mut stream, http_listener("l", "r")).await;
    let seen = events_until(&mut events, "snapshot failed").await;
    assert!(seen.contains(&"snapshot failed".to_owned()));
    stream.send(Listener, &[tcp_listener("m", "a")]).await;
    events_until(&mut events, "+Listener m").await;
    assert!(session.status().snapshot.failures >= 1);
}

#[tokio::test]
async fn sessions_share_nothing_and_end_with_their_consumer() {
    let (mut one, mut other) = (Server::start().await, Server::start().await);
    let mut second = options(&other.address);
    second.node.id = "waypoint~127.0.0.1~x.edge~edge.svc.cluster.local".to_owned();
    let (first_session, first_events) = Session::spawn(options(&one.address));
    let (second_session, _second_events) = Session::spawn(second);
    let (mut first_stream, mut second_stream) = (one.accept().await, other.accept().await);
    first_stream.expect(Cluster).await;
    second_stream.expect(Cluster).await;
    assert!(first_stream.node.as_ref().unwrap().id.starts_with("router~"));
    assert!(second_stream.node.as_ref().unwrap().id.starts_with("waypoint~"));
    drop(first_events);
    assert!(first_stream.is_over().await);
    drop(first_session);
    second_stream.send(Cluster, &[cluster("a")]).await;
    second_stream.expect(Listener).await;
    second_stream.expect_ack(Cluster).await;
    drop(second_session);
    assert!(second_stream.is_over().await);
}

#[tokio::test]
async fn a_slow_consumer_delays_and_loses_nothing() {
    let mut server = Server::start().await;
    let (_session, mut events) = Session::spawn(options(&server.address));
    let mut stream = server.accept().await;
    stream.expect(Cluster).await;
    stream.expect(Listener).await;
    let batches = EVENT_BATCHES * 3;
    for index in 0..batches {
        stream.send(Listener, &[tcp_listener(&format!("l{index}"), "nowhere")]).await;
    }
    let seen = events_until(&mut events, &format!("+Listener l{}", batches - 1)).await;
    assert_eq!(seen.iter().filter(|event| event.starts_with("+Listener")).count(), batches);
}
