mod bounds;
mod turns;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::frame::Frame;

const WHY: Code = Code(7);

/// Two sides, with bytes under way between them.
struct Pair {
    sides: [Mux; 2],
    wires: [Vec<u8>; 2],
}

impl Pair {
    fn new(limits: Limits) -> Self {
        let sides = [Side::Dialled, Side::Accepted].map(|side| Mux::new(side, limits, b"hello".to_vec()));
        let mut pair = Self { sides, wires: [Vec::new(), Vec::new()] };
        pair.settle();
        for side in 0..2 {
            assert_eq!(pair.event(side), Some(Event::Hello(b"hello".to_vec())));
            assert_eq!(pair.event(side), Some(Event::MayOpen));
        }
        pair
    }

    fn event(&mut self, side: usize) -> Option<Event> {
        self.sides[side].next_event()
    }

    /// Moves bytes from one side to the other, `count` at most.
    fn carry(&mut self, from: usize, count: usize) {
        let wire = &mut self.wires[from];
        self.sides[from].fill(wire, count.max(1));
        let carried = wire.len().min(count);
        let taken = self.sides[1 - from].receive(&wire[..carried]).unwrap();
        wire.drain(..taken);
    }

    fn settle(&mut self) {
        while self.sides.iter().any(Mux::has_output) {
            self.carry(0, usize::MAX);
            self.carry(1, usize::MAX);
        }
    }

    fn open(&mut self) -> StreamId {
        self.sides[0].open(Urgency::default()).unwrap()
    }

    fn read(&mut self, side: usize, id: StreamId, most: usize) -> (Vec<u8>, Read) {
        let (mut bytes, mut piece) = (Vec::new(), vec![0; 1000]);
        loop {
            let room = piece.len().min(most - bytes.len());
            match self.sides[side].read(id, &mut piece[..room]) {
                Read::Bytes(0) => return (bytes, Read::Bytes(0)),
                Read::Bytes(count) => bytes.extend_from_slice(&piece[..count]),
                other => return (bytes, other),
            }
        }
    }
}

#[test]
fn both_sides_open_streams_send_and_end() {
    let mut pair = Pair::new(Limits::default());
    let ids = [0, 1].map(|side| pair.sides[side].open(Urgency::default()).unwrap());
    for (side, id) in ids.into_iter().enumerate() {
        assert_eq!(pair.sides[side].write(id, b"question"), 8);
        pair.sides[side].finish(id);
    }
    pair.settle();
    for (side, id) in ids.into_iter().enumerate() {
        let other = 1 - side;
        assert_eq!(pair.event(other), Some(Event::Opened(id)));
        assert_eq!(pair.event(other), Some(Event::Readable(id)));
        assert_eq!(pair.read(other, id, 100), (b"question".to_vec(), Read::End));
        pair.sides[other].write(id, b"answer");
        pair.sides[other].finish(id);
        pair.settle();
        assert_eq!(pair.read(side, id, 100), (b"answer".to_vec(), Read::End));
        pair.sides.iter_mut().for_each(|side| side.release(id, WHY));
    }
    pair.settle();
    assert_eq!(pair.sides.map(|side| side.stream_count()), [0, 0]);
}

#[test]
fn a_slow_reader_holds_up_its_own_stream_only_and_its_bytes_are_bounded() {
    let mut pair = Pair::new(Limits::default());
    let (slow, other) = (pair.open(), pair.open());
    let mut written = 0;
    for _ in 0..100 {
        written += pair.sides[0].write(slow, &[1; 10_000]);
        pair.settle();
    }
    assert_eq!(pair.sides[1].unread(slow), 64 * 1024);
    assert!(written <= 128 * 1024, "{written}");
    for _ in 0..100 {
        assert_eq!(pair.sides[0].write(other, &[2; 10_000]), 10_000);
        pair.settle();
        assert_eq!(pair.read(1, other, 10_000).0.len(), 10_000);
    }
}

#[test]
fn the_window_of_a_reader_that_keeps_up_grows_within_the_budget() {
    let limits = Limits { stream_window: 512 * 1024, extra_windows: 600 * 1024, unsent: 4 << 20, ..Limits::default() };
    let mut pair = Pair::new(limits);
    let ids = [pair.open(), pair.open()];
    for id in ids {
        for _ in 0..6 {
            pair.sides[0].write(id, &vec![3; 2 << 20]);
            pair.settle();
            pair.read(1, id, usize::MAX);
        }
        pair.sides[0].write(id, &vec![3; 2 << 20]);
    }
    pair.settle();
    let windows = ids.map(|id| pair.sides[1].streams[&id].receiving.window);
    assert_eq!(windows, [512 * 1024, (64 + 600 - 448) * 1024]);
    for (id, window) in ids.into_iter().zip(windows) {
        let unread = pair.sides[1].unread(id) as u64;
        assert!((window / 2..=window).contains(&unread), "{unread} of {window}");
    }
    ids.into_iter().for_each(|id| pair.sides[1].release(id, WHY));
    pair.settle();
    ids.into_iter().for_each(|id| pair.sides[0].release(id, WHY));
    pair.settle();
    assert_eq!((pair.sides[1].stream_count(), pair.sides[1].extra_windows), (0, 0));
}

