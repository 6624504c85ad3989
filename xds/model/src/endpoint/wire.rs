//! Conversion of endpoints.

#[cfg(test)]
mod tests;

use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::config::endpoint::v3 as endpoint;

use crate::context::Context;
use crate::endpoint::{ClusterLoadAssignment, Endpoint, EndpointAddress, Health, Locality, LocalityEndpoints};
use crate::error::Refusal;
use crate::fate::{Report, fates};
use crate::wire::{address, metadata};

/// Envoy's default of `overprovisioning_factor`. Percent.
const DEFAULT_OVERPROVISIONING: u32 = 140;
/// The lowest priority there is.
const LOWEST_PRIORITY: u32 = 128;
/// Metadata that chooses the transport socket.
const TRANSPORT_MATCH: &str = "envoy.transport_socket_match";

/// Whether endpoints may have host names.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Names {
    /// They are looked up.
    Resolved,
    /// There is nobody to look them up.
    Refused,
}

impl ClusterLoadAssignment {
    /// Converts the endpoints of a cluster.
    ///
    /// An endpoint that cannot be reached (it has a host name, or needs HBONE) is left out and named in `report.refusals`.
    ///
    /// # Errors
    /// A field is refused.
    pub fn from_wire(wire: &endpoint::ClusterLoadAssignment, report: &mut Report) -> Result<Self, Refusal> {
        Self::convert(wire, Names::Refused, &mut Context::new(&wire.cluster_name, report))
    }

    pub(crate) fn convert(
        wire: &endpoint::ClusterLoadAssignment,
        names: Names,
        context: &mut Context<'_>,
    ) -> Result<Self, Refusal> {
        fates! { context, wire => endpoint::ClusterLoadAssignment {
            [implemented] cluster_name, endpoints, policy;
            [refused "endpoints are given where they are used"] named_endpoints;
        } }
        let locality = |wire: &_, context: &mut Context<'_>| locality(wire, names, context);
        Ok(Self {
            cluster_name: cluster_name.clone(),
            localities: context.each("endpoints", endpoints, locality)?,
            overprovisioning_factor: context
                .optional("policy", policy, overprovisioning)?
                .unwrap_or(DEFAULT_OVERPROVISIONING),
        })
    }
}

fn overprovisioning(
    wire: &endpoint::cluster_load_assignment::Policy,
    context: &mut Context<'_>,
) -> Result<u32, Refusal> {
    fates! { context, wire => endpoint::cluster_load_assignment::Policy {
        [implemented] overprovisioning_factor;
        [refused "not supported"] drop_overloads, endpoint_stale_after, weighted_priority_health;
    } }
    match overprovisioning_factor.unwrap_or(DEFAULT_OVERPROVISIONING) {
        0 => Err(context.refusal("overprovisioning_factor", "must be more than 0")),
        factor => Ok(factor),
    }
}

fn locality(
    wire: &endpoint::LocalityLbEndpoints,
    names: Names,
    context: &mut Context<'_>,
) -> Result<LocalityEndpoints, Refusal> {
    fates! { context, wire => endpoint::LocalityLbEndpoints {
            [implemented] locality, lb_endpoints, load_balancing_weight;
            [implemented "0 to 128"] priority;
            [no_op "nothing reads it"] metadata, proximity;
        }
        oneof lb_config {
            [refused "endpoints are given in lb_endpoints"] load_balancer_endpoints, leds_cluster_locality_config;
        }
    }
    use endpoint::locality_lb_endpoints::LbConfig;
    match lb_config {
        None => {}
        Some(LbConfig::LoadBalancerEndpoints(_)) => {
            return Err(context.refused_member::<endpoint::LocalityLbEndpoints>("load_balancer_endpoints"));
        }
        Some(LbConfig::LedsClusterLocalityConfig(_)) => {
            return Err(context.refused_member::<endpoint::LocalityLbEndpoints>("leds_cluster_locality_config"));
        }
    }
    if *priority > LOWEST_PRIORITY {
        return Err(context.refusal("priority", format_args!("{priority} is more than {LOWEST_PRIORITY}")));
    }
    let endpoints = context.each("lb_endpoints", lb_endpoints, |wire, context| {
        lb_endpoint(wire, names, context).map(|usable| usable.map_err(|refusal| context.report(refusal)).ok())
    })?;
    Ok(LocalityEndpoints {
        locality: context.optional("locality", locality, place)?.unwrap_or_default(),
        priority: *priority,
        weight: load_balancing_weight.unwrap_or(1),
        endpoints: endpoints.into_iter().flatten().collect(),
    })
}

