//! The streams of a connection (RFC 9113 5.1).

use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use h1::Method;
use hashbrown::HashMap;

use crate::config::Role;
use crate::window::ReceiveWindow;

/// Names a stream to its connection. Once the stream was released it means nothing, and never another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    slot: u32,
    id: u32,
}

impl Key {
    /// The number of the stream on the wire.
    pub fn stream_id(self) -> u32 {
        self.id
    }
}

/// How far one direction of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The final head is still to come.
    Head,
    /// Content or trailers may come.
    Content,
    /// END_STREAM was there.
    Ended,
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Us,
    Peer,
}

/// One stream that its user did not release yet.
#[derive(Debug)]
pub(crate) struct Stream<T> {
    pub(crate) id: u32,
    pub(crate) value: Option<T>,
    pub(crate) receiving: Progress,
    pub(crate) sending: Progress,
    /// Who reset it, if anybody: nothing is sent any more, and what still arrives is ignored.
    pub(crate) reset: Option<Side>,
    /// Bytes that we may send; below zero after the peer made its windows smaller.
    pub(crate) send_window: i64,
    pub(crate) receive_window: ReceiveWindow,
    /// Bytes of content that the user was handed and is not done with.
    pub(crate) held: usize,
    /// Bytes of content that must still arrive, where content-length said so.
    pub(crate) content_left: Option<u64>,
    /// When its request arrived. Server only.
    pub(crate) since: Option<Instant>,
    /// Of the request.
    pub(crate) method: Method,
    /// What extended CONNECT asked for.
    pub(crate) protocol: Option<Box<[u8]>>,
}

impl<T> Stream<T> {
    #[inline]
    pub(crate) fn may_send_content(&self) -> bool {
        self.reset.is_none() && self.sending == Progress::Content
    }

    /// Both messages came to their end.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.receiving == Progress::Ended && self.sending == Progress::Ended
    }
}

/// What a stream number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing yet.
    Idle,
    Live(Key),
    /// It is over; frames that were under way when we reset it are ignored.
    Closed {
        reset_by_us: bool,
        /// It is one of the last that ended here. Otherwise it may also have been skipped.
        remembered: bool,
    },
}

/// Streams for which a connection without any keeps room.
const KEPT: usize = 8;

/// How many of the streams that ended last are remembered.
const REMEMBERED: usize = 128;

/// Marks a stream number, which has 31 bits, of a stream that we reset.
const RESET_BY_US: u32 = 1 << 31;

pub(crate) struct Streams<T> {
    slots: Vec<Option<Stream<T>>>,
    free: Vec<u32>,
    ids: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
    /// A ring of numbers, perhaps marked; it grows up to its size.
    ended: Vec<u32>,
    next_ended: usize,
    role: Role,
    /// The highest number that the peer used.
    pub(crate) last_of_peer: u32,
    /// The next number that we use.
    pub(crate) next_own: u32,
}

