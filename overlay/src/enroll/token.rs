//! What an operator carries to a new edge.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::node::Peer;

/// How a token begins, and the version of what follows.
const PREFIX: &str = "selvedge1.";
/// The longest text that is looked at, bytes.
const LONGEST: usize = 8 * 1024;

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// Who becomes a node by it.
    pub peer: Peer,
    /// How long the token is good.
    pub valid: Duration,
    /// Where hubs are, as `host:port`.
    pub hubs: Vec<String>,
}

/// A token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Which overlay.
    pub overlay: String,
    /// Where its hubs are.
    pub hubs: Vec<String>,
    /// SHA-256 of each root that was believed when it was made, the newest last: whoever answers must be signed by one of them.
    pub pins: Vec<[u8; 32]>,
    /// Which token.
    pub id: String,
    /// Shows that the token itself is there.
    pub secret: [u8; 32],
    /// Seconds since 1970.
    pub expires: u64,
    /// Who becomes a node by it.
    pub peer: Peer,
}

/// A text that is no token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It begins differently.
    #[error("not a token of this version: it does not begin with {PREFIX}")]
    Prefix,
    /// Something is missing, or was changed.
    #[error("the token is cut off or damaged: {0}")]
    Damaged(String),
}

impl Token {
    /// As text, in one line.
    pub fn to_text(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(json))
    }

    /// Shows who gets it that the token is there, for this request alone: a hub that has not the authority can do nothing with it.
    pub fn proof(&self, request: &[u8]) -> [u8; 32] {
        proof(&sha256(&self.secret), request)
    }

    /// Of a text.
    ///
    /// # Errors
    /// It is no token.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        if encoded.len() > LONGEST {
            return Err(TokenError::Damaged(format!("it has {} bytes", encoded.len())));
        }
        let damaged = |error: &dyn std::fmt::Display| TokenError::Damaged(error.to_string());
        let json = BASE64_URL_SAFE_NO_PAD.decode(encoded).map_err(|error| damaged(&error))?;
        serde_json::from_slice(&json).map_err(|error| damaged(&error))
    }
}

/// [`Token::proof`], for who knows the hash of the secret.
pub(super) fn proof(secret_hash: &[u8; 32], request: &[u8]) -> [u8; 32] {
    sha256(&[*secret_hash, sha256(request)].concat())
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Without the secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Token").field("id", &self.id).field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let token = Token {
            overlay: "mesh.example".into(),
            hubs: vec!["192.0.2.1:443".into()],
            pins: vec![[1; 32]],
            id: "t1".into(),
            secret: [2; 32],
            expires: 1_800_000_000,
            peer: Peer::Edge { name: "store-7".into(), tenant: "acme".into() },
        };
        let text = token.to_text();
        assert_eq!(Token::parse(&format!("{text}\n")), Ok(token.clone()));
        assert_eq!(Token::parse("eyJ"), Err(TokenError::Prefix));
        for damaged in [&text[..text.len() - 9], &format!("{text}!"), PREFIX] {
            assert!(matches!(Token::parse(damaged), Err(TokenError::Damaged(_))), "{damaged}");
        }
        assert!(!format!("{token:?}").contains("2, 2"));
    }
}
