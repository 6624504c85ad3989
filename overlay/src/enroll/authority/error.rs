//! Why an authority signs nothing.

use thiserror::Error;

use super::{LONGEST_VALID, MOST_TOKENS};
use crate::enroll::store::StoreError;
use crate::identity::{MOST_DENIED, TrustError};
use crate::node::Peer;

/// Why nothing is signed.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// Not the name of an edge, a tenant or an overlay.
    #[error("{0:?} is no name: lower-case letters, digits, dots and hyphens, at most 63")]
    Name(String),
    /// Another node has it.
    #[error("the name {0} is that of {1}")]
    Taken(String, String),
    /// No token was ever made for it.
    #[error("there is no {0}")]
    UnknownNode(Peer),
    /// The list of them is full.
    #[error("{MOST_DENIED} nodes were revoked, which is as many as there may be")]
    TooManyRevoked,
    /// The store has room for no more.
    #[error(
        "there are {MOST_TOKENS} tokens, which is as many as there may be: a day after their end they are forgotten"
    )]
    TooManyTokens,
    /// What opens a door for so long is forgotten by who made it.
    #[error("a token is good for {} days at most", LONGEST_VALID.as_secs() / 86_400)]
    TooLong,
    /// It was never made, or was thrown away.
    #[error("token {0} is not known")]
    UnknownToken(String),
    /// Somebody guesses.
    #[error("token {0}: wrong secret")]
    WrongSecret(String),
    /// It is too late.
    #[error("token {0} has expired")]
    Expired(String),
    /// It was used before, for another key.
    #[error("token {0} was used already")]
    Used(String),
    /// It is not let in any more.
    #[error("{0} was revoked")]
    Revoked(String),
    /// What is to be signed is of no use.
    #[error("the request for a certificate: {0}")]
    Request(String),
    /// The store belongs to another hub, or its overlay.
    #[error(
        "overlay {0} was founded in this store before: join with the token of a hub, and start with the same store again"
    )]
    Founded(String),
    /// There is nothing in the store.
    #[error("overlay {0} was never founded in the store")]
    NotFounded(String),
    /// One root at a time.
    #[error("a new root takes the place of the old one already: another one can follow in {0} s")]
    Rotating(u64),
    /// A copy of the store was restored that was made before the last root.
    #[error(
        "the store is an old copy: statement {0} of the authority has a root that is not in it; restore a later one"
    )]
    OldCopy(u64),
    /// The store does not work.
    #[error("store {0}")]
    Store(#[from] StoreError),
    /// This node has another overlay of the same name, or was away for too long.
    #[error("this node does not believe it: {0}")]
    Disbelieved(TrustError),
    /// A record of the store cannot be read.
    #[error("record {0} of the store is damaged: {1}")]
    Record(String, String),
}
