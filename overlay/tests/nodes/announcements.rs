//! Edges that announce too much, too often, or what is not theirs: what that costs a hub is bounded, and others are heard.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use overlay::catalogue::{Announcement, Offer, OfferedService};
use overlay::folder::Folder;
use overlay::identity::{Current, Signature};
use overlay::link::{Link, LinkStream};
use overlay::node::{Limits, Peer};
use overlay::transport;
use overlay_wire::catalogue;
use overlay_wire::hello::Hello;
use overlay_wire::leg::LegFrame;
use overlay_wire::mux::Urgency;
use overlay_wire::varint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use crate::catalogue::{Member, service};
use crate::kit::{Signer, edge, hub};
use crate::player::{everything_is_done, linked, play, send};
use crate::site::{JoinedEdge, Site, eventually, join_folder};

const LONG: Duration = Duration::from_secs(60);

/// An announcement of one service, and its signature.
pub(crate) fn sign(identity: &Current, sequence: u64) -> (Vec<u8>, Signature) {
    let host = format!("{}.global", identity.borrow().peer().name());
    sign_services(identity, sequence, vec![service(&host)])
}

pub(crate) fn sign_services(identity: &Current, sequence: u64, services: Vec<OfferedService>) -> (Vec<u8>, Signature) {
    sign_since(identity, 1, sequence, services)
}

