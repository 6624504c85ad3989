//! Opening connections.

use std::rc::Rc;

use balance::Permit;

use super::count::CountedOpen;
use super::{Lent, ObtainFailure, Pool, Target, UpstreamConnection};
use crate::upstream::connector::{self, ConnectFailure, Connected, Http, Wanted};
use crate::worker::timer::Alarm;

impl Pool {
    /// A connection of its own for a TCP client, never one that served requests. It is closed by dropping it.
    ///
    /// # Errors
    /// There is none to be had; nothing is waited for when the circuit breaker is open.
    pub async fn dial(self: &Rc<Self>, wanted: &Wanted<'_>) -> Result<Box<UpstreamConnection>, ObtainFailure> {
        if self.closed.get() {
            return Err(ObtainFailure::Gone);
        }
        let target = self.target();
        let Some(permit) = target.breaker.connections.acquire() else {
            self.counters.upstream_cx_overflow.increment();
            return Err(ObtainFailure::Overflow);
        };
        let connected = self.connect(&target, wanted).await.map_err(ObtainFailure::Connect)?;
        let mut connection = UpstreamConnection::new(self, &target, wanted, connected, permit);
        connection.counted = true;
        Ok(connection)
    }

    /// The right to open another connection. An endpoint without any always gets one, as in Envoy, so that requests get somewhere. A
    /// request that asks again counts once: `overflowed` says whether it did.
    pub(super) fn permit(&self, target: &Target, overflowed: &mut bool) -> Option<Permit> {
        if let Some(permit) = target.breaker.connections.acquire() {
            return Some(permit);
        }
        if !std::mem::replace(overflowed, true) {
            self.counters.upstream_cx_overflow.increment();
        }
        (self.open.get() == 0).then(|| target.breaker.connections.acquire_beyond())
    }

    /// Opens a connection for a request, and more if others can share it.
    pub(super) async fn open(
        self: &Rc<Self>,
        target: &Target,
        wanted: &Wanted<'_>,
        permit: Permit,
    ) -> Result<Lent, ConnectFailure> {
        let begun = self.expects_to_share(wanted).then(|| self.shared.begin());
        let connected = match self.connect(target, wanted).await {
            Ok(connected) => connected,
            Err(failure) => {
                if let Some(begun) = begun {
                    begun.failed(&failure);
                }
                return Err(failure);
            }
        };
        if self.is_http2(wanted, &connected) {
            let shared = self.share(target, wanted, connected, permit);
            if wanted.is_upgrade {
                // Extended CONNECT must be offered before it is used (RFC 8441 section 3).
                let alarm = Alarm::new(&self.core.timers);
                alarm.set_after(Some(target.model.connect_timeout));
                if alarm.limit(shared.settled()).await.is_none() {
                    shared.retire();
                    self.counters.upstream_cx_connect_timeout.increment();
                    return Err(ConnectFailure::Timeout(String::new()));
                }
            }
            return Ok(Lent::Http2(shared));
        }
        self.counters.upstream_cx_http1_total.increment();
        Ok(Lent::Http1(UpstreamConnection::new(self, target, wanted, connected, permit)))
    }

    /// What a new connection speaks.
    fn is_http2(&self, wanted: &Wanted<'_>, connected: &Connected) -> bool {
        match wanted.http {
            Http::Version1 | Http::None => false,
            Http::Version2 => true,
            Http::Negotiated => {
                let chosen = connected.stream.session(|session| session.alpn_protocol() == Some(b"h2"));
                self.chose_http1.set(chosen != Some(true));
                chosen == Some(true)
            }
        }
    }

    async fn connect(self: &Rc<Self>, target: &Target, wanted: &Wanted<'_>) -> Result<Connected, ConnectFailure> {
        let counted = CountedOpen::new(self);
        // Boxed: connecting is rare and its state is large.
        let connected =
            Box::pin(connector::connect(&self.core, &target.model, &target.endpoint, &target.transport, wanted)).await;
        let connected = connected.inspect_err(|failure| {
            self.counters.upstream_cx_connect_fail.increment();
            if matches!(failure, ConnectFailure::Timeout(_)) {
                self.counters.upstream_cx_connect_timeout.increment();
            }
        })?;
        counted.succeeded();
        Ok(connected)
    }
}
