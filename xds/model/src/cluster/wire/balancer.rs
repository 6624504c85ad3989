//! Conversion of load balancing.

use std::mem::discriminant;

use xds_api::envoy::config::cluster::v3 as cluster;
use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::r#type::v3 as types;

use crate::cluster::{Balancer, SlowStart};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::wire::number::{duration, percent};

/// Envoy's default of `healthy_panic_threshold`. Percent.
const DEFAULT_PANIC_THRESHOLD: u8 = 50;
/// Envoy's default of `choice_count`.
const DEFAULT_CHOICES: u32 = 2;
/// Envoy's default of `minimum_ring_size`.
const DEFAULT_MINIMUM_RING_SIZE: u64 = 1024;
/// Envoy's bound on `minimum_ring_size` and `maximum_ring_size`, and the default of the latter.
const LARGEST_RING: u64 = 8 * 1024 * 1024;
const DEFAULT_RING: Balancer =
    Balancer::RingHash { minimum_size: DEFAULT_MINIMUM_RING_SIZE, maximum_size: LARGEST_RING };
/// Envoy's default of `table_size`.
const DEFAULT_TABLE_SIZE: u64 = 65537;
/// Envoy's bound on `table_size`.
const LARGEST_TABLE: u64 = 5_000_011;
/// Envoy's default of `min_weight_percent`.
const DEFAULT_MINIMUM_SHARE_PERCENT: f64 = 10.0;

/// How endpoints are picked, and how new ones are spared. As in Envoy, what `lb_config` says of another policy does not count.
pub(super) fn convert(
    policy: i32,
    config: &Option<cluster::cluster::LbConfig>,
    context: &mut Context<'_>,
) -> Result<(Balancer, Option<SlowStart>), Refusal> {
    use cluster::cluster::{LbConfig, LbPolicy};
    let configured = match config {
        Some(LbConfig::LeastRequestLbConfig(wire)) => {
            Some(context.within("least_request_lb_config", |context| least_request(wire, context))?)
        }
        Some(LbConfig::RoundRobinLbConfig(wire)) => {
            Some(context.within("round_robin_lb_config", |context| round_robin(wire, context))?)
        }
        Some(LbConfig::RingHashLbConfig(wire)) => {
            Some((context.within("ring_hash_lb_config", |context| ring_hash(wire, context))?, None))
        }
        Some(LbConfig::MaglevLbConfig(wire)) => {
            Some((context.within("maglev_lb_config", |context| maglev(wire, context))?, None))
        }
        Some(LbConfig::OriginalDstLbConfig(_)) => {
            return Err(context.refused_member::<cluster::Cluster>("original_dst_lb_config"));
        }
        None => None,
    };
    let refused = |reason| Err(context.refusal("lb_policy", reason));
    let default = match context.enumeration("lb_policy", policy)? {
        LbPolicy::LeastRequest => Balancer::LeastRequest { choices: DEFAULT_CHOICES },
        LbPolicy::RoundRobin => Balancer::RoundRobin,
        LbPolicy::Random => Balancer::Random,
        LbPolicy::RingHash => DEFAULT_RING,
        LbPolicy::Maglev => Balancer::Maglev { table_size: DEFAULT_TABLE_SIZE },
        LbPolicy::ClusterProvided => {
            return refused("CLUSTER_PROVIDED: original destinations are not supported yet");
        }
        LbPolicy::LoadBalancingPolicyConfig => {
            return refused("LOAD_BALANCING_POLICY_CONFIG: extensions of load balancing are not supported");
        }
    };
    let is_of_policy = |(balancer, _): &(Balancer, _)| discriminant(balancer) == discriminant(&default);
    Ok(configured.filter(is_of_policy).unwrap_or((default, None)))
}

fn least_request(
    wire: &cluster::cluster::LeastRequestLbConfig,
    context: &mut Context<'_>,
) -> Result<(Balancer, Option<SlowStart>), Refusal> {
    fates! { context, wire => cluster::cluster::LeastRequestLbConfig {
        [implemented] choice_count, slow_start_config;
        [refused "the bias is fixed"] active_request_bias;
    } }
    let choices = match choice_count.unwrap_or(DEFAULT_CHOICES) {
        0 | 1 => return Err(context.refusal("choice_count", "must be at least 2")),
        choices => choices,
    };
    Ok((
        Balancer::LeastRequest { choices },
        context.optional("slow_start_config", slow_start_config, slow_start)?.flatten(),
    ))
}

fn round_robin(
    wire: &cluster::cluster::RoundRobinLbConfig,
    context: &mut Context<'_>,
) -> Result<(Balancer, Option<SlowStart>), Refusal> {
    fates! { context, wire => cluster::cluster::RoundRobinLbConfig { [implemented] slow_start_config; } }
    Ok((Balancer::RoundRobin, context.optional("slow_start_config", slow_start_config, slow_start)?.flatten()))
}

