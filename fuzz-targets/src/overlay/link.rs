//! A link: whatever comes, in whatever pieces, is the same, keeps to what was allowed, and is answered by whole frames.
//!
//! The first byte of an input is the size of the pieces.

use overlay_wire::frame;
use overlay_wire::hello::Hello;
use overlay_wire::mux::{Event, Limits, Mux, MuxError, Side};

use crate::pieces;

/// What a stream may have unread that nobody reads.
const WINDOW: usize = 64 * 1024;

/// Takes what a node sends that has dialled.
pub fn run(input: &[u8]) -> bool {
    let [piece, stream @ ..] = input else { return false };
    let (events, failed) = receive(stream, 0, false);
    let in_pieces = receive(stream, *piece, false);
    // Whether a datagram finds somebody who wants it is a matter of pieces.
    receive(stream, *piece, true);
    assert_eq!((&events, failed), (&in_pieces.0, in_pieces.1), "in pieces of {piece}");
    events.iter().any(|event| match event {
        Event::Hello(content) => Hello::parse(content).is_ok_and(|hello| Hello::parse(&hello.to_bytes()) == Ok(hello)),
        _ => false,
    })
}

fn receive(stream: &[u8], piece: u8, wants_datagrams: bool) -> (Vec<Event>, Option<MuxError>) {
    let mut mux = Mux::new(Side::Accepted, Limits::default(), Hello { shard: 1 }.to_bytes());
    let (mut events, mut at, mut failed) = (Vec::new(), 0, None);
    for end in pieces::ends(stream.len(), piece) {
        match mux.receive(&stream[at..end]) {
            Ok(taken) => at += taken,
            Err(error) => failed = Some(error),
        }
        let first_new = events.len();
        events.extend(std::iter::from_fn(|| mux.next_event()));
        for event in &events[first_new..] {
            if let Event::Opened(id) = event
                && wants_datagrams
            {
                mux.want_datagrams(*id);
            }
        }
        if failed.is_some() {
            break;
        }
    }
    assert!(mux.stream_count() as u64 <= Limits::default().streams, "{} streams", mux.stream_count());
    for event in &events {
        if let Event::Opened(id) = event {
            assert!(mux.unread(*id) <= WINDOW, "{} bytes of {id:?}", mux.unread(*id));
            let datagrams: usize = std::iter::from_fn(|| mux.datagram(*id)).map(|datagram| datagram.len()).sum();
            assert!(datagrams <= Limits::default().datagrams, "{datagrams} bytes in datagrams of {id:?}");
        }
    }
    assert_whole_frames(&mut mux);
    (events, failed)
}

fn assert_whole_frames(mux: &mut Mux) {
    let mut output = Vec::new();
    while mux.has_output() {
        mux.fill(&mut output, 16 * 1024);
    }
    let mut rest = output.as_slice();
    while !rest.is_empty() {
        let taken = frame::take(rest).expect("a frame of our own");
        let (_, length) = taken.expect("a whole frame");
        rest = &rest[length..];
    }
}
