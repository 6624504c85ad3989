//! A hub: it relays what edges say to each other, and may have the authority.

mod desk;
mod following;
mod founding;
mod vital;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::desk::Desk;
use self::founding::Founding;
use self::vital::Vital;
use crate::catalogue::Directory;
use crate::control::{self, Question, Reply};
use crate::enroll::{AuthorityError, EnrollServer, EtcdOptions, StoreError, renew};
use crate::folder::{Folder, FolderError, FolderLock};
use crate::identity::{Current, Identity, IdentityError};
use crate::node::{Limits, Node, Peer, Role};
use crate::shards::Shards;
use crate::uplink::{self, Uplink};

/// How a hub is started.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// What it keeps. An empty folder founds an overlay, if the names are given.
    pub folder: Folder,
    /// Its name. If the folder has one already it must be the same.
    pub name: Option<String>,
    /// Its overlay; the same.
    pub overlay: Option<String>,
    /// Where it takes links.
    pub listen: SocketAddr,
    /// How edges reach it, `host:port`, if not by the address where it listens. It is written into tokens.
    pub advertise: Option<String>,
    /// Other hubs, `host:port`. They are dialled, and written into tokens behind this one.
    pub peers: Vec<String>,
    /// How long certificates are good that its authority signs, if not as long as usual.
    pub certificate_lifetime: Option<Duration>,
    /// Where what the authority knows is.
    pub store: StoreOptions,
}

/// Where an authority keeps what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOptions {
    /// In the folder of the hub that founds the overlay, which alone has the authority.
    File,
    /// In etcd: every hub with access to it has the authority.
    Etcd(EtcdOptions),
}

