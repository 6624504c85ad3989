//! What becomes of the fields of a request and of its answer on their way through.

use std::time::Duration;

use h1::{Header, Method};
use route::{Forward, RouteMatch};

use super::Exchange;
use crate::http::local_reply::LocalReply;
use crate::http::{mutation, upstream_request};

impl Exchange<'_> {
    /// Everything that the configuration wants changed, in Envoy's order. A client that waits for 100 Continue gets it here, unless the
    /// endpoint is to send it.
    pub(super) fn change_request(
        &mut self,
        found: &RouteMatch<'_>,
        forward: &Forward,
        target: &route::Target,
    ) -> Result<(), LocalReply> {
        let model = self.chain.model();
        let request = &mut self.memory.request;
        if request.expect_continue && !model.proxy_100_continue {
            request.fields_mut().remove(Header::Expect);
            self.downstream.sink.put_continue();
        }
        if model.tracing
            && let Some(operation) = &found.route.decorator_operation
        {
            // A configured name with control characters is not worth failing a request for; so below.
            let _ = request.fields_mut().set_known(Header::XEnvoyDecoratorOperation, operation.as_bytes());
        }
        let bounds = upstream_request::bounds(forward, request);
        self.memory.outcome.bounds = bounds;
        upstream_request::write_expected_timeout(request.fields_mut(), forward, bounds, Duration::ZERO);
        if found.virtual_host.include_request_attempt_count {
            request.fields_mut().remove(Header::XEnvoyAttemptCount);
            let _ = request.fields_mut().append_fixed(Header::XEnvoyAttemptCount, b"1");
        }
        self.chain.filters.request(request.fields_mut());
        // What is written above can be removed or replaced by the configuration.
        self.apply_request_mutations(found, target);
        let request = &mut self.memory.request;
        if let Some(host) = forward.host_rewrite(target) {
            request.fields_mut().remove(Header::XEnvoyOriginalHost);
            let _ = request.append_authority_as(Header::XEnvoyOriginalHost);
            if forward.append_x_forwarded_host {
                let _ = request.append_authority_as(Header::XForwardedHost);
            }
            request.set_authority(host.as_bytes()).map_err(|_| LocalReply::bad_rewrite())?;
        }
        if request.method != Method::Connect && found.rewrite_path(request.path_and_query(), &mut self.memory.scratch) {
            request.fields_mut().remove(Header::XEnvoyOriginalPath);
            let _ = request.append_path_as(Header::XEnvoyOriginalPath);
            // What was not rewritten must not be taken for what was.
            request.set_path(&self.memory.scratch).map_err(|_| LocalReply::bad_rewrite())?;
        }
        Ok(())
    }

    /// All values of a level are those before any of its changes, and what is set comes before what is added (Envoy,
    /// `HeaderParser::evaluateHeaders`).
    fn apply_request_mutations(&mut self, found: &RouteMatch<'_>, target: &route::Target) {
        if !found.may_change_headers(Some(target)) {
            return;
        }
        for mutations in found.request_headers(Some(target)) {
            mutation::remove(mutations, self.memory.request.fields_mut());
            let mut values = std::mem::take(&mut self.memory.scratch);
            let ends = mutation::values(mutations, &self.record(), &mut values);
            for (addition, value) in mutation::in_order(mutations, &ends, &values) {
                mutation::add_to_request(addition, value, &mut self.memory.request);
            }
            self.memory.scratch = values;
        }
    }

    pub(super) fn change_response(&mut self, found: &RouteMatch<'_>, target: &route::Target) {
        let is_tunnel = self.memory.request.upgrade().is_some() || self.memory.request.method == Method::Connect;
        let fields = self.memory.response.fields_mut();
        fields.remove(Header::XEnvoyUpstreamServiceTime);
        // Meant for the gateway's trace, as Envoy has it.
        fields.remove(Header::XEnvoyDecoratorOperation);
        // An answer that came before the end of its request took no time that could be told.
        if let Some((answered, sent)) = self.memory.outcome.answered.zip(self.memory.outcome.sent)
            && !is_tunnel
        {
            let served = answered.saturating_duration_since(sent);
            let milliseconds = u64::try_from(served.as_millis()).unwrap_or(u64::MAX);
            let _ = fields.append_value(Header::XEnvoyUpstreamServiceTime, |value| value.put_number(milliseconds));
        }
        self.chain.filters.response(fields);
        self.memory.outcome.has_response = true;
        self.memory.outcome.status = self.memory.response.status;
        if self.memory.outcome.details.is_empty() {
            self.memory.outcome.details = "via_upstream";
        }
        self.set_cookies();
        self.apply_response_mutations(found, Some(target));
        self.complete_response_fields();
    }

    pub(super) fn apply_response_mutations(&mut self, found: &RouteMatch<'_>, target: Option<&route::Target>) {
        if !found.may_change_headers(target) {
            return;
        }
        for mutations in found.response_headers(target) {
            mutation::remove(mutations, self.memory.response.fields_mut());
            let mut values = std::mem::take(&mut self.memory.scratch);
            let ends = mutation::values(mutations, &self.record(), &mut values);
            for (addition, value) in mutation::in_order(mutations, &ends, &values) {
                mutation::add(addition, value, self.memory.response.fields_mut(), h1::JOINED_IN_RESPONSES);
            }
            self.memory.scratch = values;
        }
    }

    /// `server`, `date` and `x-request-id`.
    pub(super) fn complete_response_fields(&mut self) {
        use xds_model::http::ServerHeader;
        let model = self.chain.model();
        let fields = self.memory.response.fields_mut();
        let ours = match model.server_header {
            ServerHeader::Overwrite => true,
            ServerHeader::AppendIfAbsent => !fields.contains(Header::Server),
            ServerHeader::PassThrough => false,
        };
        if ours && let Some(server) = &self.chain.server {
            fields.remove(Header::Server);
            let _ = fields.append_prepared(server);
        }
        if !fields.contains(Header::Date) {
            let _ = fields.append_fixed(Header::Date, &self.downstream.worker().io.clock.http_date());
        }
        if model.always_set_request_id_in_response
            && let Some(id) = self.memory.request.fields().get(Header::XRequestId)
        {
            let _ = fields.set_known(Header::XRequestId, id);
        }
    }
}
