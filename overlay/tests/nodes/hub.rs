//! Hubs as an operator runs them: what they keep, whom they cut off, and how certificates are renewed.

use std::time::{Duration, Instant};

use overlay::control::{Question, Reply};
use overlay::enroll::{JoinError, RedbStore, Token, join, renew};
use overlay::folder::FolderError;
use overlay::hub::{Hub, HubError};
use overlay::node::Peer;
use overlay_wire::call::{Call, Outcome, Transport};
use rcgen::KeyPair;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use crate::kit::{OVERLAY, edge, hub};
use crate::site::{JoinedEdge, LONG, Site, eventually, join_folder, options};

/// What the issue asks for.
const CUT_WITHIN: Duration = Duration::from_secs(2);

fn call() -> Call {
    Call {
        host: "ratings.shop.global".into(),
        port: 9080,
        caller: "spiffe://cluster.local/ns/shop/sa/web".into(),
        transport: Transport::Bytes,
    }
}

async fn revoke(site: &Site, peer: Peer) -> Reply {
    site.hub.answer(Question::Revoke { peer }).await
}

#[tokio::test]
async fn a_hub_that_starts_again_has_its_tokens_and_knows_who_was_revoked() {
    let test = async {
        let site = Site::found().await;
        let (used, open) = (site.token(edge("a")).await, site.token(edge("b")).await);
        let key = KeyPair::generate().unwrap().serialize_pem();
        join(&used, &key).await.unwrap();
        site.token(edge("c")).await;
        assert_eq!(revoke(&site, edge("c")).await, Reply::Revoked);
        let site = site.start_again().await;
        let other_key = KeyPair::generate().unwrap().serialize_pem();
        assert!(matches!(join(&used, &other_key).await, Err(JoinError::Refused(_))));
        let edge_b = JoinedEdge::new(&open, site.hub.address()).await;
        eventually("the link", async || site.is_linked(&edge("b")).await).await;
        let Reply::Refused(reason) = site.hub.answer(token_for(edge("c"))).await else { panic!("c may join again") };
        assert!(reason.contains("was revoked"), "{reason}");
        // And tells it to who comes.
        let trust = edge_b.identity.borrow().trust().clone();
        eventually("what was said", async || trust.denies(&edge("c"))).await;
    };
    LocalSet::new().run_until(test).await;
}

fn token_for(peer: Peer) -> Question {
    Question::CreateToken { peer, valid_seconds: 60 }
}

