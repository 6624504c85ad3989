//! What was not taken over one link is told again over the next: nothing stays unheard because a clock was wrong, or a peer was slow, for a while.

use std::sync::Arc;
use std::time::Duration;

use overlay::catalogue::{Directory, Offer};
use overlay::folder::Folder;
use overlay::identity::SignedTrust;
use overlay::link::{LinkEnd, code};
use overlay::node::{Limits, Node, Role};
use overlay::uplink::{self, Uplink};
use overlay_wire::varint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{Instant, timeout};

use crate::announcements::{YEAR, begin, message, sign, unix_now};
use crate::catalogue::Member;
use crate::kit::{Signer, edge, hub};
use crate::player::{everything_is_done, linked, play};
use crate::site::{LONG, Site, eventually, join_folder};

/// Why the other side has closed a link because it did not take something.
pub(crate) fn refusal(end: LinkEnd) -> String {
    match end {
        LinkEnd::Closed { code: code::PROTOCOL | code::FAILED, reason } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_edge_that_was_not_believed_once_is_heard_over_its_next_link() {
    let test = async {
        let signer = Signer::new();
        let h = Member::new(&signer, &hub("h"), 1);
        let identity = signer.identity(&edge("m"));
        let (payload, mut signature) = sign(&identity, 1);
        signature.bytes[8] ^= 1;
        let link = play(&h.node, edge("m"));
        let mut stream = begin(&link).await;
        stream.write_all(&message(&(payload, signature))).await.unwrap();
        let reason = refusal(link.ended().await);
        assert!(reason.starts_with("announcements are not taken: ") && reason.contains("BadSignature"), "{reason}");
        linked(&h.node, 0).await;
        let again = play(&h.node, edge("m"));
        let mut stream = begin(&again).await;
        stream.write_all(&message(&sign(&identity, 1))).await.unwrap();
        h.knows(&[("m", &["m.global"])]).await;
        assert!(again.end().is_none());
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn an_edge_that_is_never_believed_knows_why_and_dials_less_and_less_often() {
    let test = async {
        let site = Site::found().await;
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path().join("state")).unwrap();
        join_folder(&folder, &site.token(edge("m")).await).await;
        let identity = folder.identity(folder.trust().unwrap()).unwrap();
        let (_renewed, current) = watch::channel(Arc::new(identity));
        let node = Node::new("m", Role::Edge, 0, Limits::default());
        let (announcing, exchange) = Directory::new(&node, current.clone(), unix_now() + 2 * YEAR);
        spawn_local(exchange);
        announcing.offer(Offer::default()).unwrap();
        let begun = Instant::now();
        let hub = site.hub.address().to_string();
        spawn_local(uplink::keep(node.clone(), current, Uplink { hub, local: None }));

        let says_why = |why: &str| why.contains("announcements are not taken: of m: its epoch");
        eventually("the reason", async || node.pending().iter().any(|(_, why)| says_why(why))).await;
        eventually("other attempts", async || node.counters().links_total.get() > 4).await;
        let links = node.counters().links_total.get();
        // The pauses before them are of 100 ms, and twice as long each time.
        let pauses = Duration::from_millis(100 * ((1 << (links - 1)) - 1));
        assert!(pauses <= begun.elapsed(), "{links} links in {:?}", begun.elapsed());
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn edges_that_do_not_take_a_statement_hear_it_over_their_next_link() {
    let test = async {
        let signer = Signer::new();
        let a = Member::new(&signer, &edge("a"), 1);
        // What no edge says to another one.
        let link = play(&a.node, edge("b"));
        let mut stream = begin(&link).await;
        stream.write_all(&message(&sign(&signer.identity(&edge("b")), 1))).await.unwrap();
        let reason = refusal(link.ended().await);
        assert!(reason.starts_with("statements are not taken: edges tell each other nothing"), "{reason}");
        // Whom it tells something takes no more of it.
        let signed = signer.deny(&[edge("m")]);
        a.identity.borrow().trust().take(&signed).unwrap();
        let link = play(&a.node, edge("b"));
        link.accept().await.unwrap().reset(code::DROPPED);
        everything_is_done().await;
        a.identity.borrow().trust().take(&signer.deny(&[edge("m"), edge("n")])).unwrap();
        assert_eq!(refusal(link.ended().await), "statements are not taken");
        // The next link brings the last one, both ways.
        let last = signer.deny(&[edge("m"), edge("n"), edge("o")]);
        let link = play(&a.node, edge("b"));
        let mut told = link.accept().await.unwrap();
        told.read_exact(&mut [0; 64]).await.unwrap();
        let mut telling = begin(&link).await;
        telling.write_all(&statement(&last)).await.unwrap();
        while !a.identity.borrow().trust().denies(&edge("o")) {
            yield_now().await;
        }
        assert!(link.end().is_none());
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

/// As it goes over a link.
fn statement(signed: &SignedTrust) -> Vec<u8> {
    let content = signed.to_bytes();
    let mut message = Vec::new();
    varint::put(&mut message, 3);
    varint::put(&mut message, content.len() as u64);
    message.extend(content);
    message
}
