//! What one session knows, by kind and name: the encoded resources that were accepted, and what was refused since.
//!
//! Resources are kept as bytes. istiod sends every cluster to every gateway, and most are never used: bytes are the smallest form
//! in which they can wait. Route tables alone are asked for only when they are needed, and are kept as they were read, too.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::ResourceType;
use crate::delta::{Held, Name, Received};
use crate::route_table::RouteTable;

/// Resources of one kind that are kept at most; istiod's largest users have some ten thousand.
pub const MAX_RESOURCES_PER_KIND: usize = 250_000;

/// The resources of one session.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    kinds: [HashMap<Name, Entry>; ResourceType::COUNT],
}

/// What is known under one name.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The last version that was accepted, in force until a newer one is.
    pub accepted: Option<Accepted>,
    /// The newest version, if it was refused.
    pub refused: Option<RefusedVersion>,
}

/// A version that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The encoded resource.
    pub body: Bytes,
    /// Its version, empty from istiod.
    pub version: Arc<str>,
    /// When it was accepted.
    pub at: SystemTime,
    /// Parts of it that were refused on their own, each with the path of the field to blame.
    pub faults: Arc<[String]>,
    /// It holds a private key and must not be written down.
    pub confidential: bool,
    /// The server has removed it; it stays because something in force still refers to it.
    pub withdrawn: bool,
    /// Of a route table: what `body` says.
    pub(crate) table: Option<Arc<RouteTable>>,
}

/// A version that was refused. Its bytes are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedVersion {
    /// Path of the field to blame, and what is wrong with it.
    pub reason: Arc<str>,
    /// Its version, empty from istiod.
    pub version: Arc<str>,
    /// When it was refused.
    pub at: SystemTime,
    digest: u64,
}

/// What a received resource is, compared with what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// The accepted bytes again.
    Unchanged {
        /// Parts that were refused on their own.
        faults: Arc<[String]>,
    },
    /// The bytes that were refused last time, for this reason.
    RefusedBefore(Arc<str>),
    /// Something to look at.
    Changed,
    /// A further name, but there is no room for it.
    Full,
}

impl Cache {
    /// Compares a received resource with what is known. Bytes that were accepted put an end to a newer refusal and to a removal.
    pub fn compare(&mut self, kind: ResourceType, received: &Received) -> Novelty {
        let entries = &mut self.kinds[kind.index()];
        let full = entries.len() >= MAX_RESOURCES_PER_KIND;
        let Some(entry) = entries.get_mut(&received.name) else {
            return if full { Novelty::Full } else { Novelty::Changed };
        };
        if let Some(accepted) = entry.accepted.as_mut().filter(|accepted| accepted.body == received.body) {
            accepted.withdrawn = false;
            accepted.version = received.version.clone();
            entry.refused = None;
            return Novelty::Unchanged { faults: accepted.faults.clone() };
        }
        match &entry.refused {
            Some(refused) if refused.digest == digest(&received.body) => Novelty::RefusedBefore(refused.reason.clone()),
            _ => Novelty::Changed,
        }
    }

    /// Keeps a resource that was accepted, and its bytes as they are: they should not be a slice of a larger message, which would
    /// stay alive as a whole.
    pub fn accept(&mut self, kind: ResourceType, received: &Received, confidential: bool, faults: &[String]) {
        let accepted = Accepted {
            body: received.body.clone(),
            version: received.version.clone(),
            at: SystemTime::now(),
            faults: faults.into(),
            confidential,
            withdrawn: false,
            table: None,
        };
        let entry = self.kinds[kind.index()].entry(received.name.clone()).or_default();
        *entry = Entry { accepted: Some(accepted), refused: None };
    }

    /// Keeps what the accepted bytes of a route table say.
    pub(crate) fn keep_table(&mut self, name: &str, table: RouteTable) {
        let entry = self.kinds[ResourceType::Route.index()].get_mut(name);
        if let Some(accepted) = entry.and_then(|entry| entry.accepted.as_mut()) {
            accepted.table = Some(Arc::new(table));
        }
    }

    /// The route table that the accepted bytes are.
    pub(crate) fn table(&self, name: &str) -> Option<&Arc<RouteTable>> {
        self.accepted(ResourceType::Route, name)?.table.as_ref()
    }

    /// Notes a refusal; what was accepted before stays.
    pub fn refuse(&mut self, kind: ResourceType, received: &Received, reason: &str) {
        let refused = RefusedVersion {
            reason: reason.into(),
            version: received.version.clone(),
            at: SystemTime::now(),
            digest: digest(&received.body),
        };
        self.kinds[kind.index()].entry(received.name.clone()).or_default().refused = Some(refused);
    }

    /// Forgets a resource. Returns whether one had been accepted.
    pub fn remove(&mut self, kind: ResourceType, name: &str) -> bool {
        self.kinds[kind.index()].remove(name).is_some_and(|entry| entry.accepted.is_some())
    }

    /// Forgets the accepted version of a resource, if there is one.
    pub fn forget_accepted(&mut self, kind: ResourceType, name: &str) {
        if let Some(entry) = self.kinds[kind.index()].get_mut(name) {
            entry.accepted = None;
        }
    }

    /// Forgets what was never accepted.
    pub fn forget_refused(&mut self) {
        for entries in &mut self.kinds {
            entries.retain(|_, entry| entry.accepted.is_some());
        }
    }

    /// Keeps only what the condition holds for.
    pub fn retain(&mut self, condition: impl Fn(ResourceType, &Name) -> bool) {
        for kind in ResourceType::ALL {
            self.kinds[kind.index()].retain(|name, _| condition(kind, name));
        }
    }

    /// Notes that the server has removed a resource that has to stay for now.
    pub fn withdraw(&mut self, kind: ResourceType, name: &str) {
        if let Some(entry) = self.kinds[kind.index()].get_mut(name) {
            entry.refused = None;
            if let Some(accepted) = &mut entry.accepted {
                accepted.withdrawn = true;
            }
        }
    }

    /// The accepted version of a resource.
    #[must_use]
    pub fn accepted(&self, kind: ResourceType, name: &str) -> Option<&Accepted> {
        self.kinds[kind.index()].get(name)?.accepted.as_ref()
    }

    /// Everything known of a kind, in no order.
    pub fn entries(&self, kind: ResourceType) -> impl Iterator<Item = (&Name, &Entry)> {
        self.kinds[kind.index()].iter()
    }

    /// What the server is told when a stream opens.
    #[must_use]
    pub fn held(&self, kind: ResourceType) -> Vec<Held> {
        let held = |(name, entry): (&Name, &Entry)| {
            let accepted = entry.accepted.as_ref().filter(|accepted| !accepted.withdrawn)?;
            Some(Held { name: name.clone(), version: accepted.version.clone(), refused: entry.refused.is_some() })
        };
        self.entries(kind).filter_map(held).collect()
    }
}

/// Tells two versions apart that are not both kept.
fn digest(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}
