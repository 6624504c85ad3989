//! Whom a node believes, and whom no longer: the roots, and who was revoked. The authority signs both with its own keys, so that no hub can make such a
//! statement, and nodes pass it on as it is. It has hashes in the place of names, because nodes of all tenants get it.
//!
//! While a root takes the place of another, both are believed and both sign: whoever knows but one of them believes the statement.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use hashbrown::HashSet;
use overlay_wire::varint;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::sync::watch;

use super::Gatekeeper;
use super::complaints::Complaints;
use super::signature::{in_context, is_signed};
use crate::node::Peer;

/// What the signatures are good for.
const CONTEXT: &str = "selvedge trust 1";
/// Nodes that were revoked, for ever: 1 MB, where a message may have 4.
pub(crate) const MOST_DENIED: usize = 20_000;
/// Roots at a time, and signatures.
const MOST_ROOTS: usize = 4;

/// What the authority has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTrust {
    payload: Vec<u8>,
    /// One of each root, each as in TLS (RFC 8446 section 4.2.3).
    signatures: Vec<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    /// Grows with every change.
    number: u64,
    /// Certificates, base64.
    roots: Vec<String>,
    /// Hashes, base64.
    denied: Vec<String>,
}

/// What stands for a node in a statement.
pub(crate) type NodeHash = [u8; 32];

pub(crate) fn node_hash(node: &Peer) -> NodeHash {
    let text = match node {
        Peer::Edge { name, tenant } => format!("{tenant}/edge/{name}"),
        Peer::Hub { name } => format!("hub/{name}"),
    };
    Sha256::digest(text).into()
}

/// A statement that is not believed.
#[derive(Debug, Error)]
pub enum TrustError {
    /// Not by the authority.
    #[error("what is said of roots and of who was revoked is signed by none of the roots that are believed")]
    NotSigned,
    /// It cannot be read.
    #[error("what is said of roots and of who was revoked cannot be read: {0}")]
    Unreadable(String),
}

fn unreadable(error: &dyn std::fmt::Display) -> TrustError {
    TrustError::Unreadable(error.to_string())
}

impl SignedTrust {
    /// Signs a statement: `number` must grow with every change. All nodes that were ever revoked are in it.
    ///
    /// # Errors
    /// Those of `sign`, which makes a signature with the key of each root.
    pub fn sign<E>(
        number: u64,
        roots: &[CertificateDer<'_>],
        denied: &[Peer],
        sign: impl FnOnce(&[u8]) -> Result<Vec<Vec<u8>>, E>,
    ) -> Result<Self, E> {
        Self::sign_hashes(number, roots, denied.iter().map(node_hash), sign)
    }

    /// The same, of nodes that may be known by their hashes alone.
    pub(crate) fn sign_hashes<E>(
        number: u64,
        roots: &[CertificateDer<'_>],
        denied: impl IntoIterator<Item = NodeHash>,
        sign: impl FnOnce(&[u8]) -> Result<Vec<Vec<u8>>, E>,
    ) -> Result<Self, E> {
        let roots = roots.iter().map(|root| BASE64_STANDARD_NO_PAD.encode(root)).collect();
        let denied = denied.into_iter().map(|node| BASE64_STANDARD_NO_PAD.encode(node)).collect();
        let payload = serde_json::to_vec(&Content { number, roots, denied }).unwrap_or_default();
        let signatures = sign(&in_context(CONTEXT, &payload))?;
        Ok(Self { payload, signatures })
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.len() + self.signatures.len() * 80 + 8);
        varint::put(&mut bytes, self.signatures.len() as u64);
        for signature in &self.signatures {
            varint::put(&mut bytes, signature.len() as u64);
            bytes.extend_from_slice(signature);
        }
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Of bytes; `None` if they are cut off, or too many have signed.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (count, mut rest) = varint::take(bytes)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= MOST_ROOTS)?;
        let mut signatures = Vec::with_capacity(count);
        for _ in 0..count {
            let (length, after) = varint::take(rest)?;
            let (signature, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
            signatures.push(signature.to_vec());
            rest = after;
        }
        Some(Self { payload: rest.to_vec(), signatures })
    }

    fn verify(&self, roots: &[CertificateDer<'_>]) -> Result<Believed, TrustError> {
        let is_signed_by = |root: &CertificateDer<'_>| {
            self.signatures.iter().any(|signature| is_signed(root, CONTEXT, &self.payload, signature))
        };
        if !roots.iter().any(is_signed_by) {
            return Err(TrustError::NotSigned);
        }
        let content: Content = serde_json::from_slice(&self.payload).map_err(|error| unreadable(&error))?;
        let decode = |encoded: &String| BASE64_STANDARD_NO_PAD.decode(encoded).map_err(|error| unreadable(&error));
        if !(1..=MOST_ROOTS).contains(&content.roots.len()) {
            return Err(unreadable(&format!("{} roots", content.roots.len())));
        }
        let roots = content.roots.iter().map(|root| Ok(decode(root)?.into())).collect::<Result<Vec<_>, _>>()?;
        let mut denied = HashSet::with_capacity(content.denied.len());
        for encoded in &content.denied {
            denied.insert(NodeHash::try_from(decode(encoded)?).map_err(|_| unreadable(&"a hash of another length"))?);
        }
        let believed = Believed::of_roots(roots).map_err(|error| unreadable(&error))?;
        Ok(Believed { number: content.number, denied, signed: Some(self.clone()), ..believed })
    }
}

/// What a node believes at present. All threads of the node share it.
#[derive(Debug, Default)]
pub struct Trust {
    current: watch::Sender<Arc<Believed>>,
    complaints: Complaints,
}

/// What a node believes, for who has to say something newer.
#[derive(Debug)]
pub(crate) struct Held {
    /// Of the statement; 0 if there was none.
    pub(crate) number: u64,
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) denied: BTreeSet<NodeHash>,
}

