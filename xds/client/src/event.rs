//! What a session tells its consumer.

use std::time::SystemTime;

use crate::ResourceType;
use crate::delta::Name;
use crate::resource::Resource;

/// Something that happened. Events come in batches; a batch belongs together, and is best applied as one change.
///
/// Within a batch what is new comes before what refers to it, and what is gone comes last.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A resource is new or has changed, and all that it refers to has been told before (but see [`crate::configuration`]).
    Upsert(Resource),
    /// A resource is gone, and nothing that was told refers to it any more. Extension configurations alone may still be referred to:
    /// a default may take their place.
    Remove {
        /// Its kind.
        kind: ResourceType,
        /// Its name.
        name: Name,
    },
    /// What the server sends of this kind has been told for the first time. For listeners this includes their route
    /// configurations, clusters and endpoints. Once per session and kind; only of kinds that are sent without being asked for.
    Synced(ResourceType),
    /// The last good state was read from disk; its resources are in this batch.
    Restored {
        /// Number of resources.
        resources: usize,
        /// When it was written.
        written: SystemTime,
    },
    /// A stream stands.
    Connected,
    /// The stream has ended, or could not be opened. Everything told stays in force.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// The last good state could not be read or written; nothing in memory is lost.
    SnapshotFailed {
        /// Why, with the path.
        reason: String,
    },
}
