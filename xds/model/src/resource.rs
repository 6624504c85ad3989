//! Resources of any type, from their bytes.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use prost::{Message, Name};
use xds_api::envoy::config::cluster::v3 as cluster;
use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::config::endpoint::v3 as endpoint;
use xds_api::envoy::config::listener::v3 as listener;
use xds_api::envoy::config::route::v3 as route;
use xds_api::envoy::extensions::transport_sockets::tls::v3 as tls;
use xds_api::type_url;

use crate::cluster::Cluster;
use crate::endpoint::ClusterLoadAssignment;
use crate::error::Refusal;
use crate::fate::Report;
use crate::http::ExtensionConfig;
use crate::listener::Listener;
use crate::route::RouteConfiguration;
use crate::secret::Secret;

/// A validated resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// LDS.
    Listener(Box<Listener>),
    /// RDS.
    RouteConfiguration(Box<RouteConfiguration>),
    /// CDS.
    Cluster(Box<Cluster>),
    /// EDS.
    ClusterLoadAssignment(Box<ClusterLoadAssignment>),
    /// SDS.
    Secret(Box<Secret>),
    /// ECDS.
    ExtensionConfig(Box<ExtensionConfig>),
}

impl Resource {
    /// The name of the resource.
    pub fn name(&self) -> &str {
        match self {
            Self::Listener(listener) => &listener.name,
            Self::RouteConfiguration(table) => &table.name,
            Self::Cluster(cluster) => &cluster.name,
            Self::ClusterLoadAssignment(assignment) => &assignment.cluster_name,
            Self::Secret(secret) => &secret.name,
            Self::ExtensionConfig(extension) => &extension.name,
        }
    }
}

/// Decodes and converts the resource in `value`, whose type `type_url` names.
///
/// # Errors
/// The type is not one of LDS, RDS, CDS, EDS, SDS and ECDS, `value` is not an encoding of it, or a field is refused. A refusal that comes
/// before the name is known has an empty one.
pub fn decode(type_url: &str, value: &Bytes, report: &mut Report) -> Result<Resource, Refusal> {
    match type_url {
        type_url::LISTENER => {
            let listener = Listener::from_wire(&message::<listener::Listener>(value)?, report)?;
            Ok(Resource::Listener(Box::new(listener)))
        }
        type_url::ROUTE => {
            let table = RouteConfiguration::from_wire(&message::<route::RouteConfiguration>(value)?, report)?;
            Ok(Resource::RouteConfiguration(Box::new(table)))
        }
        type_url::CLUSTER => {
            let cluster = Cluster::from_wire(&message::<cluster::Cluster>(value)?, report)?;
            Ok(Resource::Cluster(Box::new(cluster)))
        }
        type_url::ENDPOINTS => {
            let wire = message::<endpoint::ClusterLoadAssignment>(value)?;
            Ok(Resource::ClusterLoadAssignment(Box::new(ClusterLoadAssignment::from_wire(&wire, report)?)))
        }
        type_url::SECRET => {
            let secret = Secret::from_wire(&message::<tls::Secret>(value)?, report)?;
            Ok(Resource::Secret(Box::new(secret)))
        }
        type_url::EXTENSION => {
            let extension = ExtensionConfig::from_wire(&message::<core::TypedExtensionConfig>(value)?, report)?;
            Ok(Resource::ExtensionConfig(Box::new(extension)))
        }
        _ => Err(refusal("", "type_url", format!("{type_url:?} is not the type of a resource"))),
    }
}

fn message<M: Message + Name + Default>(value: &Bytes) -> Result<M, Refusal> {
    M::decode(value.clone()).map_err(|error| refusal("", "", format!("malformed {}: {error}", M::full_name())))
}

fn refusal(resource: &str, field: &str, reason: String) -> Refusal {
    Refusal { resource: resource.to_owned(), field: field.to_owned(), reason }
}
