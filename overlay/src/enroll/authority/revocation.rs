//! Who gets no certificate any more.

use serde::{Deserialize, Serialize};

use super::{Authority, AuthorityError, from_bytes, to_bytes};
use crate::identity::MOST_DENIED;
use crate::node::Peer;

/// How the keys of their records begin.
const NODES: &str = "node/";

/// What is known of a node.
#[derive(Debug, Default, Serialize, Deserialize)]
struct NodeRecord {
    revoked: bool,
}

impl Authority {
    /// Never lets a node in again. Others hear of it by what is [signed](Self::trust) from then on.
    ///
    /// # Errors
    /// There is no such node, too many were revoked, or the store does not work.
    pub async fn revoke(&self, peer: &Peer) -> Result<(), AuthorityError> {
        if !self.has_name(peer).await? {
            return Err(AuthorityError::UnknownNode(peer.clone()));
        }
        if self.revoked().await?.len() >= MOST_DENIED {
            return Err(AuthorityError::TooManyRevoked);
        }
        let key = self.node_key(peer);
        let revoked = to_bytes(&NodeRecord { revoked: true });
        loop {
            let before = self.store.get(&key).await?;
            if self.store.swap(&key, before.as_deref(), Some(&revoked)).await? {
                return Ok(());
            }
        }
    }

    /// Nodes that were revoked.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn revoked(&self) -> Result<Vec<Peer>, AuthorityError> {
        let mut revoked = Vec::new();
        for (key, value) in self.store.list(NODES).await? {
            let record: NodeRecord = from_bytes(&key, &value)?;
            if record.revoked
                && let Some(uri) = key.strip_prefix(NODES)
                && let Ok(peer) = Peer::of_uri(uri, &self.overlay)
            {
                revoked.push(peer);
            }
        }
        Ok(revoked)
    }

    pub(super) async fn check_admitted(&self, peer: &Peer) -> Result<(), AuthorityError> {
        let key = self.node_key(peer);
        let record = match self.store.get(&key).await? {
            Some(stored) => from_bytes::<NodeRecord>(&key, &stored)?,
            None => NodeRecord::default(),
        };
        if record.revoked { Err(AuthorityError::Revoked(peer.uri(&self.overlay))) } else { Ok(()) }
    }

    fn node_key(&self, peer: &Peer) -> String {
        format!("{NODES}{}", peer.uri(&self.overlay))
    }
}
