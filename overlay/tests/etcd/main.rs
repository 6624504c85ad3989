//! Several hubs with the authority, on a real etcd. Not among the tests that `cargo test` runs by itself: `conformance/run etcd` has the etcd for it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[allow(dead_code, reason = "of the other tests")]
#[path = "../nodes/kit.rs"]
mod kit;
mod server;
#[allow(dead_code, reason = "of the other tests")]
#[path = "../nodes/site.rs"]
mod site;

use std::time::Duration;

use overlay::control::{Question, Reply};
use overlay::enroll::{EtcdStore, JoinError, Store, Token, join};
use overlay::hub::{Hub, HubError, StoreOptions};
use overlay_wire::call::{Call, Outcome, Transport};
use rcgen::KeyPair;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use crate::kit::{OVERLAY, edge, hub};
use crate::server::Etcd;
use crate::site::{JoinedEdge, LONG, Site, eventually, options};

async fn ready(etcd: &Etcd) -> EtcdStore {
    let store = EtcdStore::new(&etcd.options(), OVERLAY).unwrap();
    eventually("etcd", async || store.get("x").await.is_ok()).await;
    store
}

/// The hub that founds, and one that has joined, both with the authority.
async fn two_hubs(etcd: &Etcd) -> (Site, Site) {
    ready(etcd).await;
    let store = StoreOptions::Etcd(etcd.options());
    let first = Site::found_with(|options| options.store = store.clone()).await;
    let second = first.join_with("h2", |options| options.store = store.clone()).await;
    eventually("the link", async || first.is_linked(&hub("h2")).await && second.is_linked(&hub("h")).await).await;
    (first, second)
}

fn key() -> String {
    KeyPair::generate().unwrap().serialize_pem()
}

/// The same token, with one hub to ask.
fn at(token: &Token, site: &Site) -> Token {
    Token { hubs: vec![site.hub.address().to_string()], ..token.clone() }
}

#[tokio::test]
async fn values_are_swapped_and_listed() {
    let etcd = Etcd::start();
    let store = ready(&etcd).await;
    assert!(store.swap("a/1", None, Some(b"one")).await.unwrap());
    assert!(!store.swap("a/1", None, Some(b"two")).await.unwrap());
    assert!(!store.swap("a/1", Some(b"two"), Some(b"three")).await.unwrap());
    assert!(store.swap("a/1", Some(b"one"), Some(b"two")).await.unwrap());
    assert_eq!(store.get("a/1").await.unwrap().as_deref(), Some(&b"two"[..]));
    assert!(store.swap("a/1", Some(b"two"), None).await.unwrap());
    assert!(!store.swap("a/1", Some(b"two"), None).await.unwrap());
    assert_eq!(store.get("a/1").await.unwrap(), None);
    // More than are asked for at once; those beside them and of other overlays are not among them.
    let other = EtcdStore::new(&etcd.options(), "other.example").unwrap();
    assert!(store.swap("c/1", None, Some(b"c")).await.unwrap() && other.swap("b/1", None, Some(b"b")).await.unwrap());
    for number in 0..1203 {
        assert!(store.swap(&format!("b/{number:04}"), None, Some(number.to_string().as_bytes())).await.unwrap());
    }
    let listed = store.list("b/").await.unwrap();
    let expected: Vec<_> =
        (0..1203).map(|number| (format!("b/{number:04}"), number.to_string().into_bytes())).collect();
    assert!(listed == expected, "{} values", listed.len());
}

