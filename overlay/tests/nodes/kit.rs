//! Nodes that are linked by wires which can be cut, hang, and be listened to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use overlay::identity::{Current, Identity, SignedTrust, Trust};
use overlay::link::{Driver, Timing};
use overlay::node::{Node, Peer};
use overlay_wire::mux::{self, Side};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, SigningKey as _,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};

pub(crate) const OVERLAY: &str = "mesh.example";

pub(crate) fn edge(name: &str) -> Peer {
    Peer::Edge { name: name.into(), tenant: "acme".into() }
}

pub(crate) fn hub(name: &str) -> Peer {
    Peer::Hub { name: name.into() }
}

/// A connection that can be cut, or swallow everything from some time on.
pub(crate) struct Wire {
    task: JoinHandle<()>,
    swallows: watch::Sender<bool>,
    /// What has passed, if that is recorded.
    pub(crate) seen: Rc<RefCell<Option<Vec<u8>>>>,
}

type Seen = Rc<RefCell<Option<Vec<u8>>>>;

/// Carries bytes, or nothing while `swallows`.
async fn carry(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    mut swallows: watch::Receiver<bool>,
    seen: Seen,
) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(count) = from.read(&mut piece).await {
        if let Some(seen) = &mut *seen.borrow_mut() {
            seen.extend_from_slice(&piece[..count]);
        }
        let _ = swallows.wait_for(|swallows| !swallows).await;
        if count == 0 || to.write_all(&piece[..count]).await.is_err() {
            break;
        }
    }
}

impl Wire {
    pub(crate) fn new(near: (&Rc<Node>, Peer), far: (&Rc<Node>, Peer)) -> Self {
        let (ours, near_end) = duplex(64 * 1024);
        let (theirs, far_end) = duplex(64 * 1024);
        let (swallows, _) = watch::channel(false);
        let seen = Seen::default();
        let (near_read, near_write) = split(near_end);
        let (far_read, far_write) = split(far_end);
        let (there, back) = (
            carry(near_read, far_write, swallows.subscribe(), seen.clone()),
            carry(far_read, near_write, swallows.subscribe(), seen.clone()),
        );
        let task = spawn_local(async move {
            tokio::join!(there, back);
        });
        attach(near.0, far.1, ours, Side::Dialled);
        attach(far.0, near.1, theirs, Side::Accepted);
        Self { task, swallows, seen }
    }

    /// From now on nothing arrives, and nobody hears of it; or it goes on.
    pub(crate) fn swallow(&self, swallows: bool) {
        self.swallows.send_replace(swallows);
    }

    /// Both sides see the end.
    pub(crate) fn cut(self) {
        self.task.abort();
    }
}

pub(crate) fn attach(node: &Rc<Node>, peer: Peer, transport: DuplexStream, side: Side) {
    let (link, driver) = Driver::new(transport, side, mux::Limits::default(), node.hello(), Timing::default());
    spawn_local(driver.run());
    spawn_local(node.clone().serve(peer, link));
}

/// Signs the certificates of nodes.
pub(crate) struct Signer {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    pub(crate) fn identity(&self, peer: &Peer) -> Current {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(peer.uri(OVERLAY).try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let trust = Arc::new(Trust::new(vec![self.root.clone()]).unwrap());
        let identity = Identity::new(OVERLAY, certificate, key, trust).unwrap();
        watch::channel(Arc::new(identity)).1
    }
}

impl Signer {
    /// Says who was revoked.
    pub(crate) fn deny(&self, nodes: &[Peer]) -> SignedTrust {
        let sign = |message: &[u8]| self.issuer.key().sign(message).map(|signature| vec![signature]);
        SignedTrust::sign(nodes.len() as u64, std::slice::from_ref(&self.root), nodes, sign).unwrap()
    }
}

/// Answers every stream with what it says. How many it has taken.
pub(crate) fn echo(node: &Rc<Node>) -> Rc<Cell<usize>> {
    let mut incoming = node.incoming().unwrap();
    let taken = Rc::new(Cell::new(0));
    let counter = taken.clone();
    spawn_local(async move {
        while let Some(stream) = incoming.recv().await {
            counter.set(counter.get() + 1);
            spawn_local(async move {
                let (mut reader, mut writer) = split(stream);
                if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
                    let _ = writer.shutdown().await;
                }
            });
        }
    });
    taken
}
