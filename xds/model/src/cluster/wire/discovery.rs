//! Conversion of where a cluster's endpoints come from.

use std::time::Duration;

use xds_api::envoy::config::cluster::v3 as cluster;

use crate::cluster::{Discovery, Dns, DnsFamily};
use crate::context::Context;
use crate::endpoint::ClusterLoadAssignment;
use crate::endpoint::wire::Names;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, fates};
use crate::wire::extension::typed_config;
use crate::wire::{number, source};

/// Envoy's default of `dns_refresh_rate`.
const DEFAULT_REFRESH_RATE: Duration = Duration::from_secs(5);

pub(crate) const DNS_RESOLVERS: ExtensionTable = ExtensionTable {
    kind: "DNS resolver",
    rows: &[
        Extension::no_op("envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig", SYSTEM),
        Extension::no_op("envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig", SYSTEM),
    ],
};
const SYSTEM: &str = "names are resolved by the system's resolver";

pub(super) fn convert(
    wire: &cluster::Cluster,
    kind: &Option<cluster::cluster::ClusterDiscoveryType>,
    context: &mut Context<'_>,
) -> Result<Discovery, Refusal> {
    use cluster::cluster::{ClusterDiscoveryType, DiscoveryType};
    context.optional("typed_dns_resolver_config", &wire.typed_dns_resolver_config, |wire, context| {
        let any = typed_config(wire, context)?;
        context.within("typed_config", |context| context.extension(&DNS_RESOLVERS, any))
    })?;
    let kind = match kind {
        Some(ClusterDiscoveryType::Type(kind)) => context.enumeration("type", *kind)?,
        Some(ClusterDiscoveryType::ClusterType(custom)) => {
            let reason = format_args!("clusters of type {:?} are not supported yet", custom.name);
            return Err(context.refusal("cluster_type", reason));
        }
        None => DiscoveryType::Static,
    };
    match kind {
        DiscoveryType::Eds => eds(wire, context),
        DiscoveryType::Static => Ok(Discovery::Static(
            context
                .optional("load_assignment", &wire.load_assignment, |wire, context| {
                    ClusterLoadAssignment::convert(wire, Names::Refused, context)
                })?
                .unwrap_or_default(),
        )),
        DiscoveryType::StrictDns => dns(wire, context).map(Discovery::StrictDns),
        DiscoveryType::LogicalDns => logical_dns(wire, context),
        DiscoveryType::OriginalDst => {
            Err(context.refusal("type", "ORIGINAL_DST: original destinations are not supported yet"))
        }
    }
}

fn eds(wire: &cluster::Cluster, context: &mut Context<'_>) -> Result<Discovery, Refusal> {
    context.required("eds_cluster_config", &wire.eds_cluster_config, |config, context| {
        fates! { context, config => cluster::cluster::EdsClusterConfig { [implemented] eds_config, service_name; } }
        context.required("eds_config", eds_config, source::ads)?;
        Ok(Discovery::Eds(if service_name.is_empty() { wire.name.clone() } else { service_name.clone() }))
    })
}

fn logical_dns(wire: &cluster::Cluster, context: &mut Context<'_>) -> Result<Discovery, Refusal> {
    let dns = dns(wire, context)?;
    let endpoints: usize = dns.endpoints.localities.iter().map(|locality| locality.endpoints.len()).sum();
    if endpoints != 1 {
        return Err(context.refusal("load_assignment", "LOGICAL_DNS needs exactly one endpoint"));
    }
    Ok(Discovery::LogicalDns(dns))
}

fn dns(wire: &cluster::Cluster, context: &mut Context<'_>) -> Result<Dns, Refusal> {
    use cluster::cluster::DnsLookupFamily;
    let endpoints = context.required("load_assignment", &wire.load_assignment, |wire, context| {
        ClusterLoadAssignment::convert(wire, Names::Resolved, context)
    })?;
    Ok(Dns {
        endpoints,
        family: match context.enumeration("dns_lookup_family", wire.dns_lookup_family)? {
            DnsLookupFamily::Auto => DnsFamily::Auto,
            DnsLookupFamily::V4Only => DnsFamily::V4Only,
            DnsLookupFamily::V6Only => DnsFamily::V6Only,
            DnsLookupFamily::V4Preferred => DnsFamily::V4Preferred,
            DnsLookupFamily::All => DnsFamily::All,
        },
        refresh_rate: match number::duration("dns_refresh_rate", &wire.dns_refresh_rate, context)? {
            Some(rate) if rate < Duration::from_millis(1) => {
                return Err(context.refusal("dns_refresh_rate", "must be at least 1 ms"));
            }
            rate => rate.unwrap_or(DEFAULT_REFRESH_RATE),
        },
        respect_ttl: wire.respect_dns_ttl,
    })
}
