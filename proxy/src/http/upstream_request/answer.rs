//! The head of an upstream's answer as it arrives.

use std::task::{Context, Poll};

use h1::Expectation;

use super::wait::Waited;
use crate::http::HttpChain;
use crate::http::sink::Sink;
use crate::io::Stream;

/// Bytes of a response's head.
const RESPONSE_HEAD: usize = 64 * 1024;

/// Informational responses to one request; more of them are an attack.
const MOST_INTERIM: u32 = 100;

/// Reads the head of an answer, and passes interim responses on meanwhile.
pub(super) struct Answer<'s> {
    stream: &'s mut Stream,
    response: &'s mut h1::ResponseHead,
    expectation: Expectation,
    limits: &'s h1::Limits,
    client: Sink,
    version: h1::Version,
    /// Informational responses so far.
    interim: u32,
}

impl<'s> Answer<'s> {
    /// To `request`, from `stream` into `response`.
    pub(super) fn new(
        stream: &'s mut Stream,
        request: &h1::RequestHead,
        response: &'s mut h1::ResponseHead,
        chain: &'s HttpChain,
        client: Sink,
    ) -> Self {
        Self {
            stream,
            response,
            expectation: Expectation { method: request.method, upgrade: request.upgrade().is_some() },
            limits: &chain.response_limits,
            client,
            version: request.version,
            interim: 0,
        }
    }

    /// Ready when the head is in memory, or will never be.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Waited> {
        loop {
            let received = self.stream.input().bytes();
            let parsed = match received.is_empty() {
                true => Ok(None),
                false => self.response.parse(received, self.expectation, self.limits),
            };
            match parsed {
                Ok(Some(consumed)) => {
                    self.stream.input_mut().consume(consumed);
                    if !self.response.is_interim() {
                        return Poll::Ready(Waited::Answered);
                    }
                    self.interim += 1;
                    if self.interim > MOST_INTERIM {
                        return Poll::Ready(Waited::ProtocolError);
                    }
                    self.pass_interim();
                    continue;
                }
                Ok(None) => {}
                Err(_) => return Poll::Ready(Waited::ProtocolError),
            }
            match self.stream.poll_fill(context, RESPONSE_HEAD) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                // Half a head is no answer, but it is not silence either.
                Poll::Ready(_) if !self.stream.input().is_empty() => return Poll::Ready(Waited::ProtocolError),
                Poll::Ready(_) => return Poll::Ready(Waited::Reset),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// 100, 102 and 103 go through to clients that know them.
    fn pass_interim(&mut self) {
        if self.version == h1::Version::Http11 {
            let (response, version) = (&*self.response, self.version);
            self.client.put_response(version, response, false, false);
        }
        self.response.clear();
    }
}
