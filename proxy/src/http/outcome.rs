//! What is known of a request's fate while it is under way: what its log line and its counters will say, and what its tries go by.

use std::rc::Rc;
use std::time::{Duration, Instant};

use route::{ClusterRef, Route, RoutePosition};

use super::upstream_request::Bounds;
use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::Target;
use crate::worker::WorkerRoutes;

/// Gathered from the first byte to the last.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) began: Instant,
    pub(super) began_unix: Duration,
    /// There was a request, not only bytes.
    pub(super) understood: bool,
    /// The last byte of the request arrived.
    pub(super) received: Option<Instant>,
    /// The last byte of the request was handed to the upstream's connection.
    pub(super) sent: Option<Instant>,
    /// The response's head arrived from the upstream.
    pub(super) answered: Option<Instant>,
    /// How long the request may take.
    pub(super) bounds: Bounds,
    /// When the time for the answer is up.
    pub(super) end: Option<Instant>,
    /// How long the stream may be silent.
    pub(super) idle_timeout: Option<Duration>,
    pub(super) status: u16,
    pub(super) flags: ResponseFlags,
    /// Envoy's response code details.
    pub(super) details: &'static str,
    pub(super) upstream_failure: String,
    pub(super) bytes_sent: u64,
    /// Where it went, if a route took it.
    pub(super) taken: Option<Taken>,
    pub(super) target: Option<Rc<Target>>,
    pub(super) upstream_remote: Option<std::net::SocketAddr>,
    pub(super) upstream_local: Option<std::net::SocketAddr>,
    pub(super) upstream_protocol: &'static str,
    pub(super) attempts: u32,
    /// Of the request, where its cluster balances by it.
    pub(super) hash: Option<u64>,
    /// What the client is to keep so that its next requests have the same hash (`set-cookie`).
    pub(super) cookies: Vec<String>,
    /// The head in memory is the one that was sent to the client.
    pub(super) has_response: bool,
}

/// The route that took a request. Names are looked up when somebody wants them: to hold each would be an atomic count.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) routes: Rc<WorkerRoutes>,
    pub(super) route: RoutePosition,
    /// Where it leads, if that is a cluster.
    pub(super) cluster: Option<ClusterRef>,
}

impl Taken {
    /// The route.
    pub(super) fn route(&self) -> Option<&Route> {
        self.routes.table.at(self.route).map(|found| found.route)
    }

    /// The name of the cluster.
    pub(super) fn cluster(&self) -> Option<&str> {
        let cluster = self.routes.table.clusters().get(self.cluster?.index())?;
        Some(cluster)
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Self::new(Instant::now(), Duration::ZERO)
    }
}

impl Outcome {
    fn new(began: Instant, began_unix: Duration) -> Self {
        Self {
            began,
            began_unix,
            understood: true,
            received: None,
            sent: None,
            answered: None,
            bounds: Bounds::default(),
            end: None,
            idle_timeout: None,
            status: 0,
            flags: ResponseFlags::NONE,
            details: "",
            upstream_failure: String::new(),
            bytes_sent: 0,
            taken: None,
            target: None,
            upstream_remote: None,
            upstream_local: None,
            upstream_protocol: "",
            attempts: 0,
            hash: None,
            cookies: Vec::new(),
            has_response: false,
        }
    }

    /// Of a request whose first byte arrived then.
    pub(super) fn begin(&mut self, now: Instant, unix: Duration) {
        (self.began, self.began_unix) = (now, unix);
    }

    /// Forgets everything, for the next request.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.began, self.began_unix);
    }

    /// Notes where its route sends it.
    pub(super) fn leads_to(&mut self, target: &route::Target) {
        if let Some(taken) = &mut self.taken {
            taken.cluster = Some(target.cluster);
        }
    }

    /// Notes a failure; the first one names the details.
    pub(super) fn fail(&mut self, flags: ResponseFlags, details: &'static str) {
        self.flags |= flags;
        if self.details.is_empty() {
            self.details = details;
        }
    }
}