#[test]
fn streams_are_opened_within_what_is_allowed_and_those_that_end_make_room() {
    let mut pair = Pair::new(Limits { streams: 4, ..Limits::default() });
    for _ in 0..20 {
        let ids: Vec<_> = std::iter::from_fn(|| pair.sides[0].open(Urgency::default())).collect();
        assert!((2..=4).contains(&ids.len()), "{}", ids.len());
        for id in ids {
            pair.sides[0].finish(id);
            pair.settle();
            pair.sides.iter_mut().for_each(|side| side.release(id, WHY));
            pair.settle();
        }
    }
    assert_eq!(pair.sides.map(|side| side.stream_count()), [0, 0]);
}

#[test]
fn what_others_leave_free_can_be_opened_however_long_some_stay() {
    let mut pair = Pair::new(Limits { streams: 64, ..Limits::default() });
    let staying: Vec<_> = (0..33).map(|_| pair.open()).collect();
    staying.iter().for_each(|id| pair.sides[0].finish(*id));
    pair.settle();
    for _ in 0..20 {
        let mut ids = Vec::new();
        while let Some(id) = pair.sides[0].open(Urgency::default()) {
            pair.sides[0].finish(id);
            pair.settle();
            ids.push(id);
        }
        assert_eq!(ids.len(), 64 - staying.len());
        for id in ids {
            pair.sides.iter_mut().for_each(|side| side.release(id, WHY));
            pair.settle();
        }
    }
}

#[test]
fn who_never_ends_streams_of_the_other_side_gets_no_more_of_them() {
    let mut near = Mux::new(Side::Dialled, Limits { streams: 8, ..Limits::default() }, Vec::new());
    let tell = |near: &mut Mux, frame| {
        let mut bytes = Vec::new();
        crate::frame::put(&mut bytes, frame);
        near.receive(&bytes).unwrap();
    };
    tell(&mut near, Frame::Hello(b""));
    tell(&mut near, Frame::MaxStreams(1 << 40));
    let ids: Vec<_> = std::iter::from_fn(|| near.open(Urgency::default())).take(100).collect();
    ids.iter().for_each(|id| near.release(*id, WHY));
    near.fill(&mut Vec::new(), usize::MAX);
    assert_eq!((ids.len(), near.stream_count(), near.is_full()), (8, 8, true));
    while near.next_event().is_some() {}
    tell(&mut near, Frame::Stream { id: ids[3], bytes: b"", fin: true });
    assert_eq!((near.next_event(), near.is_full()), (Some(Event::MayOpen), false));
    assert!(near.open(Urgency::default()).is_some() && near.open(Urgency::default()).is_none());
}

#[test]
fn questions_and_answers_alone_end_no_link() {
    let mut pair = Pair::new(Limits::default());
    for number in 0..5_000 {
        pair.sides.iter_mut().for_each(|side| side.ping(number));
        pair.settle();
        for side in 0..2 {
            assert_eq!(pair.event(side), Some(Event::Pong(number)));
        }
    }
}

#[test]
fn a_reset_throws_away_what_was_not_read_and_a_stop_is_answered_with_one() {
    let mut pair = Pair::new(Limits::default());
    let (reset, stopped) = (pair.open(), pair.open());
    for id in [reset, stopped] {
        pair.sides[0].write(id, b"some");
    }
    pair.settle();
    pair.sides[0].reset(reset, WHY);
    pair.sides[1].stop(stopped, WHY);
    pair.settle();
    assert_eq!(pair.read(1, reset, 100), (Vec::new(), Read::Reset(WHY)));
    assert_eq!(pair.event(0), Some(Event::Stopped(stopped, WHY)));
    assert_eq!(pair.sides[0].write(stopped, b"more"), 0);
}

