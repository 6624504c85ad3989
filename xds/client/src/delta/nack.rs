//! The text of a NACK.

use std::collections::BTreeSet;

use super::Name;
use crate::ResourceType;

/// Bytes of the message of a NACK. istiod logs it, and keeps it for its status page.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Room for the closing words.
const RESERVE: usize = 32;

/// A resource that was refused, or one fault of it: some are applied without the part that is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name.
    pub name: Name,
    /// Path of the field to blame, and what is wrong with it.
    pub reason: String,
}

/// Names every refused resource, as far as there is room.
pub(super) fn message(kind: ResourceType, resources: usize, refused: &[Refused]) -> String {
    let (faulty, all) = (faulty(refused), plural(kind, resources));
    let mut text = format!("{faulty} of {all} refused in whole or in part, the rest applied");
    for (listed, Refused { name, reason }) in refused.iter().enumerate() {
        let separator = if listed == 0 { ": " } else { "; " };
        let entry = format!("{separator}{name}: {reason}");
        if text.len() + entry.len() > MAX_MESSAGE_BYTES - RESERVE {
            text.push_str(&format!("; and {} more", refused.len() - listed));
            break;
        }
        text.push_str(&entry);
    }
    text
}

/// How many resources are at fault, each in one place or more.
pub(crate) fn faulty(refused: &[Refused]) -> usize {
    refused.iter().map(|refused| &refused.name).collect::<BTreeSet<_>>().len()
}

fn plural(kind: ResourceType, count: usize) -> String {
    format!("{count} {kind} resource{}", if count == 1 { "" } else { "s" })
}
