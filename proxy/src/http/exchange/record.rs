//! What is told of a request when it has ended.

use std::time::Duration;

use super::Exchange;
use crate::http::outcome::Taken;
use crate::io::Traffic;
use crate::telemetry::access_log::{Record, UpstreamFacts};

impl Exchange<'_> {
    /// What a log line or a header value may say of the request.
    pub(in crate::http) fn record(&self) -> Record<'_> {
        let outcome = &self.memory.outcome;
        let route = outcome.taken.as_ref().and_then(Taken::route);
        let since = |time: Option<std::time::Instant>| time.map(|time| time.saturating_duration_since(outcome.began));
        // What came with its head was there when it began.
        let whole = (outcome.understood && self.body.is_complete()).then_some(Duration::ZERO);
        Record {
            connection: &self.downstream.connection.admission.facts,
            log_type: "DownstreamEnd",
            client: self.client,
            host_name: &self.downstream.worker().process.host_name,
            filter_chain: &self.chain.snapshot.chain,
            started: outcome.began_unix,
            duration: self.downstream.worker().io.clock.now().saturating_duration_since(outcome.began),
            request_duration: since(outcome.received).filter(|_| outcome.understood).or(whole),
            request_sent_duration: since(outcome.sent),
            response_duration: since(outcome.answered),
            // Of a request that was not understood; those of HTTP/2 do not get here (`refused` in `http/http2.rs`).
            protocol: "HTTP/1.1",
            request: outcome.understood.then_some(&self.memory.request),
            scheme: self.scheme.as_str(),
            response: outcome.has_response.then_some(&self.memory.response),
            trailers: self.memory.trailers.as_deref(),
            status: outcome.status,
            flags: outcome.flags,
            details: outcome.details,
            termination_details: "",
            bytes_received: self.body.moved,
            bytes_sent: outcome.bytes_sent,
            route_name: route.map(|route| &*route.name).unwrap_or_default(),
            route_config: route.and_then(|route| route.istio_config.as_deref()),
            cluster: outcome.taken.as_ref().and_then(Taken::cluster),
            upstream: outcome.target.as_ref().map(|target| UpstreamFacts {
                address: &target.address,
                protocol: outcome.upstream_protocol,
                remote: outcome.upstream_remote,
                local: outcome.upstream_local,
            }),
            upstream_failure: &outcome.upstream_failure,
            downstream_failure: "",
            attempts: outcome.attempts,
        }
    }

    pub(super) fn log(&mut self) {
        let Traffic { received, sent } = self.downstream.take_traffic();
        self.chain.counters.downstream_cx_rx_bytes_total.add(received);
        self.chain.counters.downstream_cx_tx_bytes_total.add(sent);
        if self.chain.snapshot.access_log.is_empty() {
            return;
        }
        let record = self.record();
        for log in self.chain.snapshot.access_log.iter() {
            log.log(&record, &self.downstream.worker().logs);
        }
    }
}
