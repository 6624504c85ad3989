//! `LocalityLoadBalancerSetting`: how load is divided between places.

use std::collections::BTreeMap;

use crate::load::field::Fields;

/// What a policy says of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalityBalancing {
    /// Places count at all.
    pub(crate) enabled: bool,
    pub(crate) distribute: Vec<Distribution>,
    pub(crate) failover: Vec<Failover>,
    /// Labels by which endpoints are compared with the gateway, the most important first; `name` or `name=value`.
    pub(crate) failover_priority: Vec<String>,
}

impl LocalityBalancing {
    /// Whether it says who stands in for whom.
    pub(crate) fn has_failover(&self) -> bool {
        !self.failover.is_empty() || !self.failover_priority.is_empty()
    }
}

/// Shares of places, for gateways of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// `region/zone/sub-zone`, with `*` for any.
    pub(crate) from: String,
    /// Percent of each place, written likewise.
    pub(crate) to: BTreeMap<String, u32>,
}

/// The region that stands in for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failover {
    pub(crate) from: String,
    pub(crate) to: String,
}

pub(super) fn locality_balancing(fields: &mut Fields<'_>) -> LocalityBalancing {
    let balancing = LocalityBalancing {
        enabled: fields.bool("enabled").unwrap_or(true),
        distribute: fields.objects("distribute", distribution),
        failover: fields
            .objects("failover", |fields| Some(Failover { from: fields.string("from"), to: fields.string("to") })),
        failover_priority: fields.strings("failoverPriority"),
    };
    if !balancing.distribute.is_empty() && balancing.has_failover() {
        fields.error("distribute and failover exclude each other");
    }
    balancing
}

fn distribution(fields: &mut Fields<'_>) -> Option<Distribution> {
    let from = fields.string("from");
    let to = fields.get("to").and_then(|value| value.map(|value| value.u32())).unwrap_or_default();
    let sum: u64 = to.values().map(|percent| u64::from(*percent)).sum();
    if sum != 100 {
        fields.error(format!("to: the shares come to {sum} percent, not to 100"));
        return None;
    }
    Some(Distribution { from, to })
}
