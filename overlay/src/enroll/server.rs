//! The hub's side of joining and of renewing.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::authority::{Authority, AuthorityError, Issued};
use super::exchange::{Join, LONGEST, PATIENCE, Renew, Reply};
use crate::handshakes::source;
use crate::node::{Counters, Peer, Place, Tally, count};
use crate::strangers::{Seldom, quoted};

/// Questions of each kind that are answered at a time; who asks beyond is closed, and asks again.
const MOST_ASKING: usize = 256;
/// Of those who want to join and have not said so yet, from one source.
const MOST_SILENT: usize = 16;
/// Time for the question.
const QUESTION: Duration = Duration::from_secs(3);

/// Answers who wants a certificate.
#[derive(Clone, Debug)]
pub struct EnrollServer(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    authority: Option<Rc<Authority>>,
    /// Anybody may take these.
    places_to_join: Semaphore,
    /// Who has one of them and has asked nothing yet.
    silent: Rc<Tally<IpAddr>>,
    /// Only nodes may take these.
    places_to_renew: Semaphore,
    counters: Arc<Counters>,
    refusals: Seldom,
}

impl EnrollServer {
    /// For the hub with the authority, or for one that has none, and says so. `counters` are those of the hub.
    pub fn new(authority: Option<Rc<Authority>>, counters: Arc<Counters>) -> Self {
        let places = || Semaphore::new(MOST_ASKING);
        Self(Rc::new(Inner {
            authority,
            places_to_join: places(),
            silent: Rc::default(),
            places_to_renew: places(),
            counters,
            refusals: Seldom::default(),
        }))
    }

    /// Answers somebody who has a token and no certificate.
    ///
    /// # Errors
    /// The connection broke, nothing came in time, or too many ask.
    pub async fn join(&self, from: SocketAddr, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let silent = self.0.silent.take(source(from), MOST_SILENT).ok_or_else(|| self.too_many())?;
        self.serve(&self.0.places_to_join, Some(silent), from, stream, async |authority, question: Join| {
            let request = decode(&question.request)?;
            let issued = authority.redeem(&question.token, &question.proof, &request, unix_now()).await?;
            tracing::info!(token = question.token, "{} has joined", issued.peer);
            Ok(issued)
        })
        .await
    }

    /// Answers a node that has shown its certificate.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn renew(
        &self,
        peer: &Peer,
        from: SocketAddr,
        stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> io::Result<()> {
        self.serve(&self.0.places_to_renew, None, from, stream, async |authority, question: Renew| {
            let issued = authority.renew(peer, &decode(&question.request)?, unix_now()).await?;
            tracing::info!("{peer} has a new certificate");
            Ok(issued)
        })
        .await
    }

    /// Somebody has not heard the answer.
    pub(crate) fn not_answered(&self, from: SocketAddr, error: &io::Error) {
        if let Some(left_out) = self.0.refusals.happened() {
            tracing::warn!(%from, left_out, "somebody who wants a certificate: {}", quoted(error));
        }
    }

