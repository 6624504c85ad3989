//! A connection to an endpoint that carries one client's bytes.

use std::rc::Rc;
use std::sync::Arc;

use balance::outlier::Outcome;

use crate::upstream::{Cluster, ConnectFailure, Http, ObtainFailure, Pick, PickFailure, UpstreamConnection, Wanted};
use crate::worker::Worker;
use crate::worker::timer::Alarm;

/// The endpoint's side of the connection.
pub(crate) struct Upstream {
    pub(crate) cluster: Rc<Cluster>,
    pub(crate) connection: Box<UpstreamConnection>,
    /// The endpoint counts as busy until the end.
    _busy: Pick,
}

/// An endpoint that was chosen.
pub(crate) struct Chosen {
    cluster: Rc<Cluster>,
    pick: Pick,
}

/// How often another endpoint is drawn that was not tried before.
const DRAWS: u32 = 8;

/// Why there is no upstream connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NoCluster,
    NoHealthyUpstream,
    Overflow,
    Connect(String),
}

/// Chooses an endpoint, by a hash if the cluster balances by it. Those of a cluster that is still warming are waited for as long as a
/// connect may take.
pub(crate) async fn choose(name: &Arc<str>, hash: Option<u64>, worker: &Worker) -> Result<Chosen, Failure> {
    let cluster = worker.clusters.get(name).ok_or(Failure::NoCluster)?;
    let pick = match cluster.pick(hash, &[], 0, None) {
        Err(PickFailure::Warming) => {
            let alarm = Alarm::new(&worker.timers);
            alarm.set_after(Some(cluster.model().connect_timeout));
            alarm.limit(cluster.endpoints_known()).await;
            worker.io.clock.invalidate();
            cluster.pick(hash, &[], 0, None)
        }
        picked => picked,
    };
    let pick = pick.map_err(|_| Failure::NoHealthyUpstream)?;
    Ok(Chosen { cluster, pick })
}

impl Chosen {
    /// Chooses again while the endpoint's address is not wanted.
    ///
    /// # Errors
    /// None that is wanted was found.
    pub(crate) fn avoiding(mut self, is_unwanted: impl Fn(&str) -> bool) -> Result<Self, Failure> {
        const MOST: usize = 8;
        let mut tried = Vec::new();
        while is_unwanted(&self.pick.pool.target().address) {
            if tried.len() == MOST {
                return Err(Failure::NoHealthyUpstream);
            }
            tried.push(self.pick.pool.clone());
            self.pick = self.cluster.pick(None, &tried, DRAWS, None).map_err(|_| Failure::NoHealthyUpstream)?;
        }
        Ok(self)
    }

    /// The address of the endpoint.
    pub(crate) fn address(&self) -> Box<str> {
        self.pick.pool.target().address.clone()
    }

    /// Connects to it, for `caller` if it leads to another edge.
    pub(crate) async fn connect(self, caller: Option<&str>) -> Result<Upstream, Failure> {
        let wanted = Wanted { host: b"", protocols: None, http: Http::None, is_upgrade: false, caller };
        let dialled = self.pick.pool.dial(&wanted).await;
        match &dialled {
            Ok(_) => self.pick.pool.report(Outcome::ConnectedForGood),
            Err(ObtainFailure::Connect(ConnectFailure::Timeout(_))) => self.pick.pool.report(Outcome::TimedOut),
            Err(ObtainFailure::Connect(ConnectFailure::Refused(_))) => self.pick.pool.report(Outcome::Failed),
            Err(ObtainFailure::Overflow | ObtainFailure::Gone) => {}
        }
        let connection = dialled.map_err(|failure| match failure {
            ObtainFailure::Overflow => Failure::Overflow,
            ObtainFailure::Gone => Failure::NoHealthyUpstream,
            ObtainFailure::Connect(failure) => Failure::Connect(failure.reason().to_owned()),
        })?;
        Ok(Upstream { cluster: self.cluster, connection, _busy: self.pick })
    }
}
