//! HTTP/2: whatever the peer sends, in whatever pieces, a connection in either role neither panics nor stops making
//! progress, keeps to its bounds, and writes whole frames.
//!
//! The first byte of an input is the size of the pieces, the second chooses options.

mod user;

use std::time::{Duration, Instant};

use h2::Role;

use crate::http2::user::User;
use crate::pieces;

/// What a client may send to us.
pub fn server(input: &[u8]) -> bool {
    run(Role::Server, input)
}

/// What a server may send to us.
pub fn client(input: &[u8]) -> bool {
    run(Role::Client, input)
}

fn run(role: Role, input: &[u8]) -> bool {
    let [piece, options, stream @ ..] = input else { return false };
    let whole = read(role, *options, stream, 0);
    let in_pieces = read(role, *options, stream, *piece);
    assert_eq!(whole.heads, in_pieces.heads, "heads, in pieces of {piece}");
    assert_eq!(whole.bodies, in_pieces.bodies, "bodies, in pieces of {piece}");
    assert_eq!(whole.failed, in_pieces.failed, "the end, in pieces of {piece}");
    !whole.heads.is_empty()
}

/// Lets an end read the stream in pieces; it keeps what it does not take yet.
fn read(role: Role, options: u8, stream: &[u8], piece: u8) -> User {
    let mut user = User::new(role, options);
    let mut now = Instant::now();
    let mut at = 0;
    for end in pieces::ends(stream.len(), piece) {
        now += Duration::from_micros(1);
        at += user.receive(&stream[at..end], now);
        if user.failed.is_some() {
            break;
        }
        assert!(piece == 0 || end - at < LARGEST_FRAME, "{} bytes wait for the rest of a frame", end - at);
    }
    user.assert_whole_frames();
    user
}

/// The size of a frame that nobody asked to be larger, with its header (RFC 9113 sections 4.1 and 4.2).
const LARGEST_FRAME: usize = 9 + (16 << 10);
