//! What comes over a link: legs, which are for this node, for another edge, or for nobody; and announcements.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use overlay_wire::leg::{self, LegFrame, Open, RefuseCode};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::counters::count;
use super::tally::Place;
use super::{Arrival, LinkId, Node, Peer, Role};
use crate::link::{Link, LinkStream, code};
use crate::strangers::quoted;
use crate::stream::{Carry, Opened};

/// A link that streams come over.
struct Source {
    peer: Peer,
    link: LinkId,
    /// It has brought announcements, which it does once.
    has_announced: Cell<bool>,
}

impl Node {
    /// Takes what comes over a link for as long as it lives.
    pub(super) async fn take_streams(self: &Rc<Self>, peer: &Peer, id: LinkId, link: &Link) {
        let source = Rc::new(Source { peer: peer.clone(), link: id, has_announced: Cell::new(false) });
        while let Some(stream) = link.accept().await {
            match self.beginnings_of.take(peer.clone(), self.limits.beginnings_per_peer) {
                Some(place) => {
                    let (node, source) = (self.clone(), source.clone());
                    spawn_local(async move { node.take_stream(&source, place, stream).await });
                }
                None => {
                    count(&self.counters.beginnings_refused);
                    stream.reset(code::OVERLOADED);
                }
            }
        }
    }

    async fn take_stream(self: Rc<Self>, source: &Source, beginning: Place<Peer>, mut stream: LinkStream) {
        let first = timeout(self.limits.begin_within, first_frame(&mut stream)).await;
        drop(beginning);
        match first {
            Ok(Ok(First::Leg(open, rest))) => {
                self.take_leg(source, Opened { open, stream, link: source.link, rest }).await
            }
            Ok(Ok(First::Catalogue)) => self.take_catalogue(source, stream).await,
            Ok(Err(error)) => {
                count(&self.counters.beginnings_failed);
                tracing::debug!(peer = source.peer.name(), "a leg without a proper beginning: {error}");
            }
            Err(_) => {
                count(&self.counters.beginnings_failed);
                tracing::debug!(peer = source.peer.name(), "a leg without a beginning");
            }
        }
    }

    async fn take_catalogue(&self, source: &Source, stream: LinkStream) {
        if source.has_announced.replace(true) {
            count(&self.counters.announcements_refused);
            tracing::debug!(peer = source.peer.name(), "announcements come over a link that has brought some");
            return stream.reset(code::PROTOCOL);
        }
        self.arrive(Arrival::Catalogue(source.peer.clone(), stream)).await;
    }

    async fn take_leg(self: Rc<Self>, source: &Source, opened: Opened) {
        let (peer, open) = (&source.peer, &opened.open);
        if let Peer::Edge { name, tenant } = peer
            && (open.from != *name || open.tenant != *tenant)
        {
            count(&self.counters.legs_forged);
            if let Some(left_out) = self.forgeries.happened() {
                let claim = format!("{} of tenant {}", open.from, open.tenant);
                tracing::warn!(peer = name, left_out, "says it is {}", quoted(&claim));
            }
            let reason = "another edge or tenant than its certificate says";
            return self.refuse(opened.stream, RefuseCode::Forbidden, reason);
        }
        if open.to == self.name {
            self.take_own(opened);
        } else if self.role == Role::Hub {
            let Opened { open, stream, rest, .. } = opened;
            self.relay(peer, open, stream, rest).await;
        } else {
            count(&self.counters.legs_without_link);
            self.refuse(opened.stream, RefuseCode::NoRoute, "not this edge");
        }
    }

    /// A leg of a stream that ends here.
    fn take_own(self: &Rc<Self>, opened: Opened) {
        let open = &opened.open;
        if let Some(shard) = open.to_shard.filter(|shard| *shard != self.shard) {
            count(&self.counters.legs_to_other_worker);
            if self.has_ended(shard) {
                return self.refuse(opened.stream, RefuseCode::UnknownStream, "its process has ended");
            }
            return self.refuse(opened.stream, RefuseCode::NoRoute, "not this shard");
        }
        let known = self.streams.borrow().get(&open.key).map(|known| (known.peer == open.from, known.legs.clone()));
        match known {
            Some((true, legs)) => {
                if let Err(error) = legs.try_send(opened) {
                    let (mpsc::error::TrySendError::Full(opened) | mpsc::error::TrySendError::Closed(opened)) = error;
                    count(&self.counters.legs_not_taken);
                    self.refuse(opened.stream, RefuseCode::Overloaded, "too many legs");
                }
            }
            Some((false, _)) => {
                count(&self.counters.legs_forged);
                self.refuse(opened.stream, RefuseCode::Forbidden, "the stream of another edge");
            }
            None if open.resumes => self.refuse(opened.stream, RefuseCode::UnknownStream, "not known any more"),
            None => self.accept(opened),
        }
    }

    fn accept(self: &Rc<Self>, opened: Opened) {
        if self.accepted.borrow().is_some() {
            count(&self.counters.legs_not_taken);
            return self.refuse(opened.stream, RefuseCode::NoRoute, "nobody takes streams here");
        }
        let Some(place) = self.streams_of.take(opened.open.from.clone(), self.limits.streams_per_edge) else {
            count(&self.counters.streams_refused);
            return self.refuse(opened.stream, RefuseCode::Overloaded, "too many streams of this edge");
        };
        let Ok(permit) = self.incoming.try_reserve() else {
            count(&self.counters.legs_not_taken);
            return self.refuse(opened.stream, RefuseCode::Overloaded, "too many streams wait");
        };
        count(&self.counters.streams_accepted);
        let key = opened.open.key;
        let (legs, kept) = self.know(key, &opened.open.from, Some(place));
        let (stream, carry) = Carry::accept(opened, self.shard, &self.limits, kept, self.links.clone(), legs);
        self.run(key, carry);
        permit.send(stream);
    }

    pub(super) fn refuse(&self, stream: LinkStream, why: RefuseCode, reason: &str) {
        refuse(stream, why, format!("{}: {reason}", self.name));
    }
}

/// Answers the first frame of a leg, on which nothing was sent yet, so that there is room.
pub(crate) fn refuse(stream: LinkStream, why: RefuseCode, reason: String) {
    let mut frame = Vec::new();
    leg::put(&mut frame, &LegFrame::Refuse(why, reason));
    stream.try_write(&frame);
    stream.finish();
}

/// How a stream of a link begins.
enum First {
    /// A leg, and what came behind its first frame.
    Leg(Open, Vec<u8>),
    /// Announcements, of which nothing was taken.
    Catalogue,
}

async fn first_frame(stream: &mut LinkStream) -> io::Result<First> {
    let mut bytes = Vec::new();
    loop {
        match leg::take(&bytes).map_err(io::Error::other)? {
            Some((LegFrame::Open(open), length)) => return Ok(First::Leg(open, bytes.split_off(length))),
            Some((LegFrame::Catalogue, length)) if length == bytes.len() => return Ok(First::Catalogue),
            Some((other, _)) => return Err(io::Error::other(format!("it begins with {other:?}"))),
            None => {}
        }
        // The frame that begins announcements is two bytes long: nothing behind it is taken.
        let most = if bytes.len() < 2 { 2 - bytes.len() } else { 4096 };
        let start = bytes.len();
        bytes.resize(start + most, 0);
        let count = stream.read(&mut bytes[start..]).await?;
        bytes.truncate(start + count);
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
