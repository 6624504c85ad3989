//! Endpoints of a cluster that are left out for a while, as one worker sees them.

use std::rc::Rc;
use std::sync::Arc;

use balance::outlier::{Consequence, Detector, Host, Outcome};
use balance::{Endpoint, Endpoints};

use crate::telemetry::counter::counters;
use crate::worker::Core;

/// The outlier detection of a cluster, which all workers share.
#[derive(Debug)]
pub(super) struct Outliers {
    detector: Arc<Detector>,
    counters: Arc<OutlierCounters>,
    /// As of when the endpoints were arranged.
    generation: u64,
    /// The endpoints as they were then, before and after: nothing is built anew while neither they nor the generation change.
    arranged: Option<(Arc<Endpoints>, Arc<Endpoints>)>,
}

counters! {
    /// `cluster.<name>.outlier_detection.*`, as Envoy names them.
    pub struct OutlierCounters {
        /// Endpoints that were left out for a while.
        ejections_enforced_total: Counter,
        /// Endpoints that were not, because too many were already.
        ejections_overflow: Counter,
    }
}

/// Tells what becomes of tries with one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    detector: Arc<Detector>,
    host: Arc<Host>,
    counters: Arc<OutlierCounters>,
    core: Rc<Core>,
}

impl Outliers {
    pub(super) fn new(cluster: &str, detector: Arc<Detector>, core: &Core) -> Self {
        let counters = OutlierCounters::new(format!("cluster.{cluster}.outlier_detection."));
        Self {
            generation: detector.generation(),
            arranged: None,
            detector,
            counters: core.process.registry.register(counters),
        }
    }

    pub(super) fn is(&self, detector: &Arc<Detector>) -> bool {
        Arc::ptr_eq(&self.detector, detector)
    }

    /// Whether others are left out than when the endpoints were arranged.
    pub(super) fn have_changed(&self, core: &Core) -> bool {
        self.detector.look(core.io.clock.now());
        self.detector.generation() != self.generation
    }

    /// The endpoints, with those that are left out as unhealthy.
    pub(super) fn arrange(&mut self, endpoints: &Arc<Endpoints>) -> Arc<Endpoints> {
        self.detector.set_endpoints(endpoints.list().iter().map(|endpoint| &endpoint.address));
        let generation = self.detector.generation();
        if let Some((of, arranged)) = &self.arranged
            && generation == self.generation
            && Arc::ptr_eq(of, endpoints)
        {
            return arranged.clone();
        }
        self.generation = generation;
        let ejected = self.detector.ejected();
        let arranged = if ejected.is_empty() { endpoints.clone() } else { Arc::new(endpoints.without(&ejected)) };
        self.arranged = Some((endpoints.clone(), arranged.clone()));
        arranged
    }

    pub(super) fn monitor(&self, endpoint: &Endpoint, core: &Rc<Core>) -> Monitor {
        Monitor {
            detector: self.detector.clone(),
            host: self.detector.host(&endpoint.address),
            counters: self.counters.clone(),
            core: core.clone(),
        }
    }
}

impl Monitor {
    /// Takes note of what became of a try.
    pub(super) fn report(&self, outcome: Outcome) {
        let now = self.core.io.clock.now();
        match self.detector.report(&self.host, outcome, now, || self.core.random.next()) {
            Consequence::None => {}
            Consequence::Ejected => self.counters.ejections_enforced_total.increment(),
            Consequence::Overflow => self.counters.ejections_overflow.increment(),
        }
    }
}
