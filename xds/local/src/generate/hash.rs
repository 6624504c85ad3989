//! What requests and connections are hashed by on their way to clusters that balance by it (`consistentHash`).

use xds_api::envoy::config::route::v3::route_action::HashPolicy;
use xds_api::envoy::config::route::v3::route_action::hash_policy::{
    ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier, QueryParameter,
};
use xds_api::envoy::r#type::v3::HashPolicy as StreamHashPolicy;
use xds_api::envoy::r#type::v3::hash_policy::{PolicySpecifier as StreamPolicySpecifier, SourceIp};

use super::wire::duration;
use crate::mesh::Mesh;
use crate::object::destination_rule::{ConsistentHash, DestinationRule, HashCookie, HashKey, TrafficPolicy};
use crate::object::virtual_service::{Destination, HttpRoute};

/// What a route does about hashes.
#[derive(Default)]
pub(super) struct RouteHash {
    /// One for each destination that wants one.
    pub(super) policies: Vec<HashPolicy>,
    /// The hash alone decides where a request goes, even when it is sent again.
    pub(super) decides: bool,
}

/// The hashes that the destinations of a route want; those without a share have no say.
pub(super) fn of_route(mesh: &Mesh, route: &HttpRoute) -> RouteHash {
    let is_only = route.route.len() == 1;
    let targets = route.route.iter().filter(|target| is_only || target.weight > 0);
    let hashes: Vec<_> = targets.filter_map(|target| of_destination(mesh, &target.destination)).collect();
    let policies = hashes.iter().filter_map(|hash| hash.key.as_ref()).map(policy).collect();
    RouteHash { policies, decides: is_only && !hashes.is_empty() }
}

/// The port of the subset comes first, then the subset, then the port, then the rule (istiod's `HashForHTTPDestination`). Unlike
/// that of a cluster, this choice is not stopped by a policy of a port or subset that says nothing of hashes.
fn of_destination<'a>(mesh: &'a Mesh, destination: &Destination) -> Option<&'a ConsistentHash> {
    let rule = mesh.destination_rule(&destination.host)?;
    let subset = rule.subsets.iter().find(|subset| subset.name == destination.subset);
    let at_port = |policy: &'a TrafficPolicy| policy.ports.get(&destination.port?)?.consistent_hash();
    let of = |policy: &'a TrafficPolicy| at_port(policy).or_else(|| policy.consistent_hash());
    let of_subset = subset.and_then(|subset| of(subset.policy.as_ref()?));
    of_subset.or_else(|| of(rule.policy.as_ref()?))
}

/// The hash of connections that a rule wants (istiod's `maybeSetHashPolicy`): only by address, and policies for ports do not count.
pub(super) fn of_connections(rule: &DestinationRule, subset: &str) -> Vec<StreamHashPolicy> {
    let subset = rule.subsets.iter().find(|known| known.name == subset);
    let of_subset = subset.and_then(|subset| subset.policy.as_ref()?.load_balancer.as_ref());
    let balancing = of_subset.or_else(|| rule.policy.as_ref()?.load_balancer.as_ref());
    match balancing.and_then(|balancing| balancing.consistent_hash.as_ref()?.key.as_ref()) {
        Some(HashKey::SourceIp(true)) => {
            vec![StreamHashPolicy { policy_specifier: Some(StreamPolicySpecifier::SourceIp(SourceIp {})) }]
        }
        _ => Vec::new(),
    }
}

fn policy(key: &HashKey) -> HashPolicy {
    let specifier = match key {
        HashKey::Header(name) => PolicySpecifier::Header(Header { header_name: name.clone(), ..Header::default() }),
        HashKey::Cookie(own) => PolicySpecifier::Cookie(cookie(own)),
        HashKey::SourceIp(source_ip) => {
            PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: *source_ip })
        }
        HashKey::QueryParameter(name) => PolicySpecifier::QueryParameter(QueryParameter { name: name.clone() }),
    };
    HashPolicy { policy_specifier: Some(specifier), ..HashPolicy::default() }
}

fn cookie(cookie: &HashCookie) -> Cookie {
    let attribute = |(name, value): &(String, String)| CookieAttribute { name: name.clone(), value: value.clone() };
    Cookie {
        name: cookie.name.clone(),
        ttl: cookie.ttl.map(duration),
        path: cookie.path.clone(),
        attributes: cookie.attributes.iter().map(attribute).collect(),
    }
}
