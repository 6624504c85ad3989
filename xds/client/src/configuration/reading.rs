//! From bytes to resources, with what is known from the version before.

use std::sync::Arc;

use bytes::Bytes;
use xds_model::error::Refusal;
use xds_model::fate::Report;

use super::Configuration;
use crate::ResourceType;
use crate::delta::Received;
use crate::references::Targets;
use crate::resource::Resource;
use crate::route_table::RouteTable;

/// A resource that was just read.
pub(super) struct Decoded {
    pub(super) resource: Resource,
    /// If it is one.
    pub(super) table: Option<RouteTable>,
}

impl Configuration {
    /// A route table is read with the help of the version before.
    pub(super) fn decode(&self, kind: ResourceType, received: &Received) -> Result<(Decoded, Report), Refusal> {
        let Received { name, body, .. } = received;
        if kind == ResourceType::Route {
            let before = self.cache.table(name).map(|table| &**table);
            let (table, report) = RouteTable::decode(name, body, before)?;
            return Ok((Decoded { resource: table.resource(), table: Some(table) }, report));
        }
        Resource::decode(kind, name, body).map(|(resource, report)| (Decoded { resource, table: None }, report))
    }

    /// The version that was accepted last.
    pub(super) fn decode_accepted(&self, kind: ResourceType, name: &str) -> Option<Resource> {
        let accepted = self.cache.accepted(kind, name)?;
        if let Some(table) = &accepted.table {
            return Some(table.resource());
        }
        Resource::decode(kind, name, &accepted.body).ok().map(|(resource, _)| resource)
    }

    /// What a resource refers to.
    pub(super) fn targets(&self, resource: &Resource) -> Arc<Targets> {
        let known = match resource {
            Resource::Route(routes) => {
                self.cache.table(&routes.name).filter(|known| Arc::ptr_eq(known.table(), routes))
            }
            _ => None,
        };
        known.map_or_else(|| Arc::new(resource.targets()), |known| known.targets().clone())
    }
}

/// With a copy of the bytes: those that were received are a slice of the whole response, and would keep all of it alive.
pub(super) fn of_its_own(received: &Received) -> Received {
    Received { body: Bytes::copy_from_slice(&received.body), ..received.clone() }
}

pub(super) fn union(one: &Arc<Targets>, other: &Arc<Targets>) -> Arc<Targets> {
    if one.is_empty() || Arc::ptr_eq(one, other) {
        return other.clone();
    }
    Arc::new(one.union(other).cloned().collect())
}
