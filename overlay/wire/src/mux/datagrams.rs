//! Datagrams beside the bytes of a stream (RFC 9297): no window holds them up, and the oldest are dropped where there is no room.

use super::{Limits, Mux};
use crate::budget::Budget;
use crate::datagram::Queue;
use crate::frame::{self, Frame, MAX_CONTENT, StreamId};
use crate::varint;

/// Those of one stream.
#[derive(Debug)]
pub(super) struct Datagrams {
    outgoing: Queue,
    /// Without room until somebody wants them.
    incoming: Queue,
}

impl Datagrams {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { outgoing: Queue::new(limits.datagrams), incoming: Queue::default() }
    }

    pub(super) fn charge(&mut self, budget: &Budget) {
        self.outgoing.charge(budget.clone());
        self.incoming.charge(budget.clone());
    }

    pub(super) fn clear(&mut self) {
        self.outgoing.clear();
        self.incoming = Queue::default();
    }

    pub(super) fn has_output(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Appends those that go in a turn of the stream: one, and others as long as all of them have `most` bytes.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, id: StreamId, most: usize) {
        let mut left = Some(most);
        while left.is_some()
            && let Some(packet) = self.outgoing.pop()
        {
            frame::put(out, Frame::Datagram(id, &packet));
            let next = self.outgoing.next_length().unwrap_or_default();
            left = left.and_then(|left| left.checked_sub(packet.len())).filter(|left| *left >= next);
        }
    }
}

