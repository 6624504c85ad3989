//! How a cluster picks an endpoint (istiod's `applyLoadBalancer`).

use xds_api::envoy::config::cluster::v3::Cluster;
use xds_api::envoy::config::cluster::v3::cluster::{
    LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig, RingHashLbConfig, RoundRobinLbConfig, SlowStartConfig,
};
use xds_api::envoy::config::core::v3::RuntimeDouble;
use xds_api::envoy::r#type::v3::Percent;

use super::wire::duration;
use crate::object::destination_rule::{HashTable, LoadBalancer, LoadBalancing, Warmup};

/// The name by which a setting could be changed at run time: istiod's, which nobody can mean.
const RUNTIME_KEY: &str = "(";

pub(super) fn apply(cluster: &mut Cluster, balancing: &LoadBalancing) {
    let slow_start_config = balancing.warmup.as_ref().map(slow_start);
    let (mut policy, mut config) = match balancing.simple {
        LoadBalancer::Unspecified | LoadBalancer::LeastRequest => {
            let config = LeastRequestLbConfig { slow_start_config, ..LeastRequestLbConfig::default() };
            (LbPolicy::LeastRequest, balancing.warmup.map(|_| LbConfig::LeastRequestLbConfig(config)))
        }
        LoadBalancer::RoundRobin => {
            let config = RoundRobinLbConfig { slow_start_config };
            (LbPolicy::RoundRobin, balancing.warmup.map(|_| LbConfig::RoundRobinLbConfig(config)))
        }
        LoadBalancer::Random => (LbPolicy::Random, None),
    };
    if let Some(hash) = &balancing.consistent_hash {
        let table;
        (policy, table) = hash_table(hash.table);
        // As istiod has it, a ring without a size leaves what `warmup` said, which has no effect on it.
        config = table.or(config);
    }
    cluster.lb_policy = policy as i32;
    cluster.lb_config = config;
}

fn hash_table(table: HashTable) -> (LbPolicy, Option<LbConfig>) {
    match table {
        HashTable::Ring { minimum_size } => {
            let config = RingHashLbConfig { minimum_ring_size: minimum_size, ..RingHashLbConfig::default() };
            (LbPolicy::RingHash, minimum_size.map(|_| LbConfig::RingHashLbConfig(config)))
        }
        HashTable::Maglev { size } => {
            (LbPolicy::Maglev, Some(LbConfig::MaglevLbConfig(MaglevLbConfig { table_size: Some(size) })))
        }
    }
}

fn slow_start(warmup: &Warmup) -> SlowStartConfig {
    SlowStartConfig {
        slow_start_window: Some(duration(warmup.duration)),
        aggression: warmup
            .aggression
            .map(|aggression| RuntimeDouble { default_value: aggression, runtime_key: RUNTIME_KEY.into() }),
        min_weight_percent: warmup.minimum_percent.map(|value| Percent { value }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::object::destination_rule::ConsistentHash;

    fn made(simple: LoadBalancer, table: Option<HashTable>) -> (LbPolicy, Option<LbConfig>) {
        let warmup = Warmup { duration: Duration::from_secs(1), aggression: None, minimum_percent: None };
        let balancing = LoadBalancing {
            simple,
            consistent_hash: table.map(|table| ConsistentHash { key: None, table }),
            warmup: Some(warmup),
            ..LoadBalancing::default()
        };
        let mut cluster = Cluster::default();
        apply(&mut cluster, &balancing);
        (cluster.lb_policy(), cluster.lb_config)
    }

    #[test]
    fn warmup_counts_where_shares_are_counted() {
        let (policy, config) = made(LoadBalancer::Unspecified, None);
        assert!(policy == LbPolicy::LeastRequest && matches!(config, Some(LbConfig::LeastRequestLbConfig(_))));
        let (policy, config) = made(LoadBalancer::RoundRobin, None);
        assert!(policy == LbPolicy::RoundRobin && matches!(config, Some(LbConfig::RoundRobinLbConfig(_))));
        assert!(made(LoadBalancer::Random, None) == (LbPolicy::Random, None));
    }

    #[test]
    fn a_hash_takes_the_place_of_other_ways() {
        let ring = |minimum_size| made(LoadBalancer::Unspecified, Some(HashTable::Ring { minimum_size }));
        let (policy, config) = ring(Some(7));
        assert!(policy == LbPolicy::RingHash);
        assert!(matches!(config, Some(LbConfig::RingHashLbConfig(config)) if config.minimum_ring_size == Some(7)));
        let (policy, config) = ring(None);
        assert!(policy == LbPolicy::RingHash && matches!(config, Some(LbConfig::LeastRequestLbConfig(_))));
        let (policy, config) = made(LoadBalancer::Unspecified, Some(HashTable::Maglev { size: 5 }));
        assert!(policy == LbPolicy::Maglev);
        assert!(matches!(config, Some(LbConfig::MaglevLbConfig(config)) if config.table_size == Some(5)));
    }
}
