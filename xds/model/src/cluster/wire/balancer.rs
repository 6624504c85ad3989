//! Conversion of load balancing.

use xds_api::envoy::config::cluster::v3 as cluster;

use crate::cluster::Balancer;
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::wire::number::percent;

/// Envoy's default of `healthy_panic_threshold`. Percent.
const DEFAULT_PANIC_THRESHOLD: u8 = 50;
/// Envoy's default of `choice_count`.
const DEFAULT_CHOICES: u32 = 2;

pub(super) fn convert(
    policy: i32,
    config: &Option<cluster::cluster::LbConfig>,
    context: &mut Context<'_>,
) -> Result<Balancer, Refusal> {
    use cluster::cluster::{LbConfig, LbPolicy};
    let choices = match config {
        Some(LbConfig::LeastRequestLbConfig(wire)) => {
            context.within("least_request_lb_config", |context| least_request(wire, context))?
        }
        Some(LbConfig::RoundRobinLbConfig(wire)) => {
            context.within("round_robin_lb_config", |context| round_robin(wire, context))?;
            DEFAULT_CHOICES
        }
        Some(LbConfig::RingHashLbConfig(_)) => {
            return Err(context.refused_member::<cluster::Cluster>("ring_hash_lb_config"));
        }
        Some(LbConfig::MaglevLbConfig(_)) => {
            return Err(context.refused_member::<cluster::Cluster>("maglev_lb_config"));
        }
        Some(LbConfig::OriginalDstLbConfig(_)) => {
            return Err(context.refused_member::<cluster::Cluster>("original_dst_lb_config"));
        }
        None => DEFAULT_CHOICES,
    };
    let refused = |reason| Err(context.refusal("lb_policy", reason));
    match context.enumeration("lb_policy", policy)? {
        LbPolicy::LeastRequest => Ok(Balancer::LeastRequest { choices }),
        LbPolicy::RoundRobin => Ok(Balancer::RoundRobin),
        LbPolicy::Random => Ok(Balancer::Random),
        LbPolicy::RingHash => refused("RING_HASH: balancing by hash is not supported yet"),
        LbPolicy::Maglev => refused("MAGLEV: balancing by hash is not supported yet"),
        LbPolicy::ClusterProvided => refused("CLUSTER_PROVIDED: original destinations are not supported yet"),
        LbPolicy::LoadBalancingPolicyConfig => {
            refused("LOAD_BALANCING_POLICY_CONFIG: extensions of load balancing are not supported")
        }
    }
}

fn least_request(wire: &cluster::cluster::LeastRequestLbConfig, context: &mut Context<'_>) -> Result<u32, Refusal> {
    fates! { context, wire => cluster::cluster::LeastRequestLbConfig {
        [implemented] choice_count;
        [no_op "new endpoints get their full share at once; comes with balancing between edges"] slow_start_config;
        [refused "the bias is fixed"] active_request_bias;
    } }
    match choice_count.unwrap_or(DEFAULT_CHOICES) {
        0 | 1 => Err(context.refusal("choice_count", "must be at least 2")),
        choices => Ok(choices),
    }
}

fn round_robin(wire: &cluster::cluster::RoundRobinLbConfig, context: &mut Context<'_>) -> Result<(), Refusal> {
    fates! { context, wire => cluster::cluster::RoundRobinLbConfig {
        [no_op "new endpoints get their full share at once; comes with balancing between edges"] slow_start_config;
    } }
    Ok(())
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
            [no_op "clusters that balance by hash are refused"] consistent_hashing_lb_config;
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
    let panic_threshold = context.optional("healthy_panic_threshold", healthy_panic_threshold, percent)?;
    Ok(Common { panic_threshold: panic_threshold.unwrap_or(DEFAULT_PANIC_THRESHOLD), weighs_localities })
}
