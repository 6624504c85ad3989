//! What peers tell, and whether it is believed.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use overlay_wire::catalogue::{Merge, Stamp};
use rustls::pki_types::UnixTime;

use super::{Directory, Known};
use crate::catalogue::announcement::Announcement;
use crate::catalogue::message::{ANNOUNCEMENT, CONFIRMATION, Confirmation, Message, Signed};
use crate::link::LinkStream;
use crate::node::Peer;

impl Directory {
    pub(super) async fn receive(&self, peer: &Peer, stream: &mut LinkStream) -> io::Result<()> {
        while let Some(message) = Message::read(stream).await? {
            match self.take_message(peer, message) {
                Ok(true) => self.changed(),
                Ok(false) => {}
                // A hub passes on what others say: not all of it is lost for one of them.
                Err(error) if matches!(peer, Peer::Hub { .. }) => {
                    self.node.refused_announcements();
                    tracing::warn!(peer = peer.name(), "what it passes on is not taken: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether something is known now that was not.
    fn take_message(&self, peer: &Peer, message: Message) -> io::Result<bool> {
        let bytes: Rc<[u8]> = message.to_bytes().into();
        match message {
            Message::Announce(signed) => self.take_announcement(peer, &signed, bytes),
            Message::Confirm(signed) => self.take_confirmation(peer, &signed, bytes),
            Message::Trust(signed) => {
                let identity = self.identity.borrow().clone();
                // What follows from it is done wherever it is used, this directory included.
                identity.trust().take(&signed).map(|_| false).map_err(io::Error::other)
            }
        }
    }

    fn take_announcement(&self, peer: &Peer, signed: &Signed, bytes: Rc<[u8]>) -> io::Result<bool> {
        let (edge, tenant) = self.signer(peer, ANNOUNCEMENT, signed)?;
        let announcement =
            Announcement::parse(&signed.payload).map_err(|error| io::Error::other(format!("of {edge}: {error}")))?;
        let stamp = Stamp { epoch: announcement.epoch, sequence: announcement.sequence };
        let from_hub = matches!(peer, Peer::Hub { .. });
        let size = bytes.len();
        let known =
            Known { tenant, announcement: Arc::new(announcement), message: bytes, confirmation: None, from_hub };
        let merged = self.catalogue.borrow_mut().merge(&edge, stamp, known, size, self.now());
        match merged {
            Merge::New => self.learn_way(&edge, peer),
            Merge::NoRoom => {
                self.node.refused_announcements();
                tracing::warn!(edge, "no room for what it announces");
            }
            Merge::Known | Merge::Old => {}
        }
        Ok(merged == Merge::New)
    }

    /// Whoever tells the newest of an edge is on the way to it.
    fn learn_way(&self, edge: &str, peer: &Peer) {
        if let Peer::Hub { name } = peer {
            self.node.learn_way(edge, name);
        }
    }

    fn take_confirmation(&self, peer: &Peer, signed: &Signed, bytes: Rc<[u8]>) -> io::Result<bool> {
        let (edge, _) = self.signer(peer, CONFIRMATION, signed)?;
        let confirmation: Confirmation = serde_json::from_slice(&signed.payload)?;
        let stamp = Stamp { epoch: confirmation.epoch, sequence: confirmation.sequence };
        let from_hub = matches!(peer, Peer::Hub { .. });
        let is_new = self.confirm(&edge, stamp, (confirmation.beat, bytes), from_hub);
        if is_new {
            self.learn_way(&edge, peer);
        }
        Ok(is_new)
    }

    pub(super) fn confirm(&self, edge: &str, stamp: Stamp, confirmation: (u64, Rc<[u8]>), from_hub: bool) -> bool {
        let mut catalogue = self.catalogue.borrow_mut();
        let is_new = |known: &Known| known.confirmation.as_ref().is_none_or(|(before, _)| confirmation.0 > *before);
        let Some(known) = catalogue.get_mut(edge, stamp).filter(|known| is_new(known)) else { return false };
        known.confirmation = Some(confirmation);
        known.from_hub = from_hub;
        catalogue.confirm(edge, stamp, self.now())
    }

    /// The edge that has signed, and its tenant. An edge tells of nobody but itself.
    fn signer(&self, peer: &Peer, context: &str, signed: &Signed) -> io::Result<(String, String)> {
        let identity = self.identity.borrow().clone();
        let now =
            UnixTime::since_unix_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let signer = identity.verify(context, &signed.payload, &signed.signature, now).map_err(io::Error::other)?;
        let Peer::Edge { name, tenant } = &signer else {
            return Err(io::Error::other(format!("{signer:?} announces nothing")));
        };
        if matches!(peer, Peer::Edge { .. }) && *peer != signer {
            return Err(io::Error::other(format!("it tells of {signer:?}")));
        }
        if let Peer::Edge { tenant: ours, .. } = identity.peer()
            && ours != tenant
        {
            return Err(io::Error::other(format!("{name} is an edge of tenant {tenant}")));
        }
        Ok((name.clone(), tenant.clone()))
    }
}