    async fn serve<Q: DeserializeOwned>(
        &self,
        places: &Semaphore,
        silent: Option<Place<IpAddr>>,
        from: SocketAddr,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        answer: impl AsyncFn(&Authority, Q) -> Result<Issued, AuthorityError>,
    ) -> io::Result<()> {
        let _place = places.try_acquire().map_err(|_| self.too_many())?;
        let answered = timeout(PATIENCE, async {
            let mut question = Vec::new();
            let asked = (&mut stream).take(LONGEST);
            timeout(QUESTION, { asked }.read_to_end(&mut question)).await.map_err(|_| io::ErrorKind::TimedOut)??;
            drop(silent);
            let reply = self.reply(from, &question, answer).await;
            stream.write_all(&serde_json::to_vec(&reply)?).await?;
            stream.shutdown().await
        });
        answered.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn too_many(&self) -> io::Error {
        count(&self.0.counters.certificates_refused);
        io::Error::other("too many ask")
    }

    async fn reply<Q: DeserializeOwned>(
        &self,
        from: SocketAddr,
        question: &[u8],
        answer: impl AsyncFn(&Authority, Q) -> Result<Issued, AuthorityError>,
    ) -> Reply {
        let Some(authority) = &self.0.authority else { return Reply::NotTheAuthority };
        let issued = match serde_json::from_slice(question) {
            Ok(question) => answer(authority.as_ref(), question).await,
            Err(error) => Err(unreadable(&error)),
        };
        match issued {
            Ok(issued) => {
                count(&self.0.counters.certificates_issued);
                Reply::Issued(issued.chain.iter().map(|certificate| BASE64_STANDARD.encode(certificate)).collect())
            }
            Err(error) => {
                count(&self.0.counters.certificates_refused);
                if let Some(left_out) = self.0.refusals.happened() {
                    tracing::warn!(%from, left_out, "no certificate: {error}");
                }
                for_strangers(&error)
            }
        }
    }
}

fn decode(request: &str) -> Result<Vec<u8>, AuthorityError> {
    BASE64_STANDARD.decode(request).map_err(|error| unreadable(&error))
}

/// It may have what others have made up in it.
fn unreadable(error: &dyn fmt::Display) -> AuthorityError {
    AuthorityError::Request(quoted(error))
}

/// Whoever guesses learns neither which tokens there are, nor anything of the store, and who joins not whose a name is.
fn for_strangers(error: &AuthorityError) -> Reply {
    match error {
        AuthorityError::UnknownToken(id) | AuthorityError::WrongSecret(id) => {
            Reply::Refused(format!("token {id} is not good"))
        }
        AuthorityError::Taken(name, _) => Reply::Refused(format!("the name {name} is that of another node")),
        AuthorityError::Store(_)
        | AuthorityError::Record(..)
        | AuthorityError::NotFounded(_)
        | AuthorityError::OldCopy(_) => Reply::Unavailable("the authority does not work at present".into()),
        other => Reply::Refused(other.to_string()),
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use tokio::task::{LocalSet, spawn_local};
    use tokio::time::Instant;

    use super::*;
    use crate::enroll::RedbStore;

    /// What somebody hears who wants another certificate.
    async fn answer(authority: Authority) -> Reply {
        let server = EnrollServer::new(Some(Rc::new(authority)), Arc::default());
        let (mut ours, theirs) = tokio::io::duplex(4096);
        let (peer, from) = (Peer::Hub { name: "h".into() }, SocketAddr::from(([192, 0, 2, 1], 1)));
        ours.write_all(&serde_json::to_vec(&Renew { request: String::new() }).unwrap()).await.unwrap();
        ours.shutdown().await.unwrap();
        server.renew(&peer, from, theirs).await.unwrap();
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer).await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    /// What becomes of somebody at a host who asks nothing, and says that this was all or does not.
    async fn join_without_words(server: &EnrollServer, host: u8, ends: bool) -> io::Result<()> {
        let (mut ours, theirs) = tokio::io::duplex(4096);
        if ends {
            ours.shutdown().await?;
        }
        server.join(SocketAddr::from(([192, 0, 2, host], 1)), theirs).await
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_has_few_places_and_not_for_long() {
        let test = async {
            let server = EnrollServer::new(None, Arc::default());
            let begun = Instant::now();
            let silent: Vec<_> = (0..MOST_SILENT)
                .map(|_| {
                    let server = server.clone();
                    spawn_local(async move { join_without_words(&server, 1, false).await })
                })
                .collect();
            tokio::task::yield_now().await;
            assert!(join_without_words(&server, 1, true).await.is_err());
            assert!(join_without_words(&server, 2, true).await.is_ok());
            assert_eq!(begun.elapsed(), Duration::ZERO);
            for one in silent {
                assert_eq!(one.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
            }
            assert!(begun.elapsed() < 2 * QUESTION, "{:?}", begun.elapsed());
            assert!(join_without_words(&server, 1, true).await.is_ok());
        };
        LocalSet::new().run_until(test).await;
    }

    #[test]
    fn who_joins_does_not_hear_whose_a_name_is() {
        let taken = AuthorityError::Taken("a".into(), "spiffe://mesh/tenant/secret/edge/a".into());
        let Reply::Refused(reason) = for_strangers(&taken) else { panic!("{taken}") };
        assert_eq!(reason, "the name a is that of another node");
    }

    #[tokio::test]
    async fn an_authority_that_does_not_work_refuses_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let authority = async |name: &str| {
            let path = directory.path().join(name);
            let store = RedbStore::open(&path).unwrap();
            Authority::new("mesh", Rc::new(store)).unwrap()
        };
        let founded = authority("a").await;
        founded.found([1; 32], unix_now()).await.unwrap();
        assert!(matches!(answer(founded).await, Reply::Refused(reason) if reason.starts_with("the request")));
        // Of what is not there nothing can be signed, whatever the request.
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        let empty = authority("b").await;
        let error = empty.renew(&Peer::Hub { name: "h".into() }, request.der(), unix_now()).await.unwrap_err();
        assert!(matches!(for_strangers(&error), Reply::Unavailable(_)), "{error}");
    }
}
