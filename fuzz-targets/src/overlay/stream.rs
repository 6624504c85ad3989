//! A stream between edges: whatever a leg brings, in whatever pieces, is the same, and is what a naive reader makes of the same frames.
//!
//! The first byte of an input is the size of the pieces; then come the frames of one leg, the first of which opens the stream.

use std::time::Duration;

use overlay_wire::leg::{self, LegFrame};
use overlay_wire::stream::{Leg, LegError, Limits, Read, Stream};

use crate::pieces;

const LEG: Leg = Leg(0);
const NOW: Duration = Duration::ZERO;
/// So little that inputs get to the bound.
const WINDOW: u64 = 100;

/// Takes a leg that another edge has opened.
pub fn run(input: &[u8]) -> bool {
    let [piece, bytes @ ..] = input else { return false };
    let Ok(Some((LegFrame::Open(open), length))) = leg::take(bytes) else { return false };
    let limits = Limits { window: WINDOW, ..Limits::default() };
    let accept = || Stream::accept(&open, 1, LEG, limits);
    let rest = &bytes[length..];
    let (received, failed) = receive(accept(), rest, 0);
    let in_pieces = receive(accept(), rest, *piece);
    assert_eq!((&received, &failed), (&in_pieces.0, &in_pieces.1), "in pieces of {piece}");
    assert_eq!(received, naive(rest), "{:?}", rest.escape_ascii().to_string());
    assert!(received.len() as u64 <= WINDOW, "{} bytes", received.len());
    !received.is_empty()
}

fn receive(mut stream: Stream, bytes: &[u8], piece: u8) -> (Vec<u8>, Option<LegError>) {
    let mut answer = Vec::new();
    stream.fill(LEG, &mut answer, 1000, NOW);
    let (mut at, mut failed) = (0, None);
    for end in pieces::ends(bytes.len(), piece) {
        if let Err(error) = stream.receive(LEG, &bytes[at..end], NOW) {
            failed = Some(error);
            break;
        }
        at = end;
    }
    let mut received = vec![0; 2 * WINDOW as usize];
    let count = match stream.read(&mut received) {
        Read::Bytes(count) => count,
        Read::Nothing | Read::End => 0,
    };
    received.truncate(count);
    (received, failed)
}

/// The bytes of all frames that follow each other, up to the first that is wrong; nothing if the stream was given up.
fn naive(mut bytes: &[u8]) -> Vec<u8> {
    let (mut received, mut end) = (Vec::new(), None);
    while let Ok(Some((frame, length))) = leg::take(bytes) {
        bytes = &bytes[length..];
        match frame {
            LegFrame::Data(offset, data) => {
                let last = offset.saturating_add(data.len() as u64);
                let is_beyond = last > WINDOW || end.is_some_and(|end| last > end);
                if offset > received.len() as u64 || is_beyond {
                    break;
                }
                let known = data.len().min(received.len() - offset as usize);
                received.extend_from_slice(&data[known..]);
            }
            LegFrame::Fin(offset) if offset == received.len() as u64 => end = Some(offset),
            LegFrame::Reset(_) => return Vec::new(),
            // Nothing was sent that could have arrived.
            LegFrame::Ack(progress) if progress.delivered == 0 => {}
            LegFrame::Unknown(_) => {}
            _ => break,
        }
    }
    received
}
