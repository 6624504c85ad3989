//! What can be seen of a session from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use xds_model::fate::NoOp;

use crate::ResourceType;
use crate::cache::{Entry, RefusedVersion};
use crate::configuration::Configuration;
use crate::delta::{Name, Refused, faulty};
use crate::references::Key;

/// How a session is doing.
#[derive(Clone, Debug, Default)]
pub struct SessionStatus {
    /// Since when a stream stands; `None` if none does.
    pub connected_since: Option<SystemTime>,
    /// Streams that were opened.
    pub streams: u64,
    /// Attempts that failed, and streams that ended.
    pub failures: u64,
    /// Why the last one did.
    pub last_failure: Option<String>,
    /// Responses of a type that was not asked for.
    pub unexpected_responses: u64,
    /// By kind, in the order of [`ResourceType::ALL`].
    pub kinds: [KindStatus; ResourceType::COUNT],
    /// What is held back, and the first thing that each waits for.
    pub waiting: Vec<(Key, Key)>,
    /// Settings that were accepted without effect, and how often.
    pub no_ops: BTreeMap<NoOp, u64>,
    /// The last good state on disk.
    pub snapshot: SnapshotStatus,
}

/// How one kind is doing.
#[derive(Clone, Debug, Default)]
pub struct KindStatus {
    /// The server's version of its last response.
    pub version: String,
    /// When that came.
    pub last_response: Option<SystemTime>,
    /// Responses.
    pub responses: u64,
    /// Responses that were refused in whole or in part (NACK).
    pub nacks: u64,
    /// Resources in them that were accepted as a whole, changed or not.
    pub accepted: u64,
    /// Refusals; a resource may be refused in several places.
    pub refused: u64,
    /// Resources that came although nobody asked for them.
    pub unwanted: u64,
    /// The last refusal.
    pub last_refusal: Option<LastRefusal>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRefusal {
    /// When.
    pub at: SystemTime,
    /// The resource.
    pub name: String,
    /// Path of the field to blame, and what is wrong with it.
    pub reason: String,
}

/// The last good state on disk.
#[derive(Clone, Debug, Default)]
pub struct SnapshotStatus {
    /// When it was last written, or read.
    pub written: Option<SystemTime>,
    /// Attempts to write or read it that failed.
    pub failures: u64,
}

/// A resource as it is held.
#[derive(Clone, Debug)]
pub struct HeldResource {
    /// Its kind.
    pub kind: ResourceType,
    /// Its name.
    pub name: Name,
    /// Its version, empty from istiod.
    pub version: String,
    /// The encoded resource; empty if no version was ever accepted. It may contain private keys.
    pub body: Bytes,
    /// When that was accepted.
    pub accepted_at: Option<SystemTime>,
    /// Something refers to it (listeners: always).
    pub needed: bool,
    /// The server has removed it.
    pub withdrawn: bool,
    /// Parts of the accepted version that were refused alone, each with the path of the field to blame.
    pub faults: Arc<[String]>,
    /// The newest version, if that was refused.
    pub refused: Option<RefusedVersion>,
}

impl KindStatus {
    pub(super) fn note_verdict(&mut self, resources: usize, refused: &[Refused]) {
        self.responses += 1;
        self.last_response = Some(SystemTime::now());
        self.refused += refused.len() as u64;
        self.accepted += resources.saturating_sub(faulty(refused)) as u64;
        if let Some(last) = refused.last() {
            self.nacks += 1;
            self.last_refusal =
                Some(LastRefusal { at: SystemTime::now(), name: last.name.to_string(), reason: last.reason.clone() });
        }
    }
}

/// Everything that a configuration holds, by kind and name.
#[must_use]
pub fn held(configuration: &Configuration) -> Vec<HeldResource> {
    let mut held: Vec<HeldResource> = ResourceType::ALL
        .into_iter()
        .flat_map(|kind| configuration.cache().entries(kind).map(move |(name, entry)| (kind, name, entry)))
        .map(|(kind, name, entry)| {
            let needed = kind == ResourceType::Listener || configuration.is_needed(kind, name);
            held_resource(kind, name, entry, needed)
        })
        .collect();
    held.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    held
}

fn held_resource(kind: ResourceType, name: &Name, entry: &Entry, needed: bool) -> HeldResource {
    let accepted = entry.accepted.as_ref();
    HeldResource {
        kind,
        name: name.clone(),
        version: accepted.map(|accepted| accepted.version.to_string()).unwrap_or_default(),
        body: accepted.map(|accepted| accepted.body.clone()).unwrap_or_default(),
        accepted_at: accepted.map(|accepted| accepted.at),
        needed,
        withdrawn: accepted.is_some_and(|accepted| accepted.withdrawn),
        faults: accepted.map(|accepted| accepted.faults.clone()).unwrap_or_default(),
        refused: entry.refused.clone(),
    }
}