/// Why a hub does not start, or ends.
#[derive(Debug, Error)]
pub enum HubError {
    /// There is nothing in the folder, and no name to begin with.
    #[error("the folder is empty: join with the token of a hub, or give a name and an overlay to found a new one")]
    NotJoined,
    /// The folder is of no use.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store of the authority is of no use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The overlay has its authority elsewhere.
    #[error("{}: the authority of this overlay is in this file, and cannot be in etcd, too", .0.display())]
    TwoStores(PathBuf),
    /// The authority says so.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The identity is of no use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It cannot listen.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// Nobody could dial it.
    #[error("{0} is every address of this machine: say by which one edges reach the hub")]
    Advertise(SocketAddr),
    /// It cannot be asked.
    #[error("cannot listen at {}: {error}", .path.display())]
    Control {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// What should have gone on has ended.
    #[error("{0} has ended")]
    Ended(&'static str),
    /// The same, by a mistake of ours. The lines of the log before say which.
    #[error("{0} has panicked")]
    Panicked(&'static str),
}

/// A hub that runs on this thread, which must be that of a [`LocalSet`](tokio::task::LocalSet).
pub struct Hub {
    desk: Rc<Desk>,
    address: SocketAddr,
    vital: Vital,
    _lock: FolderLock,
}

impl Hub {
    /// Starts.
    ///
    /// # Errors
    /// As [`HubError`] says.
    pub async fn start(options: HubOptions) -> Result<Self, HubError> {
        let HubOptions { folder, name, overlay, listen, advertise, peers, certificate_lifetime: lifetime, store } =
            options;
        let lock = folder.lock()?;
        let (name, overlay) = (name.as_deref(), overlay.as_deref());
        check_names(&folder, name, overlay)?;
        let founding = Founding { folder: &folder, store: &store, name, overlay, lifetime };
        let authority = founding.authority().await?.map(Rc::new);
        let identity = folder.identity(folder.trust()?)?;
        let cannot_listen = |error| HubError::Listen(listen, error);
        let listener = TcpListener::bind(listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let advertise = match advertise {
            Some(advertise) => advertise,
            None if address.ip().is_unspecified() => return Err(HubError::Advertise(address)),
            None => address.to_string(),
        };
        let node = Node::new(identity.peer().name(), Role::Hub, 0, Limits::default());
        let (sender, identity) = watch::channel(Arc::new(identity));
        // It announces nothing itself.
        let (directory, exchange) = Directory::new(&node, identity.clone(), 0);
        // Whoever has joined knows other hubs by its token.
        let mut others = folder.hubs()?;
        others.extend(peers);
        others.sort();
        others.dedup();
        others.retain(|hub| *hub != advertise);
        let hubs = [vec![advertise], others.clone()].concat();
        let shards = Shards::new(identity.borrow().trust().clone());
        let answering = shards.add(node.clone());
        let desk =
            Rc::new(Desk { node, shards, directory, identity, authority, hubs, failed: watch::Sender::default() });
        let mut hub = Self { desk, address, vital: Vital::default(), _lock: lock };
        hub.vital.run("answering", answering);
        hub.vital.run("the exchange of announcements", exchange);
        hub.take_links(listener);
        others.into_iter().for_each(|other| hub.dial(other));
        hub.keep_folder(&folder, sender);
        hub.follow_authority();
        hub.be_asked(&folder)?;
        Ok(hub)
    }

    /// Where it takes links.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its node, to be asked from any thread how it is doing.
    pub fn shards(&self) -> Shards {
        self.desk.shards.clone()
    }

    /// Who it is, as of now.
    pub fn identity(&self) -> Current {
        self.desk.identity.clone()
    }

    /// Why the store of the authority has failed the last command, if it has.
    pub fn failed_command(&self) -> watch::Receiver<Option<String>> {
        self.desk.failed.subscribe()
    }

    /// Whether it has the authority.
    pub fn has_authority(&self) -> bool {
        self.desk.authority.is_some()
    }

    /// Answers an operator.
    pub async fn answer(&self, question: Question) -> Reply {
        self.desk.answer(question).await
    }

    /// Runs until `end`, and takes leave of its peers, who go on over other hubs.
    ///
    /// # Errors
    /// Something has ended that it cannot do without.
    pub async fn run(mut self, end: impl Future<Output = ()>) -> Result<(), HubError> {
        let ended = tokio::select! {
            () = end => Ok(()),
            ended = self.vital.ended() => Err(ended),
        };
        self.vital.shutdown().await;
        self.desk.take_leave().await;
        ended
    }

    fn take_links(&mut self, listener: TcpListener) {
        let (desk, address) = (self.desk.clone(), self.address);
        let enrolling = EnrollServer::new(desk.authority.clone(), desk.node.counters().clone());
        self.vital.run_fallible("accepting", async move {
            let accepting = uplink::listen(desk.node.clone(), desk.identity.clone(), Some(enrolling), listener);
            accepting.await.map_err(|error| HubError::Listen(address, error))
        });
    }

    fn dial(&mut self, hub: String) {
        let uplink = Uplink { hub, local: None };
        self.vital.run("dialling", uplink::keep(self.desk.node.clone(), self.desk.identity.clone(), uplink));
    }

    fn keep_folder(&mut self, folder: &Folder, identity: watch::Sender<Arc<Identity>>) {
        let trust = identity.borrow().trust().clone();
        self.vital.run("keeping what is believed", folder.clone().keep_trust(trust));
        let (folder, desk) = (folder.clone(), self.desk.clone());
        self.vital.run("renewing", async move {
            match &desk.authority {
                Some(authority) => renew::keep_own(folder, identity, authority).await,
                None => renew::keep(folder, identity).await,
            }
        });
    }

    fn follow_authority(&mut self) {
        let desk = self.desk.clone();
        self.vital.run("following the authority", async move {
            match &desk.authority {
                Some(authority) => following::follow(authority, desk.identity.clone()).await,
                None => std::future::pending().await,
            }
        });
    }

    fn be_asked(&mut self, folder: &Folder) -> Result<(), HubError> {
        let path = folder.control_socket();
        let listener = control::listen(&path).map_err(|error| HubError::Control { path, error })?;
        let desk = self.desk.clone();
        let answer = async move |question| desk.answer(question).await;
        self.vital.run("the control socket", async move { control::serve(listener, answer).await });
        Ok(())
    }
}

/// A folder stays that of the hub that it was made for.
fn check_names(folder: &Folder, name: Option<&str>, overlay: Option<&str>) -> Result<(), HubError> {
    if !folder.has_joined()? {
        return Ok(());
    }
    let present = folder.identity(Arc::default())?;
    let own_overlay = present.overlay();
    let wanted = Peer::Hub { name: name.unwrap_or(present.peer().name()).into() };
    let wanted = wanted.uri(overlay.unwrap_or(own_overlay));
    let found = present.peer().uri(own_overlay);
    if found == wanted { Ok(()) } else { Err(FolderError::Other { path: folder.path().into(), found, wanted }.into()) }
}

impl fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hub").field("address", &self.address).finish_non_exhaustive()
    }
}
