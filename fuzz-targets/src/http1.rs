//! HTTP/1: what our codec takes, hyper takes too and reads alike; and what arrives in pieces is read like the whole.
//!
//! The first byte of an input is the size of the pieces.

mod compare;
mod oracle;
mod ours;

use h1::Method;

use crate::http1::ours::Stream;

/// The longest input: above, hyper and we have limits of our own.
const LONGEST: usize = 16 << 10;

/// Requests that follow each other on a connection, heads and bodies.
pub fn request(input: &[u8]) -> bool {
    let Some((piece, stream)) = split(input) else { return false };
    compare_requests(piece, stream)
}

/// The chunks of one request.
pub fn chunks(input: &[u8]) -> bool {
    let Some((piece, chunks)) = split(input) else { return false };
    let head = &b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"[..];
    compare_requests(piece, &[head, chunks].concat())
}

/// One response with its body; the second byte of the input chooses the method of the request.
pub fn response(input: &[u8]) -> bool {
    let Some((piece, [method, stream @ ..])) = split(input) else { return false };
    let method = if method % 2 == 0 { Method::Get } else { Method::Head };
    let whole = ours::response(stream, method, 0);
    assert_eq!(whole, ours::response(stream, method, piece), "in pieces of {piece}");
    let Some(ours) = whole else { return false };
    let theirs = oracle::response(stream, method);
    compare::response(&ours, theirs.as_ref(), stream);
    true
}

fn split(input: &[u8]) -> Option<(u8, &[u8])> {
    let (piece, rest) = input.split_first()?;
    (rest.len() <= LONGEST).then_some((*piece, rest))
}

fn compare_requests(piece: u8, stream: &[u8]) -> bool {
    let ours = Stream::read(stream, 0);
    assert_eq!(ours, Stream::read(stream, piece), "in pieces of {piece}");
    if ours.messages.is_empty() {
        return false;
    }
    let theirs = oracle::requests(stream);
    compare::requests(&ours, &theirs, stream);
    true
}
