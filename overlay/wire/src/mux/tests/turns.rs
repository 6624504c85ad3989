//! Which stream sends next, and how much.

use super::*;
use crate::frame;

/// What a wire carries from `side` with the next writes of 32 KiB: which streams, and how many bytes of each.
fn sent(pair: &mut Pair, writes: usize) -> Vec<(StreamId, usize)> {
    let (mut all, mut out) = (Vec::new(), Vec::new());
    for _ in 0..writes {
        out.clear();
        pair.sides[0].fill(&mut out, 32 * 1024);
        let mut rest = &out[..];
        while let Some((frame, length)) = frame::take(rest).unwrap() {
            if let Frame::Stream { id, bytes, .. } = frame {
                all.push((id, bytes.len()));
            }
            rest = &rest[length..];
        }
    }
    all
}

/// Streams that have something to send all the time.
fn busy(pair: &mut Pair, count: usize) -> Vec<StreamId> {
    let ids: Vec<_> = (0..count).map(|_| pair.open()).collect();
    // Until all have had their first turns.
    for _ in 0..2 * count {
        refill(pair, &ids);
        sent(pair, 1);
    }
    refill(pair, &ids);
    ids
}

fn refill(pair: &mut Pair, ids: &[StreamId]) {
    for id in ids {
        // As if the other side had read everything.
        if let Some(stream) = pair.sides[0].streams.get_mut(id) {
            stream.allow_sending(u64::MAX >> 2);
        }
        pair.sides[0].write(*id, &[1; 64 * 1024]);
    }
}

#[test]
fn what_is_little_goes_before_what_is_much() {
    let mut pair = Pair::new(Limits::default());
    let ids = busy(&mut pair, 8);
    let little = pair.open();
    pair.sides[0].write(little, b"question");
    let first = sent(&mut pair, 1);
    assert_eq!(first[0], (little, 8));
    // Then those that have much, each twice as much as a frame holds.
    let counts = ids.iter().map(|id| first.iter().filter(|(sent, _)| sent == id).count());
    assert_eq!(counts.filter(|count| *count == 2).count(), first.len() / 2, "{first:?}");
}

#[test]
fn who_always_sends_little_gets_no_more_than_a_frame_besides_its_share() {
    let mut pair = Pair::new(Limits::default());
    let ids = busy(&mut pair, 4);
    let eager = pair.open();
    let mut counts = HashMap::<StreamId, usize>::new();
    for _ in 0..300 {
        // It has a frame to send whenever there is nothing left of it, and the others have always more.
        pair.sides[0].write(eager, &[2; 16_000]);
        refill(&mut pair, &ids);
        if let Some(stream) = pair.sides[0].streams.get_mut(&eager) {
            stream.allow_sending(u64::MAX >> 2);
        }
        for (id, count) in sent(&mut pair, 1) {
            *counts.entry(id).or_default() += count;
        }
    }
    let [least, most] = [ids.iter().map(|id| counts[id]).min(), ids.iter().map(|id| counts[id]).max()];
    let (least, most) = (least.unwrap_or_default(), most.unwrap_or_default());
    assert!(most < least + least / 10, "{counts:?}");
    assert!(counts[&eager] < most + most / 2, "{counts:?}");
}