fn slow_start(
    wire: &cluster::cluster::SlowStartConfig,
    context: &mut Context<'_>,
) -> Result<Option<SlowStart>, Refusal> {
    fates! { context, wire => cluster::cluster::SlowStartConfig {
        [implemented] slow_start_window, min_weight_percent, aggression;
    } }
    let window = duration("slow_start_window", slow_start_window, context)?.unwrap_or_default();
    let minimum = context.optional("min_weight_percent", min_weight_percent, exact_percent)?;
    let aggression = context.optional("aggression", aggression, |wire, context| {
        fates! { context, wire => core::RuntimeDouble {
            [implemented] default_value;
            [no_op "there is no runtime that could change it"] runtime_key;
        } }
        Ok(*default_value)
    })?;
    let aggression = aggression.unwrap_or(1.0);
    // Envoy takes what is not above 0 for 1.
    let aggression = if aggression > 0.0 { aggression } else { 1.0 };
    let minimum = minimum.unwrap_or(DEFAULT_MINIMUM_SHARE_PERCENT) / 100.0;
    Ok((!window.is_zero()).then_some(SlowStart { window, aggression, minimum }))
}

fn exact_percent(wire: &types::Percent, context: &mut Context<'_>) -> Result<f64, Refusal> {
    percent(wire, context)?;
    Ok(wire.value)
}

fn ring_hash(wire: &cluster::cluster::RingHashLbConfig, context: &mut Context<'_>) -> Result<Balancer, Refusal> {
    fates! { context, wire => cluster::cluster::RingHashLbConfig {
        [implemented "XX_HASH"] hash_function;
        [implemented] minimum_ring_size, maximum_ring_size;
    } }
    use cluster::cluster::ring_hash_lb_config::HashFunction;
    if let HashFunction::MurmurHash2 = context.enumeration("hash_function", *hash_function)? {
        return Err(context.refusal("hash_function", "MURMUR_HASH_2 is not supported"));
    }
    let minimum_size = minimum_ring_size.unwrap_or(DEFAULT_MINIMUM_RING_SIZE);
    let maximum_size = maximum_ring_size.unwrap_or(LARGEST_RING);
    for (field, size) in [("minimum_ring_size", minimum_size), ("maximum_ring_size", maximum_size)] {
        if size > LARGEST_RING {
            return Err(context.refusal(field, format_args!("{size} is more than {LARGEST_RING}")));
        }
    }
    if minimum_size > maximum_size {
        return Err(context.refusal("minimum_ring_size", "is more than maximum_ring_size"));
    }
    Ok(Balancer::RingHash { minimum_size, maximum_size })
}

fn maglev(wire: &cluster::cluster::MaglevLbConfig, context: &mut Context<'_>) -> Result<Balancer, Refusal> {
    fates! { context, wire => cluster::cluster::MaglevLbConfig { [implemented] table_size; } }
    let table_size = table_size.unwrap_or(DEFAULT_TABLE_SIZE);
    if table_size > LARGEST_TABLE {
        return Err(context.refusal("table_size", format_args!("{table_size} is more than {LARGEST_TABLE}")));
    }
    if !is_prime(table_size) {
        return Err(context.refusal("table_size", format_args!("{table_size} is not a prime number")));
    }
    Ok(Balancer::Maglev { table_size })
}

fn is_prime(number: u64) -> bool {
    number > 1 && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

/// What `common_lb_config` says.
pub(super) struct Common {
    /// The share of healthy hosts below which health is ignored, percent.
    pub(super) panic_threshold: u8,
    pub(super) weighs_localities: bool,
}

pub(super) fn common(
    wire: &Option<cluster::cluster::CommonLbConfig>,
    context: &mut Context<'_>,
) -> Result<Common, Refusal> {
    let common = context.optional("common_lb_config", wire, convert_common)?;
    Ok(common.unwrap_or(Common { panic_threshold: DEFAULT_PANIC_THRESHOLD, weighs_localities: false }))
}

fn convert_common(wire: &cluster::cluster::CommonLbConfig, context: &mut Context<'_>) -> Result<Common, Refusal> {
    fates! { context, wire => cluster::cluster::CommonLbConfig {
            [implemented] healthy_panic_threshold;
            [no_op "updates are merged as they come"] update_merge_window;
            [no_op "there are no active health checks"] ignore_new_hosts_until_first_hc;
            [implemented] consistent_hashing_lb_config;
            [no_op "sessions are refused"] override_host_status;
            [refused "connections live on when endpoints change"] close_connections_on_host_set_change;
        }
        oneof locality_config_specifier {
            [implemented] locality_weighted_lb_config;
            [no_op "endpoints share by their own weights: a gateway knows no zone of its own"] zone_aware_lb_config;
        }
    }
    use crate::fate::Fates;
    use cluster::cluster::common_lb_config::LocalityConfigSpecifier as Specifier;
    let weighs_localities = match locality_config_specifier {
        Some(Specifier::ZoneAwareLbConfig(_)) => {
            context.no_op(cluster::cluster::CommonLbConfig::message(), "zone_aware_lb_config");
            false
        }
        Some(Specifier::LocalityWeightedLbConfig(_)) => true,
        None => false,
    };
    context.optional("consistent_hashing_lb_config", consistent_hashing_lb_config, |wire, context| {
        fates! { context, wire => cluster::cluster::common_lb_config::ConsistentHashingLbConfig {
            [refused "endpoints are hashed by their address"] use_hostname_for_hashing;
            [refused "an endpoint takes whatever its hashes bring"] hash_balance_factor;
        } }
        Ok(())
    })?;
    let panic_threshold = context.optional("healthy_panic_threshold", healthy_panic_threshold, percent)?;
    Ok(Common { panic_threshold: panic_threshold.unwrap_or(DEFAULT_PANIC_THRESHOLD), weighs_localities })
}
