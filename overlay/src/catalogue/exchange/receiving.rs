//! What peers tell, and whether it is believed.
//!
//! What costs little comes first: how much the peer tells, then who and when it says that this was, which are in clear text, and only for what would be new the
//! signature.

use std::io;
use std::rc::Rc;
use std::time::SystemTime;

use overlay_wire::catalogue::{Merge, Refusal, Stamp};
use rustls::pki_types::UnixTime;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, Instant, timeout};

use super::pace::Pace;
use super::room::{Passed, patience};
use super::{Directory, Known, Origin};
use crate::catalogue::announcement::Announcement;
use crate::catalogue::message::{ANNOUNCEMENT, CONFIRMATION, Confirmation, Header, Message, Signed};
use crate::folder;
use crate::link::{Link, LinkStream};
use crate::node::{Peer, count};

/// The part of an announcement that says which of two is newer.
#[derive(Deserialize)]
struct Stamped {
    epoch: u64,
    sequence: u64,
}

impl Directory {
    pub(super) async fn receive(&self, peer: &Peer, stream: &mut LinkStream) -> io::Result<()> {
        let pace = self.paces.of(peer);
        while let Some(header) = Header::read(stream).await? {
            if pace.wait(header.length).await {
                count(&self.node.counters().announcements_delayed);
            }
            let _begun = pace.begin(header.length).await;
            let room = self.wait_for_tenant(peer, &pace, header).await;
            let read = timeout(patience(header.length), header.message(stream)).await;
            let Some(message) = read.map_err(|_| io::ErrorKind::TimedOut)?? else { continue };
            match self.take_message(peer, stream.link(), &message, room) {
                Ok(()) => {}
                // A hub passes on what others say: not all of it is lost for one of them.
                Err(error) if matches!(peer, Peer::Hub { .. }) => {
                    count(&self.node.counters().announcements_refused);
                    self.log_refusal(peer, "what it passes on is not taken", &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until a message of an edge may be read, as its tenant is. What a hub passes on has waited there.
    async fn wait_for_tenant(&self, peer: &Peer, pace: &Pace, header: Header) -> Option<OwnedSemaphorePermit> {
        let Peer::Edge { tenant, .. } = peer else { return None };
        let begun = Instant::now();
        self.turns.of(tenant).wait(pace, header).await;
        let room = self.rooms.take(tenant, header.length).await;
        if begun.elapsed() > Duration::ZERO {
            count(&self.node.counters().tenant_delayed);
        }
        room
    }

    fn take_message(
        &self,
        peer: &Peer,
        link: &Link,
        message: &Message,
        room: Option<OwnedSemaphorePermit>,
    ) -> io::Result<()> {
        match message {
            Message::Announce(signed) => self.take_announcement(peer, signed, Passed::new(message.to_bytes(), room)),
            Message::Confirm(signed) => self.take_confirmation(peer, link, signed, message),
            Message::Trust(signed) => {
                let identity = self.identity.borrow().clone();
                // What follows from it is done wherever it is used, this directory included.
                identity.trust().take(signed).map(|_| ()).map_err(io::Error::other)
            }
        }
    }

    fn take_announcement(&self, peer: &Peer, signed: &Signed, message: Passed) -> io::Result<()> {
        let origin = self.origin(peer, signed)?;
        let Stamped { epoch, sequence } = serde_json::from_slice(&signed.payload)?;
        if !self.catalogue.borrow().is_new(&origin.edge, Stamp { epoch, sequence }) {
            count(&self.node.counters().announcements_known);
            return Ok(());
        }
        let stamp = Stamp { epoch, sequence };
        let refuse = |refusal| {
            self.catalogue.borrow_mut().refuse(&origin.edge, &origin.tenant, stamp, refusal, self.now());
        };
        let believed = self.verify(ANNOUNCEMENT, signed).and_then(|()| check_epoch(&origin.edge, epoch));
        // An edge tells its own with its next link again; only for what a hub tells it is noted, or else an edge could have hubs ask each other.
        believed.inspect_err(|_| {
            if matches!(peer, Peer::Hub { .. }) {
                refuse(Refusal::ForNow)
            }
        })?;
        if self.is_of_another(&origin.edge, stamp) {
            return Ok(());
        }
        let announcement = Announcement::parse(&signed.payload)
            .inspect_err(|_| refuse(Refusal::ForGood))
            .map_err(|error| io::Error::other(format!("of {}: {error}", origin.edge)))?;
        // Once read it takes many times what counts, and a hub tells nobody what it has read.
        let is_hub = matches!(self.identity.borrow().peer(), Peer::Hub { .. });
        let announcement = if is_hub { announcement.hosts_only() } else { announcement };
        let from_hub = matches!(peer, Peer::Hub { .. });
        if self.merge(&origin, announcement, message, from_hub) == Merge::New {
            self.learn_way(&origin, peer);
        }
        Ok(())
    }

    /// Whoever tells the newest of an edge is on the way to it.
    fn learn_way(&self, Origin { edge, tenant }: &Origin, peer: &Peer) {
        if let Peer::Hub { name } = peer {
            self.node.learn_way(edge, tenant, name);
        }
    }

    fn take_confirmation(&self, peer: &Peer, link: &Link, signed: &Signed, message: &Message) -> io::Result<()> {
        let origin = self.origin(peer, signed)?;
        let confirmation: Confirmation = serde_json::from_slice(&signed.payload)?;
        if self.is_later_than_own(&origin.edge, confirmation.stamp()) {
            self.verify(CONFIRMATION, signed)?;
            check_epoch(&origin.edge, confirmation.epoch)?;
            self.is_of_another(&origin.edge, confirmation.stamp());
            return Ok(());
        }
        let is_confirmed = self.is_confirmed_by(&origin.edge, &confirmation);
        let is_missing = self.may_ask(peer) && self.is_missing(&origin, confirmation.stamp());
        if !is_confirmed && !is_missing {
            count(&self.node.counters().announcements_known);
            return Ok(());
        }
        self.verify(CONFIRMATION, signed)?;
        check_epoch(&origin.edge, confirmation.epoch)?;
        if is_confirmed {
            let message = Passed::new(message.to_bytes(), None);
            self.confirm(&origin, &confirmation, message, matches!(peer, Peer::Hub { .. }));
            self.learn_way(&origin, peer);
        }
        if is_missing {
            self.ask_again(peer, link, &origin.edge);
        }
        Ok(())
    }

    /// Whether it is of what is kept or of something newer, and later than the last one.
    fn is_confirmed_by(&self, edge: &str, confirmation: &Confirmation) -> bool {
        let said = (confirmation.stamp(), confirmation.beat);
        let is_later =
            |known: &Known| known.confirmation.as_ref().is_none_or(|(stamp, beat, _)| said > (*stamp, *beat));
        self.catalogue.borrow().kept(edge).is_some_and(|(stamp, known)| stamp <= said.0 && is_later(known))
    }

    /// Whether what it confirms is to be told again. Of this edge itself nobody needs to tell.
    fn is_missing(&self, Origin { edge, tenant }: &Origin, confirmed: Stamp) -> bool {
        edge != self.node.name() && self.catalogue.borrow_mut().is_missing(edge, tenant, confirmed, self.now())
    }

    pub(super) fn confirm(&self, origin: &Origin, confirmation: &Confirmation, message: Passed, from_hub: bool) {
        let stamp = confirmation.stamp();
        let confirmed = self.catalogue.borrow_mut().confirm(&origin.edge, stamp, self.now(), |known| {
            known.confirmation = Some((stamp, confirmation.beat, Rc::new(message)));
            known.from_hub = from_hub;
        });
        if confirmed == Merge::New {
            tracing::info!(edge = origin.edge, "is heard of again");
            self.changed();
        }
        if confirmed != Merge::Old {
            self.notices.tell(&origin.tenant);
        }
    }

    /// The edge that is said to have signed, if this peer may tell of it: an edge tells of nobody but itself.
    fn origin(&self, peer: &Peer, signed: &Signed) -> io::Result<Origin> {
        let identity = self.identity.borrow().clone();
        let signer =
            Peer::of_certificate(&signed.signature.certificate, identity.overlay()).map_err(io::Error::other)?;
        if matches!(peer, Peer::Edge { .. }) && *peer != signer {
            return Err(io::Error::other(format!("it tells of {signer}")));
        }
        let Peer::Edge { name, tenant } = signer else {
            return Err(io::Error::other(format!("{signer} announces nothing")));
        };
        if let Peer::Edge { tenant: ours, .. } = identity.peer()
            && *ours != tenant
        {
            return Err(io::Error::other(format!("{name} is an edge of tenant {tenant}")));
        }
        Ok(Origin { edge: name, tenant })
    }

    /// Whether the owner of the certificate has signed, and is let in.
    fn verify(&self, context: &str, signed: &Signed) -> io::Result<()> {
        let identity = self.identity.borrow().clone();
        let now =
            UnixTime::since_unix_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let verified = identity.verify(context, &signed.payload, &signed.signature, now);
        verified.map(|_| ()).map_err(io::Error::other)
    }
}

fn check_epoch(edge: &str, epoch: u64) -> io::Result<()> {
    if epoch > folder::most_believed() {
        return Err(io::Error::other(format!("of {edge}: its epoch {epoch} is more than a year ahead of the clock")));
    }
    Ok(())
}