impl Mux {
    /// From now on datagrams of a stream are kept until they are [taken](Self::datagram).
    pub fn want_datagrams(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.datagrams.incoming.make_room(self.limits.datagrams);
        }
    }

    /// Queues a datagram beside a stream. The oldest ones are dropped if too many wait, and one that is too large at once; how many were.
    pub fn send_datagram(&mut self, id: StreamId, packet: Vec<u8>) -> u64 {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.released) else { return 1 };
        if varint::length(id.0) + packet.len() > MAX_CONTENT {
            return 1;
        }
        let dropped = stream.datagrams.outgoing.push(packet);
        self.schedule_if_ready(id);
        dropped
    }

    /// The oldest datagram of a stream that was not taken. [`super::Event::Readable`] says when there is one.
    pub fn datagram(&mut self, id: StreamId) -> Option<Vec<u8>> {
        self.streams.get_mut(&id)?.datagrams.incoming.pop()
    }

    /// Datagrams that came and found no room, or nobody who wants them, since this was asked last.
    pub fn take_dropped_datagrams(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_datagrams)
    }

    /// It opens no stream: who sends it has opened one before, and that may be gone.
    pub(super) fn receive_datagram(&mut self, id: StreamId, packet: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else {
            self.dropped_datagrams += 1;
            return;
        };
        self.dropped_datagrams += stream.datagrams.incoming.push(packet.to_vec());
        if !stream.datagrams.incoming.is_empty() {
            self.tell_reader(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Side, Urgency};
    use super::*;

    struct Pair {
        near: Mux,
        far: Mux,
        id: StreamId,
    }

    fn carry(from: &mut Mux, to: &mut Mux) {
        let mut wire = Vec::new();
        from.fill(&mut wire, usize::MAX);
        assert_eq!(to.receive(&wire), Ok(wire.len()));
    }

    impl Pair {
        fn new() -> Self {
            let mut pair = Self {
                near: Mux::new(Side::Dialled, Limits::default(), Vec::new()),
                far: Mux::new(Side::Accepted, Limits::default(), Vec::new()),
                id: StreamId(0),
            };
            pair.settle();
            pair.id = pair.open();
            pair
        }

        /// A stream that the other side knows.
        fn open(&mut self) -> StreamId {
            let Some(id) = self.near.open(Urgency::default()) else { panic!("no stream may be opened") };
            self.near.write(id, b"x");
            self.settle();
            id
        }

        fn settle(&mut self) {
            while self.near.has_output() || self.far.has_output() {
                carry(&mut self.near, &mut self.far);
                carry(&mut self.far, &mut self.near);
            }
        }

        fn taken(&mut self) -> Vec<Vec<u8>> {
            std::iter::from_fn(|| self.far.datagram(self.id)).collect()
        }
    }

    #[test]
    fn datagrams_arrive_beside_the_bytes_of_their_stream_and_the_reader_is_told() {
        let mut pair = Pair::new();
        let id = pair.id;
        pair.far.want_datagrams(id);
        while pair.far.next_event().is_some() {}
        assert_eq!(pair.far.read(id, &mut [0; 10]), super::super::Read::Bytes(1));
        assert_eq!(pair.near.send_datagram(id, b"one".to_vec()) + pair.near.send_datagram(id, b"two".to_vec()), 0);
        pair.settle();
        assert_eq!((pair.far.next_event(), pair.far.next_event()), (Some(Event::Readable(id)), None));
        assert_eq!(pair.taken(), [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(pair.far.unread(id), 0);
    }

    #[test]
    fn the_oldest_are_dropped_on_either_side_and_nobody_else_is_held_up() {
        let mut pair = Pair::new();
        let id = pair.id;
        pair.far.want_datagrams(id);
        let large = vec![0; MAX_CONTENT - 1];
        assert_eq!(pair.near.send_datagram(id, vec![0; MAX_CONTENT]), 1, "with its stream it is too long for a frame");
        let dropped: u64 = (0..20).map(|_| pair.near.send_datagram(id, large.clone())).sum();
        assert_eq!(dropped, 20 - 7, "128 KiB have room for 7 of 16 KiB and a little");
        pair.settle();
        let dropped: u64 = (0..7).map(|_| pair.near.send_datagram(id, large.clone())).sum();
        assert_eq!(dropped, 0);
        pair.settle();
        assert_eq!((pair.far.take_dropped_datagrams(), pair.far.take_dropped_datagrams()), (7, 0));
        assert_eq!(pair.taken().len(), 7);
    }

    #[test]
    fn those_that_nobody_wants_or_whose_stream_is_gone_are_dropped_and_open_nothing() {
        let mut pair = Pair::new();
        let id = pair.id;
        assert_eq!(pair.near.send_datagram(id, b"x".to_vec()), 0);
        pair.settle();
        assert_eq!((pair.taken(), pair.far.take_dropped_datagrams()), (Vec::new(), 1));
        let mut wire = Vec::new();
        frame::put(&mut wire, Frame::Datagram(StreamId(400), b"x"));
        for _ in 0..2 * Limits::default().idle_frames {
            assert_eq!(pair.far.receive(&wire), Ok(wire.len()));
        }
        assert_eq!(pair.far.stream_count(), 1);
        pair.near.release(id, frame::Code(1));
        assert_eq!(pair.near.send_datagram(id, b"x".to_vec()), 1);
    }

    #[test]
    fn a_flood_of_datagrams_leaves_other_streams_their_turns() {
        let mut pair = Pair::new();
        let (flooded, other) = (pair.id, pair.open());
        pair.far.want_datagrams(flooded);
        let mut written = 0;
        for _ in 0..100 {
            for _ in 0..100 {
                pair.near.send_datagram(flooded, vec![0; 1200]);
            }
            written += pair.near.write(other, &[1; 16 * 1024]);
            let mut wire = Vec::new();
            pair.near.fill(&mut wire, 32 * 1024);
            assert_eq!(pair.far.receive(&wire), Ok(wire.len()));
            while let super::super::Read::Bytes(_) = pair.far.read(other, &mut [0; 64 * 1024]) {}
            let mut back = Vec::new();
            pair.far.fill(&mut back, usize::MAX);
            assert_eq!(pair.near.receive(&back), Ok(back.len()));
        }
        assert!(written >= 90 * 16 * 1024, "{written}");
    }

    #[test]
    fn what_waits_counts_towards_the_budget_of_the_stream() {
        let mut pair = Pair::new();
        let id = pair.id;
        let budget = Budget::new(1000);
        assert!(pair.near.charge(id, &budget, frame::Code(2)));
        let dropped: u64 = (0..10).map(|_| pair.near.send_datagram(id, vec![0; 200])).sum();
        assert!(dropped > 5 && budget.used() > 500 && budget.used() <= 1000, "{dropped}, {}", budget.used());
        pair.near.release(id, frame::Code(1));
        assert_eq!(budget.used(), 0);

        let mut pair = Pair::new();
        pair.far.read(id, &mut [0; 10]);
        assert!(pair.far.charge(id, &budget, frame::Code(2)));
        pair.far.want_datagrams(id);
        (0..10).for_each(|_| _ = pair.near.send_datagram(id, vec![0; 200]));
        pair.settle();
        assert!(budget.used() > 500 && budget.used() <= 1000, "{}", budget.used());
        assert_eq!((pair.taken().len(), pair.far.take_dropped_datagrams()), (3, 7));
    }
}