impl<T> Streams<T> {
    pub(crate) fn new(role: Role) -> Self {
        Streams {
            slots: Vec::new(),
            free: Vec::new(),
            ids: HashMap::default(),
            ended: Vec::new(),
            next_ended: 0,
            role,
            last_of_peer: 0,
            next_own: 1,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn insert(&mut self, stream: Stream<T>) -> Key {
        let id = stream.id;
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    *place = Some(stream);
                }
                slot
            }
            None => {
                self.slots.push(Some(stream));
                // There are at most 2^31 numbers.
                (self.slots.len() - 1) as u32
            }
        };
        self.ids.insert(id, slot);
        Key { slot, id }
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&Stream<T>> {
        self.slots.get(key.slot as usize)?.as_ref().filter(|stream| stream.id == key.id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Stream<T>> {
        self.slots.get_mut(key.slot as usize)?.as_mut().filter(|stream| stream.id == key.id)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Stream<T>> {
        let place = self.slots.get_mut(key.slot as usize)?;
        let stream = place.take_if(|stream| stream.id == key.id)?;
        self.free.push(key.slot);
        self.ids.remove(&key.id);
        Some(stream)
    }

    /// Gives back the room of many streams when there is none.
    pub(crate) fn shrink(&mut self) {
        if self.ids.is_empty() && self.slots.len() > KEPT {
            self.slots.clear();
            self.slots.shrink_to(KEPT);
            self.free.clear();
            self.free.shrink_to(KEPT);
            self.ids.shrink_to(KEPT);
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<T>> {
        self.slots.iter_mut().flatten()
    }

    /// What users keep, with the keys of the streams.
    pub(crate) fn values(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, place)| {
            let stream = place.as_mut()?;
            Some((Key { slot: slot as u32, id: stream.id }, stream.value.as_mut()?))
        })
    }

    /// The first live stream for which `condition` holds.
    pub(crate) fn find(&self, condition: impl Fn(&Stream<T>) -> bool) -> Option<Key> {
        let mut streams = self.slots.iter().enumerate();
        streams.find_map(|(slot, place)| {
            let stream = place.as_ref().filter(|stream| condition(stream))?;
            Some(Key { slot: slot as u32, id: stream.id })
        })
    }

    /// Remembers a stream that is gone.
    pub(crate) fn remember(&mut self, id: u32, reset_by_us: bool) {
        let marked = if reset_by_us { id | RESET_BY_US } else { id };
        match self.ended.get_mut(self.next_ended) {
            Some(place) => *place = marked,
            None => self.ended.push(marked),
        }
        self.next_ended = (self.next_ended + 1) % REMEMBERED;
    }

    /// What a number (not 0) means.
    #[inline]
    pub(crate) fn known(&self, id: u32) -> Known {
        if let Some(slot) = self.ids.get(&id) {
            return Known::Live(Key { slot: *slot, id });
        }
        let idle = match (self.is_peers(id), self.role) {
            (true, _) => id > self.last_of_peer,
            (false, Role::Client) => id >= self.next_own,
            (false, Role::Server) => true,
        };
        if idle { Known::Idle } else { self.closed(id) }
    }

    #[cold]
    fn closed(&self, id: u32) -> Known {
        let reset_by_us = self.ended.contains(&(id | RESET_BY_US));
        Known::Closed { reset_by_us, remembered: reset_by_us || self.ended.contains(&id) }
    }

    /// Whether the peer is the one to open streams with this number.
    #[inline]
    pub(crate) fn is_peers(&self, id: u32) -> bool {
        (id % 2 == 1) == (self.role == Role::Server)
    }
}

/// Stream numbers are small and consecutive: spreading them is enough.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mean_what_was_done_with_them() {
        let closed = |reset_by_us, remembered| Known::Closed { reset_by_us, remembered };
        let mut streams: Streams<()> = Streams::new(Role::Server);
        streams.last_of_peer = 9;
        streams.remember(3, true);
        streams.remember(5, false);
        let expected =
            [closed(false, false), closed(true, true), closed(false, true), closed(false, false), Known::Idle];
        assert_eq!([1, 3, 5, 7, 11].map(|id| streams.known(id)), expected);
        assert_eq!([2, 10].map(|id| streams.known(id)), [Known::Idle; 2]);
        let mut streams: Streams<()> = Streams::new(Role::Client);
        streams.next_own = 9;
        assert_eq!([2, 7, 9].map(|id| streams.known(id)), [Known::Idle, closed(false, false), Known::Idle]);
    }

    #[test]
    fn only_the_last_ones_are_remembered() {
        let mut streams: Streams<()> = Streams::new(Role::Server);
        streams.last_of_peer = 10_001;
        for id in (1..=10_001).step_by(2) {
            streams.remember(id, true);
        }
        let remembered = (1..=10_001)
            .step_by(2)
            .filter(|id| streams.known(*id) == Known::Closed { reset_by_us: true, remembered: true });
        assert_eq!(
            remembered.collect::<Vec<u32>>(),
            (10_003 - 2 * REMEMBERED as u32..=10_001).step_by(2).collect::<Vec<u32>>()
        );
    }
}
