//! What a hub answers its operator.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::following::tell;
use crate::catalogue::Directory;
use crate::control::{Question, Reply};
use crate::enroll::{Authority, AuthorityError, TokenRequest, unix_now};
use crate::identity::Current;
use crate::link::code;
use crate::node::{Node, Peer, count};
use crate::shards::Shards;
use crate::status::{Pending, RotationStatus, Status};
use crate::strangers::quoted;

/// How long the last words to all peers may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What it takes to answer an operator.
pub(super) struct Desk {
    pub(super) node: Rc<Node>,
    pub(super) shards: Shards,
    pub(super) directory: Rc<Directory>,
    pub(super) identity: Current,
    pub(super) authority: Option<Rc<Authority>>,
    /// For tokens.
    pub(super) hubs: Vec<String>,
    /// Why the store has failed the last command, if it has.
    pub(super) failed: watch::Sender<Option<String>>,
}

impl Desk {
    pub(super) async fn answer(&self, question: Question) -> Reply {
        match question {
            Question::Status => Reply::Status(Box::new(self.status().await)),
            Question::CreateToken { peer, valid_seconds } => self.create_token(peer, valid_seconds).await,
            Question::Revoke { peer } => self.revoke(&peer).await,
            Question::Rotate => self.rotate().await,
        }
    }

    async fn status(&self) -> Status {
        let identity = self.identity.borrow().clone();
        let mut status = Status::of(&self.node, &identity, &self.directory, self.shards.ask().await);
        if let Some(authority) = &self.authority {
            match self.missing(authority, &status).await {
                Ok((missing, rotation)) => {
                    status.pending.extend(missing);
                    status.rotation = rotation;
                }
                Err(error) => status.pending.push(Pending { what: "the authority".into(), why: error.to_string() }),
            }
            let failed = self.failed.borrow();
            status.pending.extend(failed.iter().map(|why| Pending { what: "the authority".into(), why: why.clone() }));
        }
        status
    }

    /// Who could be here by what the authority knows, and whether there is a new root.
    async fn missing(
        &self,
        authority: &Authority,
        status: &Status,
    ) -> Result<(Vec<Pending>, Option<RotationStatus>), AuthorityError> {
        let now = unix_now();
        let open = authority.open_tokens(now).await?.into_iter().map(|(peer, expires)| Pending {
            what: peer.to_string(),
            why: format!("its token was not used; it is good for {} s", expires - now),
        });
        let trust = self.identity.borrow().trust().clone();
        let is_known = |peer: &Peer| {
            *peer == status.node
                || trust.denies(peer)
                || status.links.iter().any(|link| link.peer == *peer)
                || status.edges.iter().any(|edge| edge.name == peer.name())
        };
        let joined =
            authority.joined().await?.into_iter().filter(|peer| !is_known(peer)).map(|peer| Pending {
                what: peer.to_string(),
                why: "has joined, and nothing is heard of it".to_owned(),
            });
        let rotation = authority.rotation(now).await?.map(|rotation| RotationStatus::of(rotation, now));
        Ok((open.chain(joined).collect(), rotation))
    }

    async fn create_token(&self, peer: Peer, valid_seconds: u64) -> Reply {
        let Some(authority) = &self.authority else { return self.not_the_authority() };
        let valid = Duration::from_secs(valid_seconds);
        let request = TokenRequest { peer: peer.clone(), valid, hubs: self.hubs.clone() };
        match authority.create_token(request, unix_now()).await {
            Ok(token) => {
                self.failed.send_replace(None);
                tracing::info!(token = token.id, "a token for {}", token.peer);
                Reply::Token(token.to_text())
            }
            Err(error) => self.refuse(&format!("no token for {}", quoted(&peer)), &error),
        }
    }

    async fn revoke(&self, peer: &Peer) -> Reply {
        let Some(authority) = &self.authority else { return self.not_the_authority() };
        let identity = self.identity.borrow().clone();
        if peer == identity.peer() {
            return Reply::Refused(format!("{peer} has the authority itself"));
        }
        let revoked = async {
            authority.revoke(peer).await?;
            tell(authority, &self.identity).await
        };
        match revoked.await {
            Ok(()) => {
                self.failed.send_replace(None);
                tracing::warn!("{peer} was revoked");
                Reply::Revoked
            }
            Err(error) => self.refuse(&format!("{} is not revoked", quoted(peer)), &error),
        }
    }

    async fn rotate(&self) -> Reply {
        let Some(authority) = &self.authority else { return self.not_the_authority() };
        let now = unix_now();
        let begun = async {
            let rotation = authority.rotate(now).await?;
            tell(authority, &self.identity).await?;
            Ok::<_, AuthorityError>(rotation)
        };
        match begun.await {
            Ok(rotation) => {
                self.failed.send_replace(None);
                tracing::warn!("a new root takes the place of the old one");
                Reply::Rotating(RotationStatus::of(rotation, now))
            }
            Err(error) => self.refuse("no new root", &error),
        }
    }

    /// Whoever asked may be a program whose output nobody reads: the log says it, too. Where it is the store that failed, so does the status until a command
    /// succeeds.
    fn refuse(&self, what: &str, error: &AuthorityError) -> Reply {
        if let AuthorityError::Store(_) = error {
            count(&self.node.counters().commands_failed);
            tracing::error!("{what}: {error}");
            self.failed.send_replace(Some(format!("the last command has failed: {error}")));
        } else {
            tracing::warn!("{what}: {error}");
        }
        Reply::Refused(error.to_string())
    }

    fn not_the_authority(&self) -> Reply {
        Reply::Refused(format!("hub {} has not the authority: ask a hub that has it", self.node.name()))
    }

    pub(super) async fn take_leave(&self) {
        let links: Vec<_> = self.node.links().into_iter().map(|(_, link)| link).collect();
        for link in &links {
            link.close(code::GOING_AWAY, "the hub ends");
        }
        let gone = async {
            for link in &links {
                link.ended().await;
            }
        };
        let _ = timeout(FAREWELL, gone).await;
    }
}
