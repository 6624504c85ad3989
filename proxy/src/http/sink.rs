//! Where a message goes: the endpoint for a request, the client for its answer.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use h1::{Fields, ResponseHead, Version, chunked};

use crate::http2;
use crate::io::StreamWriter;

/// What a message is written to. Putting never waits: whoever has much to put waits for [`Sink::room`] first.
#[derive(Clone)]
pub(super) enum Sink {
    /// An HTTP/1 connection, or any other whose bytes are wanted as they are.
    Http1(StreamWriter),
    /// A stream of an HTTP/2 connection.
    Http2(http2::StreamWriter),
}

impl Sink {
    /// Puts the head of an answer, to a request of `version`. `close`: it is the last on its connection; `whole`: no body follows.
    pub(super) fn put_response(&self, version: Version, response: &ResponseHead, close: bool, whole: bool) {
        match self {
            Self::Http1(writer) => writer.put(|out| h1::write_response(response, version, close, out)),
            Self::Http2(writer) => writer.put_response(response, whole),
        }
    }

    /// Tells the client that it may go on.
    pub(super) fn put_continue(&self) {
        match self {
            Self::Http1(writer) => writer.put(|out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n")),
            Self::Http2(writer) => writer.put_continue(),
        }
    }

    /// Puts a piece of a body, in a chunk of its own if HTTP/1 needs chunks. `last`: the body ends with it.
    pub(super) fn put_body(&self, data: &[u8], chunked: bool, last: bool) {
        match self {
            Self::Http1(writer) if chunked => writer.put_bulk(data.len(), |out| {
                if !data.is_empty() {
                    chunked::write_chunk(data, out);
                }
                if last {
                    out.extend_from_slice(chunked::LAST_CHUNK);
                }
            }),
            Self::Http1(_) if data.is_empty() => {}
            Self::Http1(writer) => writer.put_bulk(data.len(), |out| out.extend_from_slice(data)),
            Self::Http2(writer) => writer.put(data, last),
        }
    }

    /// Ends a body with trailers; HTTP/1 goes without them, as Envoy has it.
    pub(super) fn put_trailers(&self, trailers: &Fields, chunked: bool) {
        match self {
            Self::Http1(_) => self.put_body(&[], chunked, true),
            Self::Http2(writer) => writer.put_trailers(trailers),
        }
    }

    /// Puts bytes of another protocol that HTTP carries.
    pub(super) fn put_bytes(&self, data: &[u8]) {
        self.put_body(data, false, false);
    }

    /// Nothing will be put any more.
    pub(super) fn finish(&self) {
        match self {
            Self::Http1(writer) => writer.finish(),
            Self::Http2(writer) => writer.put(&[], true),
        }
    }

    /// Waits until there is room for another piece.
    ///
    /// # Errors
    /// Whoever should receive it is gone.
    pub(super) async fn room(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_room(context)).await
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Http1(writer) => writer.poll_room(context),
            Self::Http2(writer) => writer.poll_room(context),
        }
    }

    /// How many bytes may be put once there is room.
    pub(super) fn appetite(&self) -> usize {
        match self {
            Self::Http1(_) => usize::MAX,
            Self::Http2(writer) => writer.appetite(),
        }
    }

    /// Waits until everything is sent.
    ///
    /// # Errors
    /// Whoever should receive it is gone.
    pub(super) async fn flushed(&self) -> io::Result<()> {
        match self {
            Self::Http1(writer) => writer.flushed().await,
            Self::Http2(writer) => writer.flushed().await,
        }
    }

    /// Bytes that wait to be sent.
    pub(super) fn unsent(&self) -> usize {
        match self {
            Self::Http1(writer) => writer.backlog(),
            Self::Http2(writer) => writer.unsent(),
        }
    }

    /// Whether so much is unsent that a producer waits.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Http1(writer) => writer.is_full(),
            Self::Http2(writer) => writer.is_full(),
        }
    }

    /// Whether whoever receives the message has reset the connection or the stream.
    pub(super) fn is_reset(&self) -> bool {
        match self {
            Self::Http1(writer) => writer.is_reset(),
            Self::Http2(writer) => writer.is_peer_done(),
        }
    }

    /// Whether whoever receives the message has closed its side, as far as the worker heard, though what it sent before may not be
    /// read yet.
    pub(super) fn is_peer_done(&self) -> bool {
        match self {
            Self::Http1(writer) => writer.is_peer_done(),
            Self::Http2(writer) => writer.is_peer_done(),
        }
    }
}
