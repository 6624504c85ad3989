//! Why there is no tunnel, or no call.

use std::io;
use std::time::Duration;

use overlay_wire::call::Outcome;
use thiserror::Error;

use crate::identity::IdentityError;
use crate::node::Peer;

/// Why there is no connection.
#[derive(Clone, Debug, Error)]
pub enum CallError {
    /// There is no tunnel.
    #[error("no tunnel to {edge}: {reason}")]
    Tunnel {
        /// The other edge.
        edge: String,
        /// In words.
        reason: String,
    },
    /// There is no way to the other edge.
    #[error("no tunnel to {edge}: it is not linked to any hub")]
    Away {
        /// That edge.
        edge: String,
    },
    /// Others have just found that it does not answer, and it is being tried again.
    #[error("no tunnel to {edge}: it did not answer a moment ago")]
    Silent {
        /// That edge.
        edge: String,
    },
    /// The tunnel broke.
    #[error("the tunnel broke: {0}")]
    Broke(String),
    /// The other edge says so.
    #[error("{outcome}: {reason}")]
    Refused {
        /// What it says.
        outcome: Outcome,
        /// In words.
        reason: String,
    },
    /// Nothing came in time.
    #[error("no answer in {0:?}")]
    Timeout(Duration),
}

impl CallError {
    pub(super) fn away(edge: &str) -> Self {
        Self::Away { edge: edge.into() }
    }
}

/// Why an edge is not let in.
#[derive(Debug, Error)]
pub(super) enum TunnelError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Handshake(#[from] io::Error),
    #[error("{0} came instead, or of another tenant")]
    Other(Peer),
}