/// The same, of an edge that has begun at a time.
fn sign_since(identity: &Current, epoch: u64, sequence: u64, services: Vec<OfferedService>) -> (Vec<u8>, Signature) {
    let payload = Announcement { epoch, sequence, services, ..Announcement::default() }.to_bytes();
    let signature = identity.borrow().sign("selvedge announcement 1", &payload).unwrap();
    (payload, signature)
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// As it goes over a link.
pub(crate) fn message(signed: &(Vec<u8>, Signature)) -> Vec<u8> {
    message_of(1, signed)
}

/// Kind, length, certificate, signature, payload.
pub(crate) fn message_of(kind: u64, (payload, Signature { certificate, bytes }): &(Vec<u8>, Signature)) -> Vec<u8> {
    let mut content = Vec::new();
    for part in [&certificate[..], bytes] {
        varint::put(&mut content, part.len() as u64);
        content.extend_from_slice(part);
    }
    content.extend_from_slice(payload);
    let mut message = Vec::new();
    varint::put(&mut message, kind);
    varint::put(&mut message, content.len() as u64);
    message.extend(content);
    message
}

pub(crate) async fn begin(link: &Link) -> LinkStream {
    let mut stream = link.open(Urgency::default()).await.unwrap();
    send(&mut stream, &LegFrame::Catalogue).await;
    stream
}

/// It announces something again and again over several links, each time something new.
async fn flood(h: &Member, identity: &Current, links: usize, count: u64) {
    let messages: Vec<_> = (1..=count).map(|sequence| message(&sign(identity, sequence))).collect();
    for _ in 0..links {
        let link = play(&h.node, identity.borrow().peer().clone());
        let (mut stream, messages) = (begin(&link).await, messages.clone());
        spawn_local(async move {
            for message in messages {
                stream.write_all(&message).await.unwrap();
            }
            link.ended().await;
        });
    }
}

#[tokio::test(start_paused = true)]
async fn who_announces_without_end_is_read_as_time_goes_by_and_others_are_heard_at_once() {
    let test = async {
        let signer = Signer::new();
        let [a, b] = ["a", "b"].map(|name| Member::new(&signer, &edge(name), 1));
        let h = Member::new(&signer, &hub("h"), 1);
        let _wires = (a.wire(&h), b.wire(&h));
        flood(&h, &signer.identity(&edge("m")), 2, 300).await;
        h.knows(&[("m", &["m.global"])]).await;
        a.offers(&["a.global"]);
        b.knows(&[("a", &["a.global"]), ("m", &["m.global"])]).await;
        sleep(Duration::from_secs(5)).await;
        // A burst of 100, and 10 in each second, over both links together.
        let counters = h.node.counters();
        let read = h.sequence_of("m") + counters.announcements_known.get();
        assert!((140..=155).contains(&read), "{read} were read");
        assert_eq!((counters.announcements_delayed.get() > 0, counters.announcements_refused.get()), (true, 0));
        // In the end all of it was.
        sleep(LONG).await;
        assert_eq!(h.sequence_of("m"), 300);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_edge_that_floods_a_hub_over_its_sockets_does_not_silence_others() {
    const FLOOD: u64 = 2_000;
    let test = async {
        let site = Site::found().await;
        let folders = tempfile::tempdir().unwrap();
        let folder = Folder::open(folders.path().join("m")).unwrap();
        join_folder(&folder, &site.token(edge("m")).await).await;
        let identity = watch::channel(Arc::new(folder.identity(folder.trust().unwrap()).unwrap())).1;
        let messages: Vec<_> = (1..=FLOOD).map(|sequence| message(&sign(&identity, sequence))).collect();
        let a = JoinedEdge::new(&site.token(edge("a")).await, site.hub.address()).await;
        let b = JoinedEdge::new(&site.token(edge("b")).await, site.hub.address()).await;
        eventually("the edges", async || a.knows() == ["a", "b"] && b.knows() == ["a", "b"]).await;

        let hello = Hello { shard: 0 }.to_bytes();
        let current = identity.borrow().clone();
        let (_, link, driver) = transport::dial(&current, site.hub.address(), None, hello, |_| true).await.unwrap();
        spawn_local(driver.run());
        let (begun, mut stream) = (Instant::now(), begin(&link).await);
        spawn_local(async move {
            for message in messages {
                stream.write_all(&message).await.unwrap();
            }
        });
        let counters = site.hub.shards().counters().remove(0);
        eventually("the flood", async || counters.announcements_delayed.get() > 0).await;
        a.directory.offer(Offer { services: vec![service("a.global")], ..Offer::default() }).unwrap();
        eventually("the announcement", async || {
            let edges = b.directory.edges();
            edges.iter().any(|(edge, said)| edge == "a" && !said.services.is_empty())
        })
        .await;
        let status = site.status().await;
        let read = status.edges.iter().find(|edge| edge.name == "m").map_or(0, |edge| edge.sequence);
        // A burst, and the rate since, with a second for what was rounded.
        let allowed = 102 + 10 * (begun.elapsed().as_secs() + 1);
        assert!((100..=allowed).contains(&read), "{read} were read in {:?}", begun.elapsed());
        assert_eq!((counters.announcements_refused.get(), status.links.len()), (0, 3));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn signatures_are_looked_at_where_something_is_new() {
    let test = async {
        let signer = Signer::new();
        let h = Member::new(&signer, &hub("h"), 1);
        let link = play(&h.node, edge("m"));
        linked(&h.node, 1).await;
        let mut stream = begin(&link).await;
        let identity = signer.identity(&edge("m"));
        let forged = |sequence| {
            let (payload, mut signature) = sign(&identity, sequence);
            signature.bytes[8] ^= 1;
            message(&(payload, signature))
        };
        stream.write_all(&message(&sign(&identity, 5))).await.unwrap();
        h.knows(&[("m", &["m.global"])]).await;
        // It is not taken, but costs nothing either.
        for sequence in [4, 5] {
            stream.write_all(&forged(sequence)).await.unwrap();
        }
        everything_is_done().await;
        let counters = h.node.counters();
        assert_eq!((counters.announcements_known.get(), counters.announcements_refused.get()), (2, 0));
        stream.write_all(&forged(6)).await.unwrap();
        assert!(stream.read_u8().await.is_err());
        assert_eq!((h.sequence_of("m"), counters.announcements_refused.get()), (5, 1));
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn nobody_announces_for_others() {
    let test = async {
        let signer = Signer::new();
        let h = Member::new(&signer, &hub("h"), 1);
        let link = play(&h.node, edge("m"));
        linked(&h.node, 1).await;
        let mut stream = begin(&link).await;
        stream.write_all(&message(&sign(&signer.identity(&edge("a")), 1))).await.unwrap();
        assert!(stream.read_u8().await.is_err());
        assert_eq!(h.node.counters().announcements_refused.get(), 1);
        h.knows(&[]).await;
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn a_tenant_has_so_many_edges_and_others_have_theirs() {
    let test = async {
        let signer = Signer::new();
        let limits = catalogue::Limits { edges_per_tenant: 1, ..catalogue::Limits::default() };
        let h = Member::limited(&signer, &hub("h"), Limits { catalogue: limits, ..Limits::default() });
        let other = Peer::Edge { name: "x".into(), tenant: "other".into() };
        let [a, b, x] = [edge("a"), edge("b"), other].map(|peer| Member::new(&signer, &peer, 1));
        let _wires = (a.wire(&h), b.wire(&h), x.wire(&h));
        a.offers(&["a.global"]);
        h.knows(&[("a", &["a.global"])]).await;
        b.offers(&["b.global"]);
        x.offers(&["x.global"]);
        h.knows(&[("a", &["a.global"]), ("x", &["x.global"])]).await;
        while h.node.counters().announcements_without_room.get() == 0 {
            everything_is_done().await;
        }
        // The one that is known may change.
        a.offers(&["a.global", "more.global"]);
        h.knows(&[("a", &["a.global", "more.global"]), ("x", &["x.global"])]).await;
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

pub(crate) const YEAR: u64 = 365 * 24 * 60 * 60;

#[tokio::test]
async fn who_began_more_than_a_year_ahead_is_not_believed() {
    let test = async {
        let signer = Signer::new();
        let h = Member::new(&signer, &hub("h"), 1);
        for (name, ahead) in [("a", YEAR - 3600), ("m", YEAR + 3600), ("n", u64::MAX - unix_now())] {
            let link = play(&h.node, edge(name));
            let mut stream = begin(&link).await;
            let identity = signer.identity(&edge(name));
            let signed = sign_since(&identity, unix_now() + ahead, 1, vec![service("a.global")]);
            stream.write_all(&message(&signed)).await.unwrap();
            match name {
                "a" => h.knows(&[("a", &["a.global"])]).await,
                _ => assert!(stream.read_u8().await.is_err()),
            }
        }
        h.knows(&[("a", &["a.global"])]).await;
        assert_eq!(h.node.counters().announcements_refused.get(), 2);
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn nobody_is_followed_to_the_end_of_time_by_the_edge_that_it_is_a_copy_of() {
    let test = async {
        let signer = Signer::new();
        let a = Member::new(&signer, &edge("a"), 1);
        a.offers(&["a.global"]);
        let link = play(&a.node, hub("h"));
        let mut stream = begin(&link).await;
        let copy = signer.identity(&edge("a"));
        let confirmation = format!(r#"{{"epoch":{},"sequence":1,"beat":1}}"#, u64::MAX).into_bytes();
        let signature = copy.borrow().sign("selvedge confirmation 1", &confirmation).unwrap();
        let announcement = sign_since(&copy, u64::MAX, 1, vec![service("a.global")]);
        for message in [message(&announcement), message_of(2, &(confirmation, signature))] {
            stream.write_all(&message).await.unwrap();
        }
        while a.node.counters().announcements_refused.get() != 2 {
            everything_is_done().await;
        }
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}
