//! The head of an upstream's answer as it arrives.

use std::task::{Context, Poll, ready};

use h1::Expectation;

use super::wait::Waited;
use crate::http::HttpChain;
use crate::http::sink::Sink;
use crate::http::source::Source;
use crate::http::upstream_reset::UpstreamReset;
use crate::io::Stream;

/// Bytes of a response's head.
const RESPONSE_HEAD: usize = 64 * 1024;

/// Informational responses to one request; more of them are an attack.
const MOST_INTERIM: u32 = 100;

/// Reads the head of an answer, and passes interim responses on meanwhile.
pub(super) struct Answer<'s> {
    source: Source<'s>,
    response: &'s mut h1::ResponseHead,
    expectation: Expectation,
    limits: &'s h1::Limits,
    client: Sink,
    version: h1::Version,
    /// Informational responses so far.
    interim: u32,
    has_begun: &'s mut bool,
}

impl<'s> Answer<'s> {
    /// To `request`, from `source` into `response`. `has_begun` tells of informational responses.
    pub(super) fn new(
        source: Source<'s>,
        request: &h1::RequestHead,
        response: &'s mut h1::ResponseHead,
        chain: &'s HttpChain,
        client: Sink,
        has_begun: &'s mut bool,
    ) -> Self {
        Self {
            source,
            response,
            expectation: Expectation { method: request.method, upgrade: request.upgrade().is_some() },
            limits: &chain.response_limits,
            client,
            version: request.version,
            interim: 0,
            has_begun,
        }
    }

    /// Ready when the head is in memory, or will never be.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Waited> {
        loop {
            let received = match &mut self.source {
                Source::Http1(stream) => poll_parsed(context, stream, self.response, self.expectation, self.limits),
                Source::Http2(stream) => {
                    stream.poll_head(context, self.response).map_err(|reset| Waited::Reset(reset.into()))
                }
            };
            if let Err(waited) = ready!(received) {
                return Poll::Ready(waited);
            }
            if !self.response.is_interim() {
                return Poll::Ready(Waited::Answered);
            }
            self.interim += 1;
            *self.has_begun = true;
            if self.interim > MOST_INTERIM {
                return Poll::Ready(Waited::Reset(UpstreamReset::Protocol));
            }
            self.pass_interim();
        }
    }

    /// 100, 102 and 103 go through to clients that know them, and that take what is sent to them: at most one of them is needed, the
    /// first, which may be 100.
    fn pass_interim(&mut self) {
        let is_wanted = self.interim == 1 || !self.client.is_full();
        if self.version != h1::Version::Http10 && is_wanted {
            let (response, version) = (&*self.response, self.version);
            self.client.put_response(version, response, false, false);
        }
        self.response.clear();
    }
}

/// Ready when a head was parsed.
fn poll_parsed(
    context: &mut Context<'_>,
    stream: &mut Stream,
    response: &mut h1::ResponseHead,
    expectation: Expectation,
    limits: &h1::Limits,
) -> Poll<Result<(), Waited>> {
    loop {
        let received = stream.input().bytes();
        let parsed = match received.is_empty() {
            true => Ok(None),
            false => response.parse(received, expectation, limits),
        };
        match parsed {
            Ok(Some(consumed)) => {
                stream.input_mut().consume(consumed);
                return Poll::Ready(Ok(()));
            }
            Ok(None) => {}
            Err(_) => return Poll::Ready(Err(Waited::Reset(UpstreamReset::Protocol))),
        }
        match ready!(stream.poll_fill(context, RESPONSE_HEAD)) {
            Ok(count) if count > 0 => {}
            // Half a head is no answer, but it is not silence either.
            _ if !stream.input().is_empty() => return Poll::Ready(Err(Waited::Reset(UpstreamReset::Protocol))),
            _ => return Poll::Ready(Err(Waited::Reset(UpstreamReset::Termination))),
        }
    }
}