#[test]
fn who_breaks_the_rules_is_told_which() {
    let stream = |id, bytes| Frame::Stream { id: StreamId(id), bytes, fin: false };
    let too_much = vec![0; 16_000];
    let cases: [(&[Frame<'_>], MuxError); 7] = [
        (&[Frame::Hello(b"")], MuxError::SecondHello),
        (&[stream(1, b"x")], MuxError::NeverOpened(StreamId(1))),
        (&[stream(2048, b"x")], MuxError::TooManyStreams(StreamId(2048))),
        (&[stream(0, &too_much); 5], MuxError::FlowControl(StreamId(0))),
        (&[Frame::Stream { id: StreamId(0), bytes: b"", fin: true }, stream(0, b"x")], MuxError::AfterEnd(StreamId(0))),
        (&[Frame::Unknown(0x77); 2000], MuxError::IdleFrames),
        (&[stream(0, b""); 2000], MuxError::IdleFrames),
    ];
    for (frames, error) in cases {
        let mut accepted = Pair::new(Limits::default()).sides.into_iter().nth(1).unwrap();
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| crate::frame::put(&mut bytes, *frame));
        assert_eq!(accepted.receive(&bytes), Err(error));
    }
    let mut fresh = Mux::new(Side::Accepted, Limits::default(), Vec::new());
    let mut bytes = Vec::new();
    crate::frame::put(&mut bytes, Frame::Ping(1));
    assert_eq!(fresh.receive(&bytes), Err(MuxError::NoHello));
}

#[test]
fn only_the_last_frame_is_sent_by_who_closes() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    pair.sides[0].write(id, b"never sent");
    pair.sides[0].close(WHY, "enough");
    pair.settle();
    assert_eq!(pair.event(1), Some(Event::Closed(WHY, "enough".into())));
    assert_eq!(pair.event(1), None);
    let mut pair = Pair::new(Limits::default());
    pair.sides[0].close(WHY, &"a\n".repeat(128));
    pair.settle();
    assert_eq!(pair.event(1), Some(Event::Closed(WHY, "a?".repeat(100))));
}

/// Random sizes, order, ends and speeds: all that is written arrives, in order.
#[test]
fn whatever_the_order_all_that_is_written_is_read() {
    for seed in 0..200 {
        let mut random = SmallRng::seed_from_u64(seed);
        let limits = Limits {
            streams: random.random_range(1..20),
            unsent: random.random_range(1..100_000),
            ..Limits::default()
        };
        let mut pair = Pair::new(limits);
        let mut open: Vec<(StreamId, usize, u64, u64)> = Vec::new(); // and its writer, what was written and what was read
        for _ in 0..2000 {
            match random.random_range(0..6) {
                0 => {
                    let writer = random.random_range(0..2);
                    if let Some(id) = pair.sides[writer].open(Urgency::new(random.random_range(0..8))) {
                        open.push((id, writer, 0, 0));
                    }
                }
                1 | 2 if !open.is_empty() => {
                    let at = random.random_range(0..open.len());
                    let (id, writer, written, _) = &mut open[at];
                    let piece: Vec<u8> =
                        (*written..*written + random.random_range(0..40_000)).map(|at| at as u8).collect();
                    *written += pair.sides[*writer].write(*id, &piece) as u64;
                }
                3 if !open.is_empty() => {
                    let at = random.random_range(0..open.len());
                    read_some(&mut pair, &mut open[at], random.random_range(0..100_000));
                }
                4 if !open.is_empty() && random.random_bool(0.2) => {
                    let mut ending = open.swap_remove(random.random_range(0..open.len()));
                    pair.sides[ending.1].finish(ending.0);
                    finish(&mut pair, &mut ending, seed);
                }
                _ => pair.carry(random.random_range(0..2), random.random_range(0..50_000)),
            }
        }
        for mut ending in open {
            pair.sides[ending.1].finish(ending.0);
            finish(&mut pair, &mut ending, seed);
        }
        pair.settle();
        assert_eq!(pair.sides.map(|side| side.stream_count()), [0, 0], "seed {seed}");
    }
}

fn read_some(pair: &mut Pair, stream: &mut (StreamId, usize, u64, u64), most: usize) -> Read {
    let (id, writer, _, have) = stream;
    if pair.sides[1 - *writer].unread(*id) == 0 && pair.sides[1 - *writer].peer_opened <= id.0 >> 1 {
        return Read::Nothing; // not heard of yet
    }
    let (bytes, end) = pair.read(1 - *writer, *id, most);
    for byte in bytes {
        assert_eq!(byte, *have as u8);
        *have += 1;
    }
    end
}

fn finish(pair: &mut Pair, stream: &mut (StreamId, usize, u64, u64), seed: u64) {
    for _ in 0..10_000 {
        pair.settle();
        if read_some(pair, stream, usize::MAX) == Read::End {
            assert_eq!(stream.2, stream.3, "seed {seed}");
            pair.sides.iter_mut().for_each(|side| side.release(stream.0, WHY));
            pair.settle();
            return;
        }
    }
    panic!("seed {seed}: stream {:?} never ended", stream.0);
}
