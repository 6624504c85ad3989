//! Picking by the hash of a request, so that equal requests go to one endpoint and few go elsewhere when endpoints come or go.
//!
//! Tables are equal to Envoy's, entry by entry (`ring_hash_lb.cc`, `maglev_lb.cc`): a gateway of ours beside one of Envoy's sends
//! the same client to the same endpoint.

mod maglev;
mod ring;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hashbrown::HashMap;
use xds_model::cluster;
use xds_model::endpoint::EndpointAddress;

use self::maglev::Maglev;
use self::ring::Ring;
use crate::endpoints::{Endpoint, Endpoints};
use crate::priority::Share;

/// Which endpoint of a part of the load a hash leads to.
#[derive(Debug)]
pub(crate) enum HashTable {
    Ring(Ring),
    Maglev(Maglev),
}

/// An endpoint and its part of the hashes, of 1.
#[derive(Debug)]
struct Weighted<'a> {
    /// Its position among the endpoints.
    number: u32,
    address: &'a EndpointAddress,
    weight: f64,
}

impl HashTable {
    /// `None` if the policy does not go by hashes.
    pub(crate) fn new(
        endpoints: &Endpoints,
        share: &Share,
        policy: cluster::Balancer,
        weighs_localities: bool,
    ) -> Option<Self> {
        match policy {
            cluster::Balancer::RingHash { minimum_size, maximum_size } => {
                let weighted = weighted(endpoints, share, weighs_localities);
                Some(Self::Ring(Ring::new(&weighted, minimum_size, maximum_size)))
            }
            cluster::Balancer::Maglev { table_size } => {
                Some(Self::Maglev(Maglev::new(&weighted(endpoints, share, weighs_localities), table_size)))
            }
            cluster::Balancer::LeastRequest { .. } | cluster::Balancer::RoundRobin | cluster::Balancer::Random => None,
        }
    }

    /// The endpoint of a hash; with each further attempt another one, if there are several.
    pub(crate) fn pick(&self, hash: u64, attempt: u32) -> Option<u32> {
        match self {
            Self::Ring(ring) => ring.pick(hash, attempt),
            Self::Maglev(maglev) => maglev.pick(hash, attempt),
        }
    }
}

/// The endpoints with their parts. Where localities are weighed, those of one share what the locality gets.
fn weighted<'a>(endpoints: &'a Endpoints, share: &Share, weighs_localities: bool) -> Vec<Weighted<'a>> {
    let list = endpoints.slice(&share.endpoints);
    let locality = |endpoint: &Endpoint| Arc::as_ptr(&endpoint.locality);
    let localities: HashMap<_, _> = endpoints
        .slice(&share.priority)
        .iter()
        .map(|endpoint| (locality(endpoint), u64::from(endpoint.locality_weight)))
        .collect();
    let all_localities: u64 = localities.values().sum();
    let by_locality = weighs_localities && all_localities > 0;
    let group = |endpoint: &Endpoint| by_locality.then(|| locality(endpoint));
    let mut weights: HashMap<_, u64> = HashMap::new();
    for endpoint in list {
        *weights.entry(group(endpoint)).or_default() += u64::from(endpoint.weight);
    }
    let part = |endpoint: &Endpoint| {
        let of_group = match by_locality {
            true => f64::from(endpoint.locality_weight) / all_localities as f64,
            false => 1.0,
        };
        f64::from(endpoint.weight) * of_group / weights.get(&group(endpoint)).copied().unwrap_or(1) as f64
    };
    let numbered = (share.endpoints.start..).zip(list);
    let all =
        numbered.map(|(number, endpoint)| Weighted { number, address: &endpoint.address, weight: part(endpoint) });
    all.filter(|endpoint| endpoint.weight > 0.0).collect()
}

/// What an endpoint is hashed by: its address as Envoy writes it.
fn key(address: &EndpointAddress) -> String {
    match address {
        EndpointAddress::Socket(address) => address.to_string(),
        EndpointAddress::Name(name, port) => format!("{name}:{port}"),
        EndpointAddress::Unix(path) => path.clone(),
    }
}
