//! The mesh as the resources that istiod sends to a gateway, with istiod's names and defaults.

mod access_log;
mod cluster;
mod connection_manager;
mod endpoint;
mod failover_priority;
mod filter_chain;
mod hash;
mod header;
mod http_filter;
mod listener;
mod load_balancer;
mod locality;
mod retry;
mod route;
mod route_match;
mod route_table;
mod sds;
mod secret;
mod server_tls;
mod tracing;
mod traffic_policy;
mod upstream_tls;
mod wire;

use std::fmt;

use bytes::Bytes;
use prost::{Message, Name};

use crate::mesh::Mesh;
use crate::object::Objects;
use crate::problem::Problems;

/// What a control plane sends: a message with its type and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// `type.googleapis.com/` and the full name of the message.
    pub type_url: String,
    /// The name that it is known by among those of its type.
    pub name: String,
    /// The message, encoded.
    pub message: Bytes,
}

/// Without the message, which may hold a private key.
impl fmt::Debug for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.type_url, self.name)
    }
}

impl Resource {
    fn new<T: Message + Name>(name: &str, message: &T) -> Self {
        Self { type_url: T::type_url(), name: name.to_owned(), message: message.encode_to_vec().into() }
    }
}

/// All resources, sorted by type and name. A reference that leads nowhere is a warning.
pub(crate) fn resources(mesh: &Mesh, objects: &Objects, problems: &Problems) -> Vec<Resource> {
    let mut resources = listener::resources(mesh, problems);
    resources.extend(route_table::resources(mesh, problems));
    resources.extend(cluster::resources(mesh));
    resources.extend(secret::resources(mesh, objects, problems));
    resources.sort();
    resources
}
