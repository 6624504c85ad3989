//! The streams of a connection (RFC 9113 5.1).

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use crate::config::Role;
use crate::stream::Stream;

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

/// What a stream number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing yet.
    Idle,
    Live(Key),
    /// We opened it, and are done with it. However many there were: what still arrives may have been under way when we gave it up, and
    /// means nothing.
    Ours,
    /// The peer may not open it any more.
    Closed(Closed),
}

/// What became of a stream of the peer that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// We reset it; frames that were under way then are ignored.
    ResetByUs,
    /// It came to its end, or the peer reset it.
    Ended,
    /// It was skipped, or too many streams have ended since to know what became of it.
    Forgotten,
    /// It never was: the peer used a higher number first.
    Skipped,
}

/// Streams for which a connection without any keeps room.
const KEPT: usize = 8;

/// How many of the streams that ended last are remembered: as many as may be open at once, because all of them may be given up together,
/// but within these bounds.
const REMEMBERED: std::ops::RangeInclusive<usize> = 128..=4096;

/// Marks a stream number, which has 31 bits, of a stream that we reset.
const RESET_BY_US: u32 = 1 << 31;

pub(crate) struct Streams<T> {
    slots: Vec<Option<Stream<T>>>,
    free: Vec<u32>,
    ids: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
    /// A ring of numbers, perhaps marked; it grows up to its size.
    ended: Vec<u32>,
    next_ended: usize,
    most_ended: usize,
    /// The highest number of those that it had no room for any more.
    last_forgotten: u32,
    role: Role,
    /// The highest number that the peer used.
    pub(crate) last_of_peer: u32,
    /// The next number that we use.
    pub(crate) next_own: u32,
}

impl<T> Streams<T> {
    pub(crate) fn new(role: Role, max_concurrent_streams: u32) -> Self {
        Streams {
            slots: Vec::new(),
            free: Vec::new(),
            ids: HashMap::default(),
            ended: Vec::new(),
            next_ended: 0,
            most_ended: (max_concurrent_streams as usize).clamp(*REMEMBERED.start(), *REMEMBERED.end()),
            last_forgotten: 0,
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

    /// The first live stream for which `condition` holds, in a table that is looked at from its entry `from` on, and the entry behind it.
    pub(crate) fn find(&self, from: usize, condition: impl Fn(&Stream<T>) -> bool) -> Option<(Key, usize)> {
        let mut streams = self.slots.iter().enumerate().skip(from);
        streams.find_map(|(slot, place)| {
            let stream = place.as_ref().filter(|stream| condition(stream))?;
            Some((Key { slot: slot as u32, id: stream.id }, slot + 1))
        })
    }

    /// Remembers a stream of the peer that is gone.
    pub(crate) fn remember(&mut self, id: u32, reset_by_us: bool) {
        if !self.is_peers(id) {
            return;
        }
        let marked = if reset_by_us { id | RESET_BY_US } else { id };
        match self.ended.get_mut(self.next_ended) {
            Some(place) => {
                let forgotten = std::mem::replace(place, marked) & !RESET_BY_US;
                self.last_forgotten = self.last_forgotten.max(forgotten);
            }
            None => self.ended.push(marked),
        }
        self.next_ended = (self.next_ended + 1) % self.most_ended;
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
        match idle {
            true => Known::Idle,
            false if self.is_peers(id) => Known::Closed(self.closed(id)),
            false => Known::Ours,
        }
    }

    #[cold]
    fn closed(&self, id: u32) -> Closed {
        match () {
            () if self.ended.contains(&(id | RESET_BY_US)) => Closed::ResetByUs,
            () if self.ended.contains(&id) => Closed::Ended,
            () if id <= self.last_forgotten => Closed::Forgotten,
            () => Closed::Skipped,
        }
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
        let mut streams: Streams<()> = Streams::new(Role::Server, 100);
        streams.last_of_peer = 9;
        streams.remember(3, true);
        streams.remember(5, false);
        let expected = [
            Known::Closed(Closed::Skipped),
            Known::Closed(Closed::ResetByUs),
            Known::Closed(Closed::Ended),
            Known::Closed(Closed::Skipped),
            Known::Idle,
        ];
        assert_eq!([1, 3, 5, 7, 11].map(|id| streams.known(id)), expected);
        assert_eq!([2, 10].map(|id| streams.known(id)), [Known::Idle; 2]);
        let mut streams: Streams<()> = Streams::new(Role::Client, 100);
        streams.next_own = 9;
        streams.remember(5, false);
        let expected = [Known::Idle, Known::Ours, Known::Ours, Known::Idle];
        assert_eq!([2, 5, 7, 9].map(|id| streams.known(id)), expected);
    }

    #[test]
    fn as_many_are_remembered_as_may_be_open_within_bounds() {
        for (allowed, remembered) in [(1, 128), (100, 128), (1_000, 1_000), (u32::MAX, 4_096)] {
            let mut streams: Streams<()> = Streams::new(Role::Server, allowed);
            streams.last_of_peer = 10_003;
            for id in (1..=10_001).step_by(2) {
                streams.remember(id, true);
            }
            let first = 10_003 - 2 * remembered;
            let known: Vec<Known> = (1..=10_003).step_by(2).map(|id| streams.known(id)).collect();
            let (forgotten, known) = known.split_at(first as usize / 2);
            assert!(forgotten.iter().all(|known| *known == Known::Closed(Closed::Forgotten)), "{allowed}");
            let (skipped, known) = known.split_last().unwrap();
            assert!(known.iter().all(|known| *known == Known::Closed(Closed::ResetByUs)), "{allowed}");
            assert_eq!(*skipped, Known::Closed(Closed::Skipped));
        }
    }
}
