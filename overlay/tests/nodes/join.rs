//! From a token to a link, over real sockets.

use overlay::enroll::{JoinError, Token, join};
use overlay::folder::Folder;
use overlay::transport;
use rcgen::KeyPair;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::kit::{Signer, edge, hub};
use crate::site::{JoinedEdge, Site, eventually};

fn key() -> String {
    KeyPair::generate().unwrap().serialize_pem()
}

#[tokio::test]
async fn an_edge_joins_by_its_token_and_is_linked() {
    let test = async {
        let site = Site::found().await;
        let mut token = site.token(edge("a")).await;
        // The first hub of the token does not answer.
        token.hubs.insert(0, "127.0.0.1:9".into());
        let edge_a = JoinedEdge::new(&token, site.hub.address()).await;
        assert_eq!(edge_a.identity.borrow().peer(), &edge("a"));
        eventually("the link", async || {
            let linked = edge_a.node.links().iter().any(|(peer, _)| *peer == hub("h"));
            linked && site.is_linked(&edge("a")).await
        })
        .await;
        assert!(edge_a.node.pending().is_empty(), "{:?}", edge_a.node.pending());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_token_that_was_used_or_forged_is_refused() {
    let test = async {
        let site = Site::found().await;
        let (token, first) = (site.token(edge("a")).await, key());
        join(&token, &first).await.unwrap();
        let error = join(&token, &key()).await.unwrap_err();
        assert!(matches!(&error, JoinError::Refused(reason) if reason.contains("used already")), "{error}");
        // Whoever was interrupted has the key still.
        join(&token, &first).await.unwrap();
        let forged = Token { secret: [0; 32], ..site.token(edge("b")).await };
        let unknown = Token { id: "f".repeat(16), ..site.token(edge("c")).await };
        for token in [forged, unknown] {
            let error = join(&token, &key()).await.unwrap_err().to_string();
            assert!(error.ends_with(&format!("token {} is not good", token.id)), "{error}");
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_hub_under_another_root_gets_no_token() {
    let test = async {
        let (ours, theirs) = (Site::found().await, Site::found().await);
        let token = Token { hubs: vec![theirs.hub.address().to_string()], ..ours.token(edge("a")).await };
        let error = join(&token, &key()).await.unwrap_err();
        assert!(matches!(&error, JoinError::Unreachable(reason) if reason.contains("UnknownIssuer")), "{error}");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_hub_that_has_not_the_authority_says_so_and_the_next_one_is_asked() {
    let test = async {
        let site = Site::found().await;
        let other = site.join("h2").await;
        let mut token = site.token(edge("a")).await;
        let with = token.hubs.clone();
        token.hubs = vec![other.hub.address().to_string()];
        let error = join(&token, &key()).await.unwrap_err().to_string();
        assert!(error.contains("not the authority"), "{error}");
        token.hubs.extend(with);
        join(&token, &key()).await.unwrap();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_says_nothing_takes_no_place_from_others() {
    let test = async {
        let site = Site::found().await;
        let token = site.token(edge("a")).await;
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(TcpStream::connect(site.hub.address()).await.unwrap());
        }
        join(&token, &key()).await.unwrap();
        let closed = silent.iter().filter(|one| !is_open(one)).count();
        assert!(closed >= 300 - 64, "{closed} of 300 were closed");
    };
    LocalSet::new().run_until(test).await;
}

fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for_for_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let identity = Signer::new().identity(&hub("h")).borrow().clone();
    let refused =
        transport::accept(&identity, stream, Vec::new(), true, || panic!("it has said nothing")).await.unwrap_err();
    assert_eq!(refused.to_string(), "no answer in 3s");
}

#[tokio::test]
async fn a_folder_stays_that_of_its_node() {
    let test = async {
        let site = Site::found().await;
        let edge_a = JoinedEdge::new(&site.token(edge("a")).await, site.hub.address()).await;
        let folder = Folder::open(edge_a.folder.path()).unwrap();
        let error = folder.check_token(&site.token(edge("b")).await).unwrap_err().to_string();
        assert!(error.contains("is the folder of spiffe://mesh.example/acme/edge/a"), "{error}");
        // The same node may join again, for example after it was off for too long.
        let again = site.token(edge("a")).await;
        folder.check_token(&again).unwrap();
        let joined = join(&again, &folder.key().unwrap()).await.unwrap();
        folder.keep_joined(&again, &joined).unwrap();
    };
    LocalSet::new().run_until(test).await;
}
