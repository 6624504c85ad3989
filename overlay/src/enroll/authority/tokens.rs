//! Tokens, each of which buys one certificate.

use std::time::Duration;

use rcgen::PublicKeyData as _;
use serde::{Deserialize, Serialize};

use super::{Authority, AuthorityError, Issued, from_bytes, parse, to_bytes};
use crate::enroll::token::{Token, TokenRequest, proof, sha256};
use crate::node::Peer;
use crate::strangers::quoted;

/// How the keys of their records begin.
const TOKENS: &str = "token/";
/// Tokens that there may be, those included that were used or have expired and are remembered.
pub(crate) const MOST_TOKENS: usize = 10_000;
/// The longest that one may be good.
pub(crate) const LONGEST_VALID: Duration = Duration::from_hours(24 * 365);
/// So long after its end it is remembered what became of a token, for who wonders why it is refused.
const REMEMBERED: Duration = Duration::from_hours(24);

/// Random bytes in the id of a token.
const ID_BYTES: usize = 8;

/// What is known of a token.
#[derive(Debug, Serialize, Deserialize)]
struct TokenRecord {
    /// SHA-256 of the secret.
    secret: [u8; 32],
    peer: Peer,
    expires: u64,
    /// SHA-256 of the public key that it was used for. The edge may ask again if the answer was lost.
    used_for: Option<[u8; 32]>,
}

impl TokenRecord {
    fn is_forgotten(&self, now: u64) -> bool {
        self.expires.saturating_add(REMEMBERED.as_secs()) <= now
    }
}

impl Authority {
    /// Makes a token.
    ///
    /// # Errors
    /// A name is none or that of another node, the node was revoked, the token would be good for too long, there are too many, or the store does not work.
    pub async fn create_token(&self, request: TokenRequest, now: u64) -> Result<Token, AuthorityError> {
        if request.valid > LONGEST_VALID {
            return Err(AuthorityError::TooLong);
        }
        let expires = now.saturating_add(request.valid.as_secs());
        if self.store.list(TOKENS).await?.len() >= MOST_TOKENS {
            return Err(AuthorityError::TooManyTokens);
        }
        self.check_admitted(&request.peer).await?;
        self.reserve_name(&request.peer, Some(expires), now).await?;
        let secret: [u8; 32] = rand::random();
        let token = Token {
            overlay: self.overlay.clone(),
            hubs: request.hubs,
            pins: self.roots(now).await?.iter().map(|root| sha256(root)).collect(),
            id: hex(&rand::random::<[u8; ID_BYTES]>()),
            secret,
            expires,
            peer: request.peer,
        };
        let record = TokenRecord { secret: sha256(&secret), peer: token.peer.clone(), expires, used_for: None };
        self.store.swap(&token_key(&token.id), None, Some(&to_bytes(&record))).await?;
        Ok(token)
    }

    /// Tokens that are good and were not used: whose they are, and until when (seconds since 1970).
    ///
    /// # Errors
    /// The store does not work.
    pub async fn open_tokens(&self, now: u64) -> Result<Vec<(Peer, u64)>, AuthorityError> {
        let mut open = Vec::new();
        for (key, stored) in self.store.list(TOKENS).await? {
            let record: TokenRecord = from_bytes(&key, &stored)?;
            if record.used_for.is_none() && now < record.expires {
                open.push((record.peer, record.expires));
            }
        }
        Ok(open)
    }

    /// Takes a token, once, for a key that the node has made. What shows that it has the token is [`Token::proof`].
    ///
    /// # Errors
    /// The token is not good, or what is to be signed is of no use.
    pub async fn redeem(&self, id: &str, shown: &[u8], request: &[u8], now: u64) -> Result<Issued, AuthorityError> {
        if !is_token_id(id) {
            return Err(AuthorityError::UnknownToken(quoted(&id)));
        }
        let key = token_key(id);
        let stored = self.store.get(&key).await?.ok_or_else(|| AuthorityError::UnknownToken(id.into()))?;
        let mut record: TokenRecord = from_bytes(&key, &stored)?;
        // Of a hash nothing can be learnt by how long it takes to compare.
        if proof(&record.secret, request) != shown {
            return Err(AuthorityError::WrongSecret(id.into()));
        }
        if now >= record.expires {
            return Err(AuthorityError::Expired(id.into()));
        }
        let request = parse(request)?;
        let public_key = sha256(request.public_key.der_bytes());
        match record.used_for {
            Some(used_for) if used_for == public_key => {}
            Some(_) => return Err(AuthorityError::Used(id.into())),
            None => {
                record.used_for = Some(public_key);
                if !self.store.swap(&key, Some(&stored), Some(&to_bytes(&record))).await? {
                    return Err(AuthorityError::Used(id.into()));
                }
            }
        }
        self.check_admitted(&record.peer).await?;
        // From now on there is a node of this name.
        self.reserve_name(&record.peer, None, now).await?;
        self.sign(request, record.peer, now).await
    }

    /// Forgets tokens that expired a day ago, names that were in no others, and keys that sign no more: so the store has no more than nodes, and tokens of
    /// late.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn forget_expired(&self, now: u64) -> Result<(), AuthorityError> {
        for (key, stored) in self.store.list(TOKENS).await? {
            if from_bytes::<TokenRecord>(&key, &stored)?.is_forgotten(now) {
                self.store.swap(&key, Some(&stored), None).await?;
            }
        }
        self.free_names(now).await?;
        self.forget_roots(now).await
    }
}

/// Whether it looks like one that was made here. Nobody else's words become a key of the store.
fn is_token_id(id: &str) -> bool {
    id.len() == 2 * ID_BYTES && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn token_key(id: &str) -> String {
    format!("{TOKENS}{id}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
