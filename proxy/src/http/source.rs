//! Where a message comes from: the client for a request, the endpoint for its answer.

use std::task::{Context, Poll, ready};

use crate::http2;
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

    /// Whether a stream ended as streams do; a connection that ends is gone.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(stream) => stream.why_reset().is_none(),
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
