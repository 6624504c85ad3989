//! What the authority says of roots and of who was revoked, and the number by which nodes know which of two statements is newer.
//!
//! The number is in the store, beside a hash of what was said with it: other content has a greater number. The clock is in it, so that it is greater even
//! where the store is an old copy; and where a node holds a later statement than the store knows, the next one is later still.

use std::collections::BTreeSet;

use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Authority, AuthorityError, from_bytes, to_bytes};
use crate::identity::{Held, NodeHash, SignedTrust, Trust, node_hash};

/// The key of its record.
const STATEMENT: &str = "statement";

/// The last statement.
#[derive(Debug, Default, Serialize, Deserialize)]
struct StatementRecord {
    number: u64,
    /// As of when it was made (seconds since 1970). Nothing is said as of an earlier time, whose clock ever is behind.
    at: u64,
    content: [u8; 32],
    /// Who was revoked after the copy was made that the store is.
    carried: Vec<NodeHash>,
}

impl StatementRecord {
    /// Whether a node holds what was said after this, or something else under the same number.
    fn is_older_than(&self, held: &Held) -> bool {
        let says_the_same = || content(&held.roots, &held.denied) == self.content;
        held.number > self.number || (held.number > 0 && held.number == self.number && !says_the_same())
    }
}

impl Authority {
    /// Whom to believe, and whom no longer, for all nodes.
    ///
    /// # Errors
    /// The store does not work, or has no root.
    pub async fn trust(&self, now: u64) -> Result<SignedTrust, AuthorityError> {
        self.trust_after(&Trust::default(), now).await
    }

    /// The same, with a greater number than what a node holds, if that says something else.
    ///
    /// # Errors
    /// As for [`Self::trust`]; or the node believes a root that the store does not know.
    pub async fn trust_after(&self, node: &Trust, now: u64) -> Result<SignedTrust, AuthorityError> {
        // Before the store is read: what another authority with the same store has said is then in the record.
        let held = node.held();
        loop {
            let stored = self.store.get(STATEMENT).await?;
            let record = stored.as_ref().map(|stored| from_bytes::<StatementRecord>(STATEMENT, stored)).transpose()?;
            let mut record = record.unwrap_or_default();
            let (before, at) = (record.content, now.max(record.at));
            let keyring = self.keyring().await?;
            let roots = keyring.certificates(at)?;
            let mut denied: BTreeSet<NodeHash> = self.revoked().await?.iter().map(node_hash).collect();
            denied.extend(&record.carried);
            let is_old_copy = record.is_older_than(&held);
            if is_old_copy {
                if !keyring.knows(&held.roots)? {
                    return Err(AuthorityError::OldCopy(held.number));
                }
                let lost: Vec<_> = held.denied.difference(&denied).copied().collect();
                if !lost.is_empty() {
                    tracing::error!(
                        "the store is an old copy: {} nodes stay revoked that it does not know of",
                        lost.len()
                    );
                }
                denied.extend(&lost);
                record.carried.extend(lost);
            }
            record.content = content(&roots, &denied);
            if is_old_copy || record.content != before {
                record.number = record.number.max(held.number).saturating_add(1).max(now);
                record.at = at;
                if !self.store.swap(STATEMENT, stored.as_deref(), Some(&to_bytes(&record))).await? {
                    continue;
                }
            }
            return SignedTrust::sign_hashes(record.number, &roots, denied, |message| keyring.sign(message, at));
        }
    }
}

fn content(roots: &[CertificateDer<'_>], denied: &BTreeSet<NodeHash>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for root in roots {
        hash.update(Sha256::digest(root));
    }
    hash.update([0]);
    denied.iter().for_each(|node| hash.update(node));
    hash.finalize().into()
}
