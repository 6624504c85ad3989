//! Where a message comes from: the client for a request, the endpoint for its answer.

use std::task::{Context, Poll, ready};

use crate::http2::{self, Code};
use crate::io::Stream;

/// Bytes of a next request that may arrive while the answer to this one is awaited.
const PIPELINED: usize = 16 * 1024;

/// What a message is read from.
pub(super) enum Source<'a> {
    /// An HTTP/1 connection, or any other whose bytes are wanted as they are.
    Http1(&'a mut Stream),
    /// A stream of an HTTP/2 connection.
    Http2(&'a mut http2::Stream),
}

impl Source<'_> {
    /// Ready when whoever sends the message has gone away. Reads ahead a little meanwhile.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http1(stream) => {
                while stream.input().bytes().len() < PIPELINED {
                    match ready!(stream.poll_fill(context, PIPELINED)) {
                        Ok(count) if count > 0 => {}
                        _ => return Poll::Ready(()),
                    }
                }
                Poll::Pending
            }
            Self::Http2(stream) => stream.poll_gone(context),
        }
    }

    /// Whether so much was read ahead that [`Self::poll_gone`] reads no more, and does not see an end.
    pub(super) fn is_read_ahead(&self) -> bool {
        matches!(self, Self::Http1(stream) if stream.input().bytes().len() >= PIPELINED)
    }

    /// Whether a stream ended as streams do; a connection that ends is gone.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(stream) => stream.why_reset().is_none(),
        }
    }

    /// Whether the connection or the stream was reset. A stream whose connection has gone ended before its end, too.
    pub(super) fn is_reset(&self) -> bool {
        match self {
            Self::Http1(stream) => stream.is_reset(),
            Self::Http2(stream) => stream.why_reset().is_some(),
        }
    }

    /// Gives up at once. What is unsent is lost, and whoever sends the message learns that something is missing: HTTP/2 by `code`.
    pub(super) fn reset(&self, code: Code) {
        match self {
            Self::Http1(stream) => stream.reset(),
            Self::Http2(stream) => stream.reset(code),
        }
    }

    /// Reads bytes of another protocol that HTTP carries; 0 means that there will be no more.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<usize> {
        match self {
            Self::Http1(stream) => stream.poll_read(context, into).map(|read| read.unwrap_or(0)),
            Self::Http2(stream) => stream.poll_read(context, into).map(|read| read.unwrap_or(0)),
        }
    }
}
