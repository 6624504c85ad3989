//! Answers without the upstream, or none at all.

use bytes::Bytes;
use h1::{Header, Method};
use route::{Action, RouteMatch};

use super::tail::MOST_AT_ONCE;
use super::{After, Exchange};
use crate::http::local_reply::{LocalReply, Location};

impl Exchange<'_> {
    pub(super) fn no_route(&mut self) -> After {
        let reply = self.chain.filters.refusal().unwrap_or_else(|| {
            self.chain.counters.no_route.increment();
            LocalReply::no_route()
        });
        self.reply(reply, None)
    }

    /// A filter answers. The log tells where the request would have gone, and the route changes the answer, as in Envoy.
    pub(super) fn refused(&mut self, reply: LocalReply, found: &RouteMatch<'_>) -> After {
        if let Action::Forward(forward) = &found.route.action
            && let Some(target) = forward.targets.pick(self.downstream.worker().random.next())
        {
            self.memory.outcome.leads_to(target);
        }
        self.reply(reply, Some(found))
    }

    pub(super) fn client_gone(&mut self) -> After {
        self.chain.counters.downstream_rq_rx_reset.increment();
        let (flags, details) = self.downstream.departure();
        self.memory.outcome.fail(flags, details);
        After::Close
    }

    /// Answers without the upstream. A redirect's location is in the scratch memory.
    pub(in crate::http) fn reply(&mut self, reply: LocalReply, found: Option<&RouteMatch<'_>>) -> After {
        self.memory.outcome.fail(reply.flags, reply.details);
        let body = reply.start(&self.memory.request, &mut self.memory.response);
        let status = self.memory.response.status;
        let fields = self.memory.response.fields_mut();
        // A location that a header cannot carry is left out.
        let _ = match reply.location {
            Location::None => Ok(()),
            Location::Path => fields.set_known(Header::Location, self.memory.request.path_and_query()),
            Location::Scratch => fields.set_known(Header::Location, &self.memory.scratch),
        };
        self.memory.outcome.has_response = true;
        if let Some(found) = found {
            // To header values the status of such an answer is 0, as in Envoy.
            self.apply_response_mutations(found, None);
        }
        self.memory.outcome.status = status;
        self.complete_response_fields();
        self.downstream.connection.note_answer(&self.chain);
        // A body that was not read would be taken for the next request.
        let unread = !self.body.is_complete();
        // Nor may what was sent after a refused request to speak another protocol.
        let refused = self.memory.request.method == Method::Connect || self.memory.request.upgrade().is_some();
        let close = reply.close
            || refused
            || unread
            || !self.memory.request.keep_alive
            || self.downstream.connection.is_last(&self.chain);
        // Nor may a 204 or a 304 have a body, whatever the configuration says (RFC 9112 section 6.3).
        let bodiless = self.memory.request.method == Method::Head || matches!(status, 100..200 | 204 | 304);
        let body = if bodiless { Bytes::new() } else { body };
        let (response, version) = (&self.memory.response, self.memory.request.version);
        self.downstream.sink.put_response(version, response, close, body.is_empty());
        self.memory.outcome.bytes_sent = body.len() as u64;
        match body.len() {
            0 => {}
            1..=MOST_AT_ONCE => self.downstream.sink.put_body(&body, false, true),
            _ => self.tail = body,
        }
        self.chain.counters.response(status);
        if close { After::Close } else { After::NextRequest }
    }
}
