//! Whose name is whose. A name is that of one node for ever, whatever its tenant and kind: by its name alone others reach it. One that was only ever in
//! tokens, which nobody used, is free again when they have expired.

use serde::{Deserialize, Serialize};

use super::{Authority, AuthorityError, from_bytes, to_bytes};
use crate::identity::is_name;
use crate::node::Peer;

/// How the keys of their records begin.
const NAMES: &str = "name/";

/// Who has a name.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NameRecord {
    uri: String,
    /// It is kept for tokens until then (seconds since 1970). That of a node that has joined, for ever.
    until: Option<u64>,
}

impl NameRecord {
    fn is_free(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Authority {
    /// Keeps a name for a node: until then, or for ever.
    pub(super) async fn reserve_name(&self, peer: &Peer, until: Option<u64>, now: u64) -> Result<(), AuthorityError> {
        check_names(peer)?;
        let (key, uri) = (name_key(peer), peer.uri(&self.overlay));
        loop {
            let stored = self.store.get(&key).await?;
            let record = stored.as_ref().map(|stored| from_bytes::<NameRecord>(&key, stored)).transpose()?;
            let until = match record.filter(|record| !record.is_free(now)) {
                Some(record) if record.uri != uri => {
                    return Err(AuthorityError::Taken(peer.name().into(), record.uri));
                }
                Some(NameRecord { until: None, .. }) => return Ok(()),
                Some(NameRecord { until: Some(before), .. }) => until.map(|until| until.max(before)),
                None => until,
            };
            let new = to_bytes(&NameRecord { uri: uri.clone(), until });
            if self.store.swap(&key, stored.as_deref(), Some(&new)).await? {
                return Ok(());
            }
        }
    }

    /// Whether a node has this name, or a token is there for it.
    pub(super) async fn has_name(&self, peer: &Peer) -> Result<bool, AuthorityError> {
        let key = name_key(peer);
        let Some(stored) = self.store.get(&key).await? else { return Ok(false) };
        Ok(from_bytes::<NameRecord>(&key, &stored)?.uri == peer.uri(&self.overlay))
    }

    /// Nodes that have joined.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn joined(&self) -> Result<Vec<Peer>, AuthorityError> {
        let mut joined = Vec::new();
        for (key, stored) in self.store.list(NAMES).await? {
            let record: NameRecord = from_bytes(&key, &stored)?;
            if record.until.is_none()
                && let Ok(peer) = Peer::of_uri(&record.uri, &self.overlay)
            {
                joined.push(peer);
            }
        }
        Ok(joined)
    }

    pub(super) async fn free_names(&self, now: u64) -> Result<(), AuthorityError> {
        for (key, stored) in self.store.list(NAMES).await? {
            if from_bytes::<NameRecord>(&key, &stored)?.is_free(now) {
                // Somebody else may have taken it meanwhile.
                self.store.swap(&key, Some(&stored), None).await?;
            }
        }
        Ok(())
    }
}

fn name_key(peer: &Peer) -> String {
    format!("{NAMES}{}", peer.name())
}

fn check_names(peer: &Peer) -> Result<(), AuthorityError> {
    check_name(peer.name())?;
    match peer {
        Peer::Edge { tenant, .. } => check_name(tenant),
        Peer::Hub { .. } => Ok(()),
    }
}

pub(super) fn check_name(name: &str) -> Result<(), AuthorityError> {
    if is_name(name) { Ok(()) } else { Err(AuthorityError::Name(name.into())) }
}