#[tokio::test]
async fn who_is_revoked_is_cut_off_at_every_hub_and_not_let_in_again() {
    let test = async {
        let site = Site::found().await;
        let other = site.join("h2").await;
        let near = JoinedEdge::new(&site.token(edge("a")).await, site.hub.address()).await;
        let mut far = JoinedEdge::new(&site.token(edge("b")).await, other.hub.address()).await;
        let mut calls = far.calls.take().unwrap();
        spawn_local(async move {
            let mut connected = Vec::new();
            while let Some(incoming) = calls.recv().await {
                connected.push(incoming.answer(Outcome::Connected, "").await.unwrap());
            }
        });
        eventually("all is known everywhere", async || near.knows() == ["a", "b"] && far.knows() == ["a", "b"]).await;
        let mut stream = near.tunnels.connect("b", 0, &call()).await.unwrap();
        stream.write_all(b"x").await.unwrap();

        let begun = Instant::now();
        assert_eq!(revoke(&site, edge("b")).await, Reply::Revoked);
        // The connection through the tunnel, the link at the other hub, and what b announced.
        assert!(timeout(LONG, stream.read_u8()).await.unwrap().is_err());
        eventually("the cut", async || !other.is_linked(&edge("b")).await && near.knows() == ["a"]).await;
        let taken = begun.elapsed();
        eprintln!("revoked: cut off after {} ms", taken.as_millis());
        assert!(taken < CUT_WITHIN, "{taken:?}");

        // It dials again, and again.
        eventually("the refusal", async || {
            far.node.pending().iter().any(|(_, why)| why.contains("CertificateRevoked"))
        })
        .await;
        assert!(!other.is_linked(&edge("b")).await);
        // The others go on.
        assert!(other.is_linked(&hub("h")).await && site.is_linked(&edge("a")).await);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn only_nodes_that_there_are_can_be_revoked_and_only_by_the_authority() {
    let test = async {
        let site = Site::found().await;
        let other = site.join("h2").await;
        site.token(edge("a")).await;
        for (at, peer, why) in [
            (&site, edge("nobody"), "there is no edge nobody of tenant acme"),
            (&site, hub("h"), "hub h has the authority itself"),
            (&other, edge("a"), "hub h2 has not the authority: ask a hub that has it"),
        ] {
            assert_eq!(revoke(at, peer).await, Reply::Refused(why.into()));
        }
        assert!(matches!(other.hub.answer(token_for(edge("b"))).await, Reply::Refused(_)));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn certificates_are_renewed_before_they_end_and_links_stay() {
    let test = async {
        let site = Site::found_with(|options| options.certificate_lifetime = Some(Duration::from_secs(6))).await;
        let other = site.join("h2").await;
        let mut token = site.token(edge("a")).await;
        // Whoever has not the authority is asked first.
        token.hubs.insert(0, other.hub.address().to_string());
        let edge_a = JoinedEdge::new(&token, site.hub.address()).await;
        eventually("the link", async || site.is_linked(&edge("a")).await).await;
        let before = edge_a.identity.borrow().chain().to_vec();
        let mut current = edge_a.identity.subscribe();
        spawn_local(renew::keep(edge_a.folder.clone(), edge_a.identity.clone()));
        timeout(LONG, current.changed()).await.unwrap().unwrap();
        let after = current.borrow().chain().to_vec();
        assert!(before[0] != after[0] && before[1] == after[1]);
        assert_eq!(current.borrow().peer(), &edge("a"));
        eventually("the file", async || {
            edge_a.folder.identity(edge_a.folder.trust().unwrap()).unwrap().chain() == after
        })
        .await;
        // What a announced was signed by a certificate that ends: it is announced again, and believed at the other hub.
        eventually("the announcement", async || {
            other.status().await.edges.iter().any(|edge| edge.name == "a" && edge.sequence > 1)
        })
        .await;
        assert!(site.is_linked(&edge("a")).await && edge_a.node.pending().is_empty());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_joins_again_beside_a_process_that_runs_gives_it_another_certificate() {
    let test = async {
        let site = Site::found().await;
        let edge_a = JoinedEdge::new(&site.token(edge("a")).await, site.hub.address()).await;
        let mut current = edge_a.identity.subscribe();
        let (before, (_, end)) = (current.borrow().chain().to_vec(), current.borrow().validity().unwrap());
        spawn_local(renew::keep(edge_a.folder.clone(), edge_a.identity.clone()));
        let token = site.token(edge("a")).await;
        let is_later = async || {
            join_folder(&edge_a.folder, &token).await;
            edge_a.folder.identity(edge_a.folder.trust().unwrap()).unwrap().validity().unwrap().1 > end
        };
        eventually("a certificate that is good for longer", is_later).await;
        timeout(LONG, current.changed()).await.unwrap().unwrap();
        let after = current.borrow_and_update().chain().to_vec();
        assert!(
            after[0] != before[0]
                && after[0] == edge_a.folder.identity(current.borrow().trust().clone()).unwrap().chain()[0]
        );
        // One that ends earlier is no reason to change, as where a new one could not be kept.
        edge_a.folder.keep_certificate(&before).unwrap();
        assert!(timeout(Duration::from_secs(3), current.changed()).await.is_err());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_folder_is_used_by_one_hub_of_one_name() {
    let test = async {
        let site = Site::found().await;
        let running = Hub::start(options(&site.directory)).await.unwrap_err();
        assert!(matches!(running, HubError::Folder(FolderError::InUse(_))), "{running}");
        let Site { hub: started, directory, .. } = site;
        started.run(std::future::ready(())).await.unwrap();
        let mut renamed = options(&directory);
        renamed.name = Some("other".into());
        let error = Hub::start(renamed).await.unwrap_err().to_string();
        assert!(error.contains("is the folder of spiffe://mesh.example/hub/h"), "{error}");
        std::fs::remove_file(directory.path().join("state/authority.redb")).unwrap();
        let error = Hub::start(options(&directory)).await.unwrap_err().to_string();
        assert!(error.contains("authority.redb: is missing"), "{error}");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_empty_folder_founds_nothing_without_names() {
    let test = async {
        let directory = tempfile::tempdir().unwrap();
        let error = Hub::start(options(&directory)).await.unwrap_err();
        assert!(matches!(error, HubError::NotJoined), "{error}");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_folder_without_its_node_file_goes_on_with_the_authority_that_is_in_it() {
    let test = async {
        let site = Site::found().await;
        let token = site.token(edge("a")).await;
        let Site { hub: started, directory, .. } = site;
        started.run(std::future::ready(())).await.unwrap();
        let file = |name: &str| directory.path().join("state").join(name);
        // What it has asked of its store may be under way still.
        let is_closed = async || RedbStore::open(&file("authority.redb")).is_ok();
        eventually("the end of the first", is_closed).await;
        let founding = |overlay: &str| {
            let mut options = options(&directory);
            (options.name, options.overlay) = (Some("h".into()), Some(overlay.to_owned()));
            options
        };
        std::fs::remove_file(file("node.json")).unwrap();
        let (key, store) = (std::fs::read(file("key.pem")).unwrap(), std::fs::read(file("authority.redb")).unwrap());

        // Another overlay, another key.
        let error = Hub::start(founding("other.example")).await.unwrap_err().to_string();
        assert!(error.contains("authority.redb: has the authority of another overlay"), "{error}");
        std::fs::remove_file(file("key.pem")).unwrap();
        let error = Hub::start(founding(OVERLAY)).await.unwrap_err().to_string();
        assert!(error.contains("authority.redb: has the authority of another overlay"), "{error}");
        std::fs::write(file("key.pem"), key).unwrap();
        // No store, or an empty one.
        for content in [None, Some("")] {
            std::fs::remove_file(file("authority.redb")).unwrap();
            if let Some(content) = content {
                std::fs::write(file("authority.redb"), content).unwrap();
            }
            let error = Hub::start(founding(OVERLAY)).await.unwrap_err().to_string();
            assert!(error.contains("authority.redb: is ") && error.contains("restore the copy"), "{error}");
            std::fs::write(file("authority.redb"), &store).unwrap();
        }

        let hub = Hub::start(founding(OVERLAY)).await.unwrap();
        let token = Token { hubs: vec![hub.address().to_string()], ..token };
        join(&token, &KeyPair::generate().unwrap().serialize_pem()).await.unwrap();
    };
    LocalSet::new().run_until(test).await;
}
