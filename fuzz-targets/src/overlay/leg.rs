//! Frames of a leg: one is taken with its last byte and not before, and what is written of it is read alike.

use overlay_wire::leg::{LegFrame, put, take};

/// How many of the places where a frame could be cut off are tried, from its beginning.
const CUTS: usize = 64;

/// Takes frames up to the first that is none.
pub fn run(mut input: &[u8]) -> bool {
    let mut taken = false;
    while let Ok(Some((frame, length))) = take(input) {
        for cut in (0..length.min(CUTS)).chain([length - 1]) {
            assert_eq!(take(&input[..cut]), Ok(None), "cut off after {cut} of {length} bytes");
        }
        if !matches!(frame, LegFrame::Unknown(_)) {
            let mut written = Vec::new();
            put(&mut written, &frame);
            assert_eq!(take(&written), Ok(Some((frame, written.len()))));
            taken = true;
        }
        input = &input[length..];
    }
    taken
}
