//! Clients of site a: steady requests, counted by who answered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::place::Place;
use super::stage::SITES;

const CLIENTS: usize = 16;
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(20);
/// An answer that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who answered how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// In the order of the sites.
    pub(super) answers: [u64; SITES.len()],
    pub(super) failed: u64,
    /// Why the first one failed.
    pub(super) reason: Option<String>,
}

impl Count {
    pub(super) fn total(&self) -> u64 {
        self.answers.iter().sum::<u64>() + self.failed
    }

    /// What has come since.
    pub(super) fn since(&self, before: &Self) -> Self {
        let mut since = self.clone();
        for (answers, earlier) in since.answers.iter_mut().zip(before.answers) {
            *answers -= earlier;
        }
        since.failed -= before.failed;
        since
    }

    fn note(&mut self, outcome: Result<usize, String>) {
        match outcome.map(|site| self.answers.get_mut(site)) {
            Ok(Some(answers)) => *answers += 1,
            Ok(None) => {}
            Err(reason) => {
                self.failed += 1;
                self.reason.get_or_insert(reason);
            }
        }
    }
}

/// Clients that ask until this is dropped.
pub(super) struct Traffic {
    count: Arc<Mutex<Count>>,
    _clients: JoinSet<()>,
}

impl Traffic {
    pub(super) fn start(place: &Place, gateway: SocketAddr) -> Self {
        let count = Arc::new(Mutex::new(Count::default()));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(keep_asking(place.clone(), gateway, count.clone()));
        }
        Self { count, _clients: clients }
    }

    /// As of now.
    pub(super) fn count(&self) -> Count {
        self.count.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn keep_asking(place: Place, gateway: SocketAddr, count: Arc<Mutex<Count>>) {
    let mut turns = tokio::time::interval(PAUSE);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    loop {
        turns.tick().await;
        let outcome = ask(&place, gateway, &mut connection).await;
        if outcome.is_err() {
            connection = None;
        }
        count.lock().unwrap_or_else(PoisonError::into_inner).note(outcome);
    }
}

/// Asks once over a connection of its own, for as long as there is no answer that counts.
pub(super) async fn who_answers(place: &Place, gateway: SocketAddr) -> Option<usize> {
    ask(place, gateway, &mut None).await.ok()
}

async fn ask(
    place: &Place,
    gateway: SocketAddr,
    connection: &mut Option<SendRequest<Empty<Bytes>>>,
) -> Result<usize, String> {
    let exchange = async {
        let sender = match connection {
            Some(sender) => sender,
            None => connection.insert(connect(place, gateway).await?),
        };
        let request = Request::get("/").header("host", "shop.example.com").body(Empty::new())?;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        anyhow::Ok((parts.status, body.collect().await?.to_bytes()))
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    let (status, body) = answer.map_err(|_| "no answer".to_owned())?.map_err(|error| format!("{error:#}"))?;
    let site = SITES.iter().position(|site| body.starts_with(site.as_bytes()));
    match site.filter(|_| status == StatusCode::OK) {
        Some(site) => Ok(site),
        None => Err(format!("{} {}", status.as_u16(), String::from_utf8_lossy(&body))),
    }
}

async fn connect(place: &Place, gateway: SocketAddr) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let socket = place.connect(gateway).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    // It ends when the sender is dropped.
    tokio::spawn(connection);
    Ok(sender)
}
