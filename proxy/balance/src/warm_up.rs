//! Endpoints that are new weigh less for a while (Envoy, `EdfLoadBalancerBase`: slow start).

use std::time::Instant;

use xds_model::cluster::SlowStart;

use crate::endpoints::Endpoint;

/// The rule, and what time it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WarmUp(Option<(SlowStart, Instant)>);

impl WarmUp {
    pub(crate) fn new(rule: Option<SlowStart>, now: Instant) -> Self {
        Self(rule.map(|rule| (rule, now)))
    }

    /// Goes on to a later time.
    pub(crate) fn pass(&mut self, later: Instant) {
        if let Some((_, now)) = &mut self.0 {
            *now = later;
        }
    }

    /// Whether some of these are new.
    pub(crate) fn concerns(&self, endpoints: &[Endpoint]) -> bool {
        endpoints.iter().any(|endpoint| self.share(endpoint) < 1.0)
    }

    /// What an endpoint weighs now.
    pub(crate) fn weight(&self, endpoint: &Endpoint) -> f64 {
        f64::from(endpoint.weight) * self.share(endpoint)
    }

    /// Of its weight, up to 1.
    fn share(&self, endpoint: &Endpoint) -> f64 {
        let (Some((rule, now)), Some(since)) = (&self.0, endpoint.since) else { return 1.0 };
        let passed = now.saturating_duration_since(since);
        if passed >= rule.window {
            return 1.0;
        }
        // Envoy counts from the first millisecond: nothing to any power is nothing.
        let part = passed.as_secs_f64().max(0.001) / rule.window.as_secs_f64();
        part.powf(1.0 / rule.aggression).max(rule.minimum).clamp(LEAST_SHARE, 1.0)
    }
}

/// However slowly an endpoint is to start, its turn comes.
const LEAST_SHARE: f64 = 0.01;
