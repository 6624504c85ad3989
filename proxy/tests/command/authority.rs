//! The authority of an overlay: its keys, and where it keeps what it knows.

use std::process::Command;

use overlay::enroll::Token;

use super::SELVEDGE;
use super::edges::{Edge, Overlay, answers, importing, status, word};
use super::gateway::eventually;
use super::hub::{Hub, complaint, join};

#[test]
fn a_new_root_is_begun_once_and_its_status_is_shown() {
    let hub = Hub::found();
    let begun = hub.command(&["authority", "rotate"], &[]);
    let text = String::from_utf8_lossy(&begun.stdout).into_owned();
    assert!(text.starts_with("a new root is believed from now on, signs in "), "{text}{}", complaint(&begun));
    let again = complaint(&hub.command(&["authority", "rotate"], &[]));
    assert!(again.contains("a new root takes the place of the old one already"), "{again}");
    let rotation = &hub.status()["rotation"];
    let day = 24 * 3600;
    assert!(rotation["signs_in_seconds"].as_u64() > Some(day), "{rotation}");
    let hub = hub.kill_and_start_again();
    assert!(hub.status()["rotation"]["done_in_seconds"].as_u64() > Some(2 * day - 60));
    let both = Token::parse(&hub.token("a", &[])).unwrap();
    assert_eq!(both.pins.len(), 2);
    let state = tempfile::tempdir().unwrap();
    assert!(join(&both.to_text(), &state.path().join("a")).status.success());
}

#[test]
fn etcd_that_is_away_or_not_meant_is_named() {
    let state = tempfile::tempdir().unwrap();
    let start = |arguments: &[&str]| {
        let mut command = Command::new(SELVEDGE);
        command.args(["hub", "--listen=127.0.0.1:0", "--name=h1", "--overlay=mesh.example", "--state"]);
        complaint(&command.arg(state.path()).args(arguments).output().unwrap())
    };
    let away = start(&["--etcd-endpoints=http://127.0.0.1:9"]);
    assert!(away.contains("http://127.0.0.1:9: ") && away.contains("refused"), "{away}");
    let clear = start(&["--etcd-endpoints=https://127.0.0.1:9"]);
    assert!(clear.contains("TLS needs to know whom to trust"), "{clear}");
    // An overlay has one authority.
    let mut hub = Hub::found();
    hub.kill();
    let both = hub.command(&["hub"], &["--listen=127.0.0.1:0", "--etcd-endpoints=http://127.0.0.1:9"]);
    assert!(complaint(&both).contains("authority.redb: the authority of this overlay is in this file"), "{both:?}");
}

#[test]
fn a_new_root_takes_over_while_requests_go_from_edge_to_edge() {
    let overlay = Overlay::start_with(&["--certificate-lifetime=6s"]);
    let (c, _backend) = Edge::offering(&overlay, "c");
    let (a, port) = importing(&overlay);
    answers(&a, port, &[("/c", "c")]);
    let count = |edge: &Edge| (edge.count("overlay.links_total"), edge.count("overlay.outgoing_failed"));
    let before = count(&a);

    let mut rotate = Command::new(SELVEDGE);
    assert!(rotate.args(["authority", "rotate", "--state"]).arg(overlay.hub.path()).status().unwrap().success());
    let mut requests = 0;
    let rotation = || status(overlay.hub.path())["rotation"].clone();
    assert!(rotation().is_object());
    while rotation().is_object() {
        for _ in 0..20 {
            assert_eq!(word(port, "/c").as_deref(), Some("c"), "after {requests} requests");
            requests += 1;
        }
    }
    // The old one is gone, for who has heard of it and for who has not.
    let trust = std::fs::read(overlay.hub.path().join("trust")).unwrap();
    for edge in [&a, &c] {
        eventually("the same belief", || {
            std::fs::read(edge.state.path().join("trust")).is_ok_and(|found| found == trust)
        });
    }
    assert_eq!(word(port, "/c").as_deref(), Some("c"));
    assert_eq!(count(&a), before, "no link was lost and no call has failed");
    println!("{requests} requests while a new root took over: 0 failed");
    assert!(requests > 100);
}
