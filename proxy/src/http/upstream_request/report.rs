//! What the outlier detection of a cluster hears of each try (Envoy, `Router::Filter`).

use balance::outlier::Outcome;
use h1::{Fields, Header};

use super::attempt::Tried;
use super::{Sender, UpstreamAnswer};
use crate::http::grpc::is_grpc;
use crate::http::message::Memory;
use crate::http::retry::RetryReason;

impl Sender<'_, '_, '_> {
    /// How a try has ended, or begun to be answered.
    pub(super) fn report(&self, tried: &Tried<'_>) {
        let Some(pool) = self.trying.as_ref().filter(|pool| pool.is_monitored()) else { return };
        let outcome = match tried {
            Tried::Answered(_) => Outcome::Answered(status(self.exchange.memory)),
            Tried::Failed(RetryReason::ConnectFailure, _) => return pool.report(Outcome::Failed),
            Tried::Failed(RetryReason::Reset | RetryReason::RefusedStream, _) => Outcome::Failed,
            Tried::Failed(RetryReason::PerTryTimeout, _) => Outcome::TimedOut,
            // The end of the whole time is reported where it is seen, what else is final is not the endpoint's doing.
            Tried::Failed(RetryReason::Response(_), _) | Tried::Final(_) | Tried::ClientGone => return,
        };
        pool.report(Outcome::Connected);
        pool.report(outcome);
    }

    /// The whole time is up, and the endpoint has not answered.
    pub(super) fn report_timeout(&self) {
        if let Some(pool) = &self.trying {
            pool.report(Outcome::TimedOut);
        }
    }
}

impl UpstreamAnswer<'_> {
    /// The endpoint has broken off an answer that had begun.
    pub(in crate::http) fn report_broken(&self) {
        self.answering.endpoint.pool.report(Outcome::Failed);
    }
}

/// That of a call by gRPC counts if it is in the head: what is behind messages counts for nothing, as in Envoy.
fn status(memory: &Memory) -> u16 {
    let Memory { request, response, .. } = memory;
    let of_call = is_grpc(request.fields()).then(|| grpc_status(response.fields())).flatten();
    of_call.unwrap_or(response.status)
}

/// The status of gRPC as one of HTTP (Envoy, `Grpc::Utility::grpcToHttpStatus`).
fn grpc_status(fields: &Fields) -> Option<u16> {
    Some(match fields.get(Header::GrpcStatus)? {
        b"0" => 200,
        b"1" => 499,
        b"3" | b"9" | b"11" => 400,
        b"4" => 504,
        b"5" => 404,
        b"6" | b"10" => 409,
        b"7" => 403,
        b"8" => 429,
        b"12" => 501,
        b"14" => 503,
        b"16" => 401,
        _ => 500,
    })
}