fn place(wire: &core::Locality, context: &mut Context<'_>) -> Result<Locality, Refusal> {
    fates! { context, wire => core::Locality { [implemented] region, zone, sub_zone; } }
    Ok(Locality { region: region.clone(), zone: zone.clone(), sub_zone: sub_zone.clone() })
}

/// An endpoint, or why it alone cannot be used. The outer result refuses the whole resource.
fn lb_endpoint(
    wire: &endpoint::LbEndpoint,
    names: Names,
    context: &mut Context<'_>,
) -> Result<Result<Endpoint, Refusal>, Refusal> {
    fates! { context, wire => endpoint::LbEndpoint {
            [implemented] health_status, metadata;
            [implemented "at least 1"] load_balancing_weight;
        }
        oneof host_identifier {
            [implemented] endpoint;
            [refused "endpoints are given where they are used"] endpoint_name;
        }
    }
    use endpoint::lb_endpoint::HostIdentifier;
    let addresses = match host_identifier {
        Some(HostIdentifier::Endpoint(wire)) => context.within("endpoint", |context| addresses(wire, context))?,
        Some(HostIdentifier::EndpointName(_)) => {
            return Err(context.refused_member::<endpoint::LbEndpoint>("endpoint_name"));
        }
        None => return Err(context.refusal("endpoint", "is missing")),
    };
    let facts = context.optional("metadata", metadata, facts)?.unwrap_or_default();
    let health = health(*health_status, context)?;
    let weight = match load_balancing_weight.unwrap_or(1) {
        0 => return Err(context.refusal("load_balancing_weight", "must be at least 1")),
        weight => weight,
    };
    if facts.transport_match.iter().any(|(key, _)| key == "tunnel") {
        return Ok(Err(context.refusal("metadata", "the endpoint needs HBONE, which is not supported yet")));
    }
    Ok(reachable(addresses, names, context).map(|(address, additional_addresses)| Endpoint {
        address,
        additional_addresses,
        weight,
        health,
        transport_match: facts.transport_match,
        workload: facts.workload,
    }))
}

/// The addresses of an endpoint; each may be one that cannot be used.
type Addresses = Vec<Result<EndpointAddress, Refusal>>;

fn addresses(wire: &endpoint::Endpoint, context: &mut Context<'_>) -> Result<Addresses, Refusal> {
    fates! { context, wire => endpoint::Endpoint {
        [implemented] address, additional_addresses;
        [no_op "names of statistics"] observability_name;
        [no_op "authorities are not rewritten to the names of endpoints"] hostname;
        [no_op "there are no active health checks"] health_check_config;
    } }
    let mut addresses = vec![context.required("address", address, address::address)];
    addresses.extend(context.each("additional_addresses", additional_addresses, |wire, context| {
        fates! { context, wire => endpoint::endpoint::AdditionalAddress { [implemented] address; } }
        Ok(context.required("address", address, address::address))
    })?);
    Ok(addresses)
}

/// The first address and the others, if all of them can be used.
fn reachable(
    addresses: Addresses,
    names: Names,
    context: &Context<'_>,
) -> Result<(EndpointAddress, Vec<EndpointAddress>), Refusal> {
    let mut addresses = addresses.into_iter().map(|address| match address? {
        EndpointAddress::Name(name, _) if names == Names::Refused => {
            Err(context.refusal("endpoint.address", format_args!("{name:?} is not an IP address")))
        }
        address => Ok(address),
    });
    let first = addresses.next().ok_or_else(|| context.refusal("endpoint.address", "is missing"))??;
    Ok((first, addresses.collect::<Result<_, _>>()?))
}

/// What metadata says about an endpoint.
#[derive(Default)]
struct Facts {
    transport_match: Vec<(String, String)>,
    workload: Option<String>,
}

fn facts(wire: &core::Metadata, context: &mut Context<'_>) -> Result<Facts, Refusal> {
    let namespaces = metadata::namespaces(wire, context)?;
    let transport_match = namespaces.get(TRANSPORT_MATCH).map(|namespace| metadata::texts(&namespace.fields));
    let istio = namespaces.get("istio").map(|namespace| &namespace.fields);
    Ok(Facts {
        transport_match: transport_match.unwrap_or_default(),
        workload: istio.and_then(|istio| metadata::text(istio, "workload")),
    })
}

fn health(status: i32, context: &Context<'_>) -> Result<Health, Refusal> {
    use core::HealthStatus as Status;
    Ok(match context.enumeration("health_status", status)? {
        Status::Unknown | Status::Healthy => Health::Healthy,
        Status::Unhealthy | Status::Timeout => Health::Unhealthy,
        Status::Degraded => Health::Degraded,
        Status::Draining => Health::Draining,
    })
}
