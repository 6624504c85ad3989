//! A node that was let in, and says over links whatever it likes.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use overlay::catalogue::{Announcement, Signed};
use overlay::folder::Folder;
use overlay::identity::Identity;
use overlay::link::{Link, LinkStream};
use overlay::node::Peer;
use overlay::transport::{self, Accepted, Linked};
use overlay_wire::hello::Hello;
use overlay_wire::leg::{self, LegFrame};
use overlay_wire::mux::Urgency;
use overlay_wire::varint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::PATIENCE;

/// What an announcement is signed for, and its kind among messages.
const CONTEXT: &str = "selvedge announcement 1";
const ANNOUNCE: u64 = 1;

/// Somebody who has joined.
pub(super) struct Forger(Arc<Identity>);

impl Forger {
    /// With the folder that it has joined with.
    pub(super) fn of(state: &Path) -> Self {
        let folder = Folder::open(state).unwrap();
        Self(Arc::new(folder.identity(folder.trust().unwrap()).unwrap()))
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.0
    }

    pub(super) fn sign(&self, announcement: &Announcement) -> Signed {
        let payload = announcement.to_bytes();
        let signature = self.0.sign(CONTEXT, &payload).unwrap();
        Signed { payload, signature }
    }

    /// Says that the owner of a certificate announces something, whose key it has not.
    pub(super) fn sign_as(&self, other: &Signed, announcement: &Announcement) -> Signed {
        let mut forged = self.sign(announcement);
        forged.signature.certificate = other.signature.certificate.clone();
        forged
    }

    pub(super) async fn dial(&self, port: u16) -> Line {
        let (hub, hello) = (SocketAddr::from(([127, 0, 0, 1], port)), Hello { shard: 0 }.to_bytes());
        Line::begin(transport::dial(&self.0, hub, None, hello, |_| true).await.unwrap()).await
    }

    /// Whoever dials.
    pub(super) async fn accept(&self, listener: &TcpListener) -> Line {
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = transport::accept(&self.0, stream, Hello { shard: 0 }.to_bytes(), true, || {}).await;
        let Ok(Accepted::Link(linked)) = accepted else { panic!("{accepted:?}") };
        Line::begin(*linked).await
    }
}

/// A link, on which both sides tell what they know.
pub(super) struct Line {
    /// Ends when nobody has it any more.
    _link: Link,
    tells: LinkStream,
    hears: Rc<RefCell<Vec<Signed>>>,
}

impl Line {
    async fn begin((_, link, driver): Linked) -> Self {
        spawn_local(driver.run());
        let mut tells = link.open(Urgency::default()).await.unwrap();
        let mut first = Vec::new();
        leg::put(&mut first, &LegFrame::Catalogue);
        tells.write_all(&first).await.unwrap();
        let hears = Rc::<RefCell<Vec<Signed>>>::default();
        let (heard, hearing) = (hears.clone(), link.clone());
        spawn_local(async move {
            while let Some(stream) = hearing.accept().await {
                // It ends with the link, or is none of announcements.
                let _ = hear(stream, &heard).await;
            }
        });
        Self { _link: link, tells, hears }
    }

    pub(super) async fn tell(&mut self, signed: &Signed) {
        let (mut message, content) = (Vec::new(), signed.to_bytes());
        varint::put(&mut message, ANNOUNCE);
        varint::put(&mut message, content.len() as u64);
        message.extend(content);
        self.tells.write_all(&message).await.unwrap();
    }

    /// Returns when the other side listens no more.
    pub(super) async fn ends(mut self) {
        let Ok(end) = timeout(PATIENCE, self.tells.read_u8()).await else { panic!("it is listened to still") };
        assert!(end.is_err(), "nothing is answered");
    }

    /// What an edge has announced, as the other side has passed it on, in order.
    pub(super) fn heard(&self, edge: &str) -> Vec<Signed> {
        let is_of = |signed: &&Signed| {
            let peer = Peer::of_certificate(&signed.signature.certificate, "mesh.example");
            peer.is_ok_and(|peer| peer.name() == edge)
        };
        self.hears.borrow().iter().filter(is_of).cloned().collect()
    }
}

async fn hear(mut stream: LinkStream, heard: &RefCell<Vec<Signed>>) -> io::Result<()> {
    let (mut bytes, mut has_begun) = (Vec::new(), false);
    while stream.read_buf(&mut bytes).await? > 0 {
        if !has_begun && let Some((frame, length)) = leg::take(&bytes).map_err(io::Error::other)? {
            assert_eq!(frame, LegFrame::Catalogue);
            bytes.drain(..length);
            has_begun = true;
        }
        while let Some((kind, content, length)) = has_begun.then(|| message(&bytes)).flatten() {
            heard.borrow_mut().extend((kind == ANNOUNCE).then(|| Signed::from_bytes(content)).flatten());
            bytes.drain(..length);
        }
    }
    Ok(())
}

/// The first message: its kind, its content, and the length of all of it.
fn message(bytes: &[u8]) -> Option<(u64, &[u8], usize)> {
    let (kind, rest) = varint::take(bytes)?;
    let (length, rest) = varint::take(rest)?;
    let (content, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((kind, content, bytes.len() - rest.len()))
}
