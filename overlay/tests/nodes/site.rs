//! Hubs and edges with folders, over real sockets.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use overlay::catalogue::{Directory, Offer};
use overlay::control::{Question, Reply};
use overlay::enroll::{Token, join};
use overlay::folder::Folder;
use overlay::hub::{Hub, HubOptions, StoreOptions};
use overlay::identity::Identity;
use overlay::node::{Limits, Node, Peer, Role};
use overlay::status::Status;
use overlay::tunnel::{Incoming, Tunnels};
use overlay::uplink::{self, Uplink};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{sleep, timeout};

use crate::kit::{OVERLAY, hub};

pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(LONG, waiting).await.is_ok(), "{what} does not happen");
}

/// A hub, and its folder.
pub(crate) struct Site {
    pub(crate) hub: Hub,
    pub(crate) directory: TempDir,
    store: StoreOptions,
}

pub(crate) fn options(directory: &TempDir) -> HubOptions {
    HubOptions {
        folder: Folder::open(directory.path().join("state")).unwrap(),
        name: None,
        overlay: None,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        peers: Vec::new(),
        certificate_lifetime: None,
        store: StoreOptions::File,
    }
}

impl Site {
    /// The hub that has the authority.
    pub(crate) async fn found() -> Self {
        Self::found_with(|_| {}).await
    }

    pub(crate) async fn found_with(change: impl FnOnce(&mut HubOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = options(&directory);
        (options.name, options.overlay) = (Some("h".into()), Some(OVERLAY.into()));
        change(&mut options);
        Self::start(options, directory).await
    }

    /// Another one, which joins by a token.
    pub(crate) async fn join(&self, name: &str) -> Self {
        self.join_with(name, |_| {}).await
    }

    pub(crate) async fn join_with(&self, name: &str, change: impl FnOnce(&mut HubOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = options(&directory);
        change(&mut options);
        join_folder(&options.folder, &self.token(hub(name)).await).await;
        Self::start(options, directory).await
    }

    async fn start(options: HubOptions, directory: TempDir) -> Self {
        let store = options.store.clone();
        Self { hub: Hub::start(options).await.unwrap(), directory, store }
    }

    /// The same folder again, at the same address.
    pub(crate) async fn start_again(self) -> Self {
        let Self { hub, directory, store } = self;
        let options = HubOptions { listen: hub.address(), store, ..options(&directory) };
        hub.run(std::future::ready(())).await.unwrap();
        Self::start(options, directory).await
    }

    pub(crate) async fn token(&self, peer: Peer) -> Token {
        match self.hub.answer(Question::CreateToken { peer, valid_seconds: 600 }).await {
            Reply::Token(text) => Token::parse(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn status(&self) -> Status {
        match self.hub.answer(Question::Status).await {
            Reply::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Whether it is linked to a node.
    pub(crate) async fn is_linked(&self, peer: &Peer) -> bool {
        self.status().await.links.iter().any(|link| link.peer == *peer)
    }
}

pub(crate) async fn join_folder(folder: &Folder, token: &Token) {
    let joined = join(token, &folder.key().unwrap()).await.unwrap();
    folder.keep_joined(token, &joined).unwrap();
}

/// An edge that has joined, and dials one hub.
pub(crate) struct JoinedEdge {
    pub(crate) folder: Folder,
    pub(crate) identity: watch::Sender<Arc<Identity>>,
    pub(crate) node: Rc<Node>,
    pub(crate) directory: Rc<Directory>,
    pub(crate) tunnels: Rc<Tunnels>,
    pub(crate) calls: Option<mpsc::Receiver<Incoming>>,
    uplink: AbortHandle,
    _directory: TempDir,
}

impl JoinedEdge {
    pub(crate) async fn new(token: &Token, hub: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path().join("state")).unwrap();
        join_folder(&folder, token).await;
        let identity = folder.identity(folder.trust().unwrap()).unwrap();
        let node = Node::new(identity.peer().name(), Role::Edge, 0, Limits::default());
        let (sender, current) = watch::channel(Arc::new(identity));
        let (known, exchange) = Directory::new(&node, current.clone(), folder.next_epoch().unwrap());
        spawn_local(exchange);
        let (tunnels, calls, taking) = Tunnels::new(node.clone(), current.clone());
        spawn_local(taking);
        known.offer(Offer::default()).unwrap();
        let uplink = Uplink { hub: hub.to_string(), local: None };
        let uplink = spawn_local(uplink::keep(node.clone(), current, uplink)).abort_handle();
        let calls = Some(calls);
        Self { folder, identity: sender, node, directory: known, tunnels, calls, uplink, _directory: directory }
    }

    /// It dials its hub no more.
    pub(crate) fn leave_hub(&self) {
        self.uplink.abort();
    }

    /// The edges that it has heard of.
    pub(crate) fn knows(&self) -> Vec<String> {
        self.directory.edges().into_iter().map(|(edge, _)| edge).collect()
    }
}

impl Drop for JoinedEdge {
    fn drop(&mut self) {
        self.uplink.abort();
    }
}
