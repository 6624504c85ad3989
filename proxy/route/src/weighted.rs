//! Targets of a route, by weight (`weighted_clusters`).

use xds_model::route::RouteHeaders;

/// Position of a cluster name in [`RouteTable::clusters`](crate::RouteTable::clusters). Valid for one table and the tables updated
/// from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterRef(pub u32);

impl ClusterRef {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One cluster a route may forward to.
#[derive(Debug, PartialEq)]
pub struct Target {
    /// Which cluster.
    pub cluster: ClusterRef,
    /// Share of all weights.
    pub weight: u32,
    /// Authority for this target; the route's own comes after it and wins.
    pub host_rewrite: Option<Box<str>>,
    pub(crate) headers: Option<Box<RouteHeaders>>,
}

/// Clusters with their weights.
#[derive(Debug, PartialEq)]
pub struct Targets {
    list: Box<[Target]>,
    total: u64,
}

impl Targets {
    pub(crate) fn new(list: Vec<Target>) -> Self {
        let total = list.iter().map(|target| u64::from(target.weight)).sum();
        Self { list: list.into_boxed_slice(), total }
    }

    /// The target for a random number; `None` if there is none with a weight.
    pub fn pick(&self, random: u64) -> Option<&Target> {
        let mut rest = random.checked_rem(self.total)?;
        self.list.iter().find(|target| {
            let weight = u64::from(target.weight);
            let chosen = rest < weight;
            rest = rest.saturating_sub(weight);
            chosen
        })
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Target> {
        self.list.iter()
    }
}
