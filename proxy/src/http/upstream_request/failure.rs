//! What becomes of a try that no answer came of: what is counted, what the client is told, and whether there may be another.

use super::Sender;
use super::attempt::Tried;
use super::deadlines::Expired;
use super::wait::Waited;
use crate::http::local_reply::LocalReply;
use crate::http::retry::RetryReason;
use crate::http::upstream_reset::UpstreamReset;
use crate::upstream::ObtainFailure;

impl<'c> Sender<'_, '_, 'c> {
    /// There is no connection.
    pub(super) fn not_obtained(&mut self, failure: &ObtainFailure) -> Tried<'c> {
        match failure {
            ObtainFailure::Overflow => {
                // As in Envoy: what got no connection went to no endpoint.
                self.exchange.memory.outcome.target = None;
                Tried::Final(LocalReply::overflow())
            }
            ObtainFailure::Gone => Tried::Failed(RetryReason::ConnectFailure, LocalReply::no_healthy_upstream()),
            ObtainFailure::Connect(failure) => {
                let outcome = &mut self.exchange.memory.outcome;
                outcome.upstream_failure.clear();
                outcome.upstream_failure.push_str(failure.reason());
                Tried::Failed(RetryReason::ConnectFailure, LocalReply::connect_failure(failure))
            }
        }
    }

    /// A wait ended otherwise than with the head of an answer.
    pub(super) fn failed(&mut self, waited: Waited) -> Tried<'c> {
        let counters = self.cluster.counters();
        match waited {
            Waited::ClientGone => {
                counters.upstream_rq_tx_reset.increment();
                Tried::ClientGone
            }
            Waited::TooSlow => {
                self.exchange.chain.counters.downstream_rq_too_slow.increment();
                Tried::Final(LocalReply::too_slow())
            }
            Waited::BadBody(error) => Tried::Final(LocalReply::bad_body(error.detail(), error.status())),
            Waited::Closing => Tried::Final(LocalReply::closing()),
            Waited::NoExtendedConnect => Tried::Final(LocalReply::upstream_reset(UpstreamReset::Protocol)),
            Waited::Reset(reset) => {
                match reset {
                    UpstreamReset::Protocol => counters.upstream_cx_protocol_error.increment(),
                    _ => counters.upstream_rq_rx_reset.increment(),
                }
                let reason = match reset {
                    UpstreamReset::Refused => RetryReason::RefusedStream,
                    _ => RetryReason::Reset,
                };
                Tried::Failed(reason, LocalReply::upstream_reset(reset))
            }
            Waited::Timeout => self.expired(),
            // Both were dealt with by the caller.
            Waited::Answered | Waited::Sent => Tried::Final(LocalReply::upstream_reset(UpstreamReset::Protocol)),
        }
    }

    fn expired(&mut self) -> Tried<'c> {
        let clock = &self.exchange.downstream.worker().io.clock;
        clock.invalidate();
        let client_counters = &self.exchange.chain.counters;
        match self.deadlines.expired(clock.now()) {
            Expired::Arrival => {
                client_counters.downstream_rq_timeout.increment();
                Tried::Final(LocalReply::request_timeout())
            }
            Expired::Answer => {
                self.report_timeout();
                Tried::Final(self.timed_out())
            }
            Expired::Try => {
                self.cluster.counters().upstream_rq_per_try_timeout.increment();
                Tried::Failed(RetryReason::PerTryTimeout, LocalReply::per_try_timeout())
            }
            Expired::Silence => {
                client_counters.downstream_rq_idle_timeout.increment();
                Tried::Final(LocalReply::idle_timeout(self.exchange.body.is_complete()))
            }
        }
    }

    pub(super) fn timed_out(&self) -> LocalReply {
        self.cluster.counters().upstream_rq_timeout.increment();
        LocalReply::upstream_timeout()
    }
}
