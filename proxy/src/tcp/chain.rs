//! What serves the TCP connections of a filter chain on one worker.

use std::rc::Rc;
use std::sync::Arc;

use super::TcpCounters;
use crate::config::snapshot::TcpSnapshot;

/// A TCP proxy as one worker uses it.
#[derive(Debug)]
pub struct TcpChain {
    pub(super) snapshot: Arc<TcpSnapshot>,
    pub(super) counters: Arc<TcpCounters>,
    /// Clusters by the running sum of the weights.
    clusters: Vec<(u64, Arc<str>)>,
}

impl TcpChain {
    /// Of a snapshot. The counters may be those of an earlier version with the same `stat_prefix`.
    pub fn new(snapshot: &Arc<TcpSnapshot>, counters: Arc<TcpCounters>) -> Rc<Self> {
        let mut sum = 0;
        let clusters = snapshot.model.clusters.iter().filter(|cluster| cluster.weight > 0).map(|cluster| {
            sum += u64::from(cluster.weight);
            (sum, cluster.name.as_str().into())
        });
        let clusters = clusters.collect();
        Rc::new(Self { snapshot: snapshot.clone(), counters, clusters })
    }

    /// The cluster for a new connection, by weight; `None` if all weights are zero.
    pub(super) fn pick_cluster(&self, random: u64) -> Option<&Arc<str>> {
        let (total, _) = self.clusters.last()?;
        let point = random % total;
        self.clusters.iter().find(|(sum, _)| point < *sum).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use xds_model::listener::TcpProxy;
    use xds_model::route::{RouteHeaders, WeightedCluster};

    use super::*;

    fn chain(weights: &[(&str, u32)]) -> Rc<TcpChain> {
        let clusters = weights.iter().map(|(name, weight)| WeightedCluster {
            name: (*name).to_owned(),
            weight: *weight,
            headers: RouteHeaders::default(),
            host_rewrite: None,
        });
        let model = TcpProxy {
            stat_prefix: "test".to_owned(),
            clusters: clusters.collect(),
            idle_timeout: None,
            max_downstream_connection_duration: None,
            hashes_source: false,
            access_log: Vec::new(),
        };
        let snapshot = Arc::new(TcpSnapshot { chain: "".into(), model, access_log: Arc::new([]) });
        TcpChain::new(&snapshot, Arc::new(TcpCounters::new("tcp.test.")))
    }

    #[test]
    fn clusters_get_their_share_of_the_connections() {
        let chain = chain(&[("a", 1), ("none", 0), ("b", 3)]);
        let picks = |name: &str| (0..400).filter(|random| &**chain.pick_cluster(*random).unwrap() == name).count();
        assert_eq!((picks("a"), picks("none"), picks("b")), (100, 0, 300));
    }

    #[test]
    fn without_any_weight_there_is_no_cluster() {
        assert_eq!(chain(&[("a", 0)]).pick_cluster(7), None);
    }
}