#[derive(Debug)]
struct Believed {
    number: u64,
    roots: Vec<CertificateDer<'static>>,
    anchors: Arc<RootCertStore>,
    denied: HashSet<NodeHash>,
    signed: Option<SignedTrust>,
}

impl Default for Believed {
    /// Nobody.
    fn default() -> Self {
        let (roots, anchors) = (Vec::new(), Arc::new(RootCertStore::empty()));
        Self { number: 0, roots, anchors, denied: HashSet::new(), signed: None }
    }
}

impl Believed {
    fn of_roots(roots: Vec<CertificateDer<'static>>) -> Result<Self, rustls::Error> {
        let mut anchors = RootCertStore::empty();
        for root in &roots {
            anchors.add(root.clone())?;
        }
        Ok(Self { roots, anchors: Arc::new(anchors), ..Self::default() })
    }
}

impl Trust {
    /// Belief in these roots, before anything else was heard.
    ///
    /// # Errors
    /// A certificate is of no use.
    pub fn new(roots: Vec<CertificateDer<'static>>) -> Result<Self, rustls::Error> {
        let (current, _) = watch::channel(Arc::new(Believed::of_roots(roots)?));
        Ok(Self { current, complaints: Complaints::default() })
    }

    /// Takes a statement if it is newer than what is known; whether it was.
    ///
    /// # Errors
    /// None of the roots that are believed has signed it.
    pub fn take(&self, signed: &SignedTrust) -> Result<bool, TrustError> {
        // Every hub says the same.
        if self.current.borrow().signed.as_ref() == Some(signed) {
            return Ok(false);
        }
        let known = self.current.borrow().roots.clone();
        let taken = signed.verify(&known)?;
        Ok(self.current.send_if_modified(|current| {
            let is_newer = taken.number > current.number;
            if is_newer {
                *current = Arc::new(taken);
            }
            is_newer
        }))
    }

    /// All of it.
    pub(crate) fn held(&self) -> Held {
        let current = self.current.borrow();
        Held { number: current.number, roots: current.roots.clone(), denied: current.denied.iter().copied().collect() }
    }

    /// The number of the statement, 0 before there was one, and how many were revoked.
    pub fn statement(&self) -> (u64, usize) {
        let current = self.current.borrow();
        (current.number, current.denied.len())
    }

    /// The roots that are believed.
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.current.borrow().roots.clone()
    }

    pub(super) fn anchors(&self) -> Arc<RootCertStore> {
        self.current.borrow().anchors.clone()
    }

    /// Whether a node was revoked.
    pub fn denies(&self, node: &Peer) -> bool {
        self.current.borrow().denied.contains(&node_hash(node))
    }

    /// Returns when a node is revoked, at once if it was before.
    pub async fn denied(&self, node: &Peer) {
        let hash = node_hash(node);
        // The sender is here: it does not end.
        let _ = self.current.subscribe().wait_for(|believed| believed.denied.contains(&hash)).await;
    }

    /// The statement and its number, if it has another number.
    pub(crate) fn other_than(&self, number: u64) -> Option<(u64, SignedTrust)> {
        let current = self.current.borrow();
        current.signed.clone().filter(|_| current.number != number).map(|signed| (current.number, signed))
    }

    /// Waits for a statement with another number.
    pub(crate) async fn next_after(&self, number: u64) -> (u64, SignedTrust) {
        let mut changes = self.current.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(next) = self.other_than(number) {
                return next;
            }
            let _ = changes.changed().await;
        }
    }
}

impl Gatekeeper for Trust {
    fn admits(&self, peer: &Peer) -> bool {
        let denied = self.denies(peer);
        if denied {
            self.complaints.warn(format!("{peer} is refused: it was revoked"));
        }
        !denied
    }

    fn is_out_of_date(&self, peer: &Peer, problem: &str) {
        self.complaints.warn(format!("{peer} is refused: {problem}"));
    }
}

#[cfg(test)]
mod tests;
