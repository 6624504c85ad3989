//! What a connection says to its user.

use std::ops::Range;

use crate::error::Code;
use crate::streams::Key;

/// What [`crate::Connection::receive`] made of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes of the input are done with. It may be 0 when there was something to say without input.
    pub consumed: usize,
    /// What they mean to the user, if anything.
    pub event: Option<Event>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Server: a request, its head in [`crate::Connection::request_head`]. Call [`crate::Connection::accept`].
    Request {
        /// The new stream.
        key: Key,
        /// Neither content nor trailers follow.
        end: bool,
    },
    /// Client: a response, perhaps an interim one, its head in [`crate::Connection::response_head`].
    Response {
        /// The stream.
        key: Key,
        /// Neither content nor trailers follow.
        end: bool,
    },
    /// Trailers, in [`crate::Connection::trailers`]. They end the message.
    Trailers {
        /// The stream.
        key: Key,
    },
    /// Content. Say when you are done with it ([`crate::Connection::consumed`]), now or later: the peer may not send much more
    /// before.
    Data {
        /// The stream.
        key: Key,
        /// Where in the input it lies; may be empty when it ends.
        range: Range<usize>,
        /// The message ends with it.
        end: bool,
    },
    /// The stream is over before its end. Call [`crate::Connection::release`].
    Reset {
        /// The stream.
        key: Key,
        /// Why.
        code: Code,
        /// The peer reset it, or refused it by GOAWAY (then `REFUSED_STREAM`); otherwise we did because of what the peer sent.
        by_peer: bool,
        /// What the peer did, in words for logs.
        reason: &'static str,
    },
    /// Server: a request that was refused before it became a stream. [`crate::Connection::request_head`] has what was understood
    /// of its head. If it ends the connection, the next call returns the error.
    Refused {
        /// The code in RST_STREAM, or GOAWAY.
        code: Code,
        /// What the peer did, in words for logs.
        reason: &'static str,
        /// The response code details, in Envoy's words where Envoy has them.
        detail: &'static str,
    },
    /// More may be sent: on this stream, or else on all of them, or there is room for another stream.
    Writable {
        /// The only stream that this concerns.
        key: Option<Key>,
    },
    /// The answer to [`crate::Connection::ping`].
    Pong(
        /// What was sent.
        [u8; 8],
    ),
    /// The peer takes no streams beyond `last`. Those above it that we opened are reset one by one by the next calls.
    GoAway {
        /// The last stream that it may have acted upon.
        last: u32,
        /// Why.
        code: Code,
    },
}
