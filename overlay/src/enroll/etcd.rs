//! The store of several authorities: etcd, by the few messages of its API that it takes.

mod member;
mod messages;

use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use prost::Message;
use tokio::time::{Instant, timeout_at};

use self::member::Member;
use self::messages::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use super::store::{Answer, Store, StoreError};

/// Before the keys of all overlays.
const PREFIX: &str = "/selvedge/";
/// Time for all members together: who asks, an operator or a node that joins, waits for the answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// Values that are asked for at once.
const PAGE: i64 = 500;

const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";

/// Where etcd is, and who asks it. The names are those of etcd's own tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdOptions {
    /// Its members: `https://host:port`.
    pub endpoints: Vec<String>,
    /// Certificates of the authorities that its members are trusted by, PEM.
    pub cacert: Option<PathBuf>,
    /// Our own certificate, PEM.
    pub cert: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
}

/// Values in etcd, under a prefix of the overlay's own. Whoever may write there is the authority.
pub struct EtcdStore {
    members: Vec<Member>,
    /// The member that answered last.
    first: Cell<usize>,
    prefix: String,
}

impl EtcdStore {
    /// The store of an overlay. Nothing is connected yet.
    ///
    /// # Errors
    /// An address is none, or a file is of no use.
    pub fn new(options: &EtcdOptions, overlay: &str) -> Result<Self, StoreError> {
        let tls = member::tls(options)?;
        let members: Vec<_> =
            options.endpoints.iter().map(|endpoint| Member::new(endpoint, tls.as_ref())).collect::<Result<_, _>>()?;
        if members.is_empty() {
            return Err(failed("etcd", &"no endpoints"));
        }
        Ok(Self { members, first: Cell::new(0), prefix: format!("{PREFIX}{overlay}/") })
    }

    fn key(&self, key: &str) -> Vec<u8> {
        format!("{}{key}", self.prefix).into_bytes()
    }

    /// Asks one member after the other until one answers; with it goes whether others were asked before, which may have done what they did not answer.
    async fn ask<Q, R>(&self, path: &'static str, question: &Q) -> Result<(R, bool), StoreError>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let mut reasons = Vec::new();
        let end = Instant::now() + PATIENCE;
        for turn in 0..self.members.len() {
            let at = (self.first.get() + turn) % self.members.len();
            let member = &self.members[at];
            let reason = match timeout_at(end, member.ask(path, question.clone())).await {
                Ok(Ok(answer)) => {
                    self.first.set(at);
                    return Ok((answer, turn > 0));
                }
                Ok(Err(reason)) => reason,
                Err(_) => format!("no answer in {PATIENCE:?}"),
            };
            reasons.push(format!("{}: {reason}", member.endpoint));
        }
        Err(failed("etcd", &reasons.join("; ")))
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        self.ask(RANGE, &request).await.map(|(response, _)| response)
    }

    async fn value(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let response = self.range(RangeRequest { key: self.key(key), ..RangeRequest::default() }).await?;
        Ok(response.kvs.into_iter().next().map(|found| found.value))
    }

    async fn replace(&self, key: &str, expected: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool, StoreError> {
        let request = TxnRequest::swap(self.key(key), expected, new);
        let (response, may_be_done): (TxnResponse, bool) = self.ask(TXN, &request).await?;
        if response.succeeded {
            return Ok(true);
        }
        // Who did not answer may have done it.
        Ok(may_be_done && expected != new && self.value(key).await?.as_deref() == new)
    }

    async fn all(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut next = Some(RangeRequest::of_prefix(self.key(prefix), PAGE));
        let mut found = Vec::new();
        while let Some(request) = next {
            let response = self.range(request.clone()).await?;
            next = request.after(&response);
            for pair in response.kvs {
                let key = String::from_utf8(pair.key).map_err(|error| failed("etcd", &error))?;
                found.push((key.strip_prefix(&self.prefix).unwrap_or(&key).to_owned(), pair.value));
            }
        }
        Ok(found)
    }
}

fn failed(store: &str, reason: &dyn fmt::Display) -> StoreError {
    StoreError { store: store.to_owned(), reason: reason.to_string() }
}

impl Store for EtcdStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(self.value(key))
    }

    fn swap<'a>(&'a self, key: &'a str, expected: Option<&'a [u8]>, new: Option<&'a [u8]>) -> Answer<'a, bool> {
        Box::pin(self.replace(key, expected, new))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<(String, Vec<u8>)>> {
        Box::pin(self.all(prefix))
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self.members.iter().map(|member| &member.endpoint).collect();
        formatter.debug_struct("EtcdStore").field("endpoints", &endpoints).field("prefix", &self.prefix).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(endpoint: &str, cacert: Option<&str>) -> String {
        let options = EtcdOptions {
            endpoints: vec![endpoint.to_owned()],
            cacert: cacert.map(PathBuf::from),
            ..EtcdOptions::default()
        };
        EtcdStore::new(&options, "mesh").unwrap_err().to_string()
    }

    #[tokio::test]
    async fn options_that_cannot_be_are_named() {
        assert_eq!(refusal("https://a:2379", None), "https://a:2379: TLS needs to know whom to trust: etcd's cacert");
        assert_eq!(refusal("a:2379", None), "a:2379: is not https://host:port or http://host:port");
        assert!(refusal("https://a:2379", Some("/nonexistent/ca.pem")).starts_with("/nonexistent/ca.pem: "));
        let none = EtcdStore::new(&EtcdOptions::default(), "mesh").unwrap_err().to_string();
        assert_eq!(none, "etcd: no endpoints");
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_say_nothing_are_waited_for_so_long_and_no_longer() {
        let silent = [(); 4].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let endpoints: Vec<_> = silent.iter().map(|one| format!("http://{}", one.local_addr().unwrap())).collect();
        let options = EtcdOptions { endpoints: endpoints.clone(), ..EtcdOptions::default() };
        let store = EtcdStore::new(&options, "mesh").unwrap();
        let begun = Instant::now();
        let error = store.swap("a", None, Some(b"x")).await.unwrap_err().to_string();
        assert!(begun.elapsed() <= PATIENCE + Duration::from_millis(100), "{:?}", begun.elapsed());
        assert!(endpoints.iter().all(|endpoint| error.contains(endpoint)), "{error}");
        assert!(error.contains("no answer in 6s"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_died_without_a_word_is_made_anew() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoints = vec![format!("http://{}", listener.local_addr().unwrap())];
        let store = EtcdStore::new(&EtcdOptions { endpoints, ..EtcdOptions::default() }, "mesh").unwrap();
        let accepting = tokio::spawn(async move {
            let mut silent = Vec::new();
            while silent.len() < 2 {
                silent.push(listener.accept().await.unwrap());
            }
        });
        for _ in 0..20 {
            store.get("a").await.unwrap_err();
        }
        assert!(accepting.is_finished(), "all calls were made over the first connection");
    }

    #[tokio::test]
    async fn members_that_are_away_are_named_and_why() {
        let endpoints = vec!["http://127.0.0.1:9".to_owned(), "http://127.0.0.1:19".to_owned()];
        let store = EtcdStore::new(&EtcdOptions { endpoints, ..EtcdOptions::default() }, "mesh").unwrap();
        let error = store.get("a").await.unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:9: ") && error.contains("http://127.0.0.1:19: "), "{error}");
        assert!(error.contains("refused"), "{error}");
    }
}