#[tokio::test]
async fn of_two_who_use_a_token_at_once_at_two_hubs_one_joins() {
    const TOKENS: usize = 25;
    let test = async {
        let etcd = Etcd::start();
        let (first, second) = two_hubs(&etcd).await;
        let mut refusals = 0;
        for number in 0..TOKENS {
            let maker = if number % 2 == 0 { &first } else { &second };
            let token = maker.token(edge(&format!("e{number}"))).await;
            let (keys, tokens) = ([key(), key()], [at(&token, &first), at(&token, &second)]);
            let (one, two) = tokio::join!(join(&tokens[0], &keys[0]), join(&tokens[1], &keys[1]));
            for refused in [&one, &two].into_iter().filter_map(|joined| joined.as_ref().err()) {
                assert!(matches!(refused, JoinError::Refused(why) if why.contains("was used already")), "{refused}");
                refusals += 1;
            }
            assert!(one.is_ok() != two.is_ok(), "both have joined");
        }
        eprintln!("{TOKENS} tokens, each used twice at once: {refusals} refused");
        assert_eq!(refusals, TOKENS);
        // Nobody founds it a second time.
        let directory = tempfile::tempdir().unwrap();
        let mut again = options(&directory);
        (again.name, again.overlay) = (Some("h3".into()), Some(OVERLAY.into()));
        again.store = StoreOptions::Etcd(etcd.options());
        let error = Hub::start(again).await.unwrap_err();
        assert!(matches!(error, HubError::Authority(_)) && error.to_string().contains("was founded"), "{error}");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn either_hub_revokes_and_begins_a_new_root() {
    let test = async {
        let etcd = Etcd::start();
        let (first, second) = two_hubs(&etcd).await;
        let edge_a = JoinedEdge::new(&first.token(edge("a")).await, first.hub.address()).await;
        eventually("the link", async || first.is_linked(&edge("a")).await).await;
        assert!(matches!(second.hub.answer(Question::Rotate).await, Reply::Rotating(_)));
        let trust = edge_a.identity.borrow().trust().clone();
        eventually("both roots", async || trust.roots().len() == 2).await;
        assert!(matches!(first.hub.answer(Question::Rotate).await, Reply::Refused(_)));
        assert_eq!(second.hub.answer(Question::Revoke { peer: edge("a") }).await, Reply::Revoked);
        eventually("the cut", async || !first.is_linked(&edge("a")).await).await;
        let refused = first.hub.answer(Question::CreateToken { peer: edge("a"), valid_seconds: 60 }).await;
        assert!(matches!(refused, Reply::Refused(why) if why.contains("was revoked")));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn while_etcd_is_away_links_go_on_and_what_needs_it_says_so() {
    let test = async {
        let mut etcd = Etcd::start();
        let (first, second) = two_hubs(&etcd).await;
        let near = JoinedEdge::new(&first.token(edge("a")).await, first.hub.address()).await;
        let mut far = JoinedEdge::new(&first.token(edge("b")).await, second.hub.address()).await;
        let mut calls = far.calls.take().unwrap();
        spawn_local(async move {
            while let Some(incoming) = calls.recv().await {
                let mut stream = incoming.answer(Outcome::Connected, "").await.unwrap();
                stream.write_all(b"x").await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        eventually("all is known", async || near.knows() == ["a", "b"] && far.knows() == ["a", "b"]).await;
        let open = first.token(edge("c")).await;
        etcd.kill();

        let Reply::Refused(why) = first.hub.answer(Question::CreateToken { peer: edge("d"), valid_seconds: 60 }).await
        else {
            panic!("a token without a store")
        };
        assert!(why.contains(&etcd.endpoint()) && why.contains("refused"), "{why}");
        let error = join(&at(&open, &second), &key()).await.unwrap_err().to_string();
        assert!(error.contains("the authority does not work at present"), "{error}");
        let pending = second.status().await.pending;
        assert!(pending.iter().any(|one| one.what == "the authority" && one.why.contains("etcd: ")), "{pending:?}");

        // A hub that starts without it relays.
        let second = second.start_again().await;
        eventually("the links", async || second.is_linked(&edge("b")).await && second.is_linked(&hub("h")).await).await;
        let call = Call { host: "x.global".into(), port: 80, caller: String::new(), transport: Transport::Bytes };
        eventually("a call", async || {
            let Ok(mut stream) = near.tunnels.connect("b", 0, &call).await else { return false };
            matches!(timeout(Duration::from_secs(5), stream.read_u8()).await, Ok(Ok(b'x')))
        })
        .await;

        etcd.start_again();
        eventually("the authority", async || {
            let pending = second.status().await.pending;
            pending.iter().all(|one| one.what != "the authority")
        })
        .await;
        timeout(LONG, join(&at(&open, &second), &key())).await.unwrap().unwrap();
    };
    LocalSet::new().run_until(test).await;
}
