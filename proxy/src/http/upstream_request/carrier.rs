//! What carries a try to the endpoint and its answer back: an HTTP/1 connection or a stream of an HTTP/2 connection.

use h1::{BodyLength, Fields, Method, RequestHead, Scheme, chunked};
use h2::OpenError;

use crate::http::sink::Sink;
use crate::http::source::Source;
use crate::http2;
use crate::upstream::{Lent, UpstreamConnection};

/// The endpoint's side of a try.
pub(super) enum Carrier {
    Http1(Box<UpstreamConnection>),
    Http2(http2::Stream),
}

impl Carrier {
    /// Sends the head, and the body as far as an earlier try sent it. `whole`: that is all.
    ///
    /// # Errors
    /// The connection takes no more requests; nothing was sent.
    pub(super) fn begin(
        lent: Lent,
        request: &RequestHead,
        scheme: Scheme,
        replay: &[u8],
        trailers: Option<&Fields>,
        whole: bool,
    ) -> Result<Self, OpenError> {
        match lent {
            Lent::Http1(connection) => {
                let is_chunked = request.body == BodyLength::Chunked;
                connection.stream.put(|out| {
                    h1::write_request(request, false, out);
                    match is_chunked {
                        true if !replay.is_empty() => chunked::write_chunk(replay, out),
                        _ => out.extend_from_slice(replay),
                    }
                    if is_chunked && whole {
                        out.extend_from_slice(chunked::LAST_CHUNK);
                    }
                });
                Ok(Self::Http1(connection))
            }
            Lent::Http2(connection) => {
                // What switches protocols goes on after the answer.
                let whole = whole && request.upgrade().is_none() && request.method != Method::Connect;
                let trailers = trailers.filter(|_| whole);
                let last = whole && trailers.is_none();
                let stream = connection.open(request, scheme, last && replay.is_empty())?;
                if !replay.is_empty() {
                    stream.writer().put(replay, last);
                }
                if let Some(trailers) = trailers {
                    stream.writer().put_trailers(trailers);
                }
                Ok(Self::Http2(stream))
            }
        }
    }

    /// Where the answer comes from.
    pub(super) fn source(&mut self) -> Source<'_> {
        match self {
            Self::Http1(connection) => Source::Http1(&mut connection.stream),
            Self::Http2(stream) => Source::Http2(stream),
        }
    }

    /// Where the rest of the request goes.
    pub(super) fn sink(&self) -> Sink {
        match self {
            Self::Http1(connection) => Sink::Http1(connection.stream.writer()),
            Self::Http2(stream) => Sink::Http2(stream.writer()),
        }
    }

    /// The whole answer was passed on, and what carried it may carry others.
    pub(super) fn release(self) {
        match self {
            Self::Http1(connection) => connection.release(),
            Self::Http2(_) => {}
        }
    }
}
