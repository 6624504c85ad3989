//! The old process: gives its sockets to the next one, and stops accepting once that one does.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use hashbrown::HashSet;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use xds_client::Event;

use super::channel::Channel;
use super::lacking::lacking;
use super::message::{MOST_ITEMS, Message, Offer, PROTOCOL, Purpose};
use super::{ANSWER_WITHIN, SocketFile};
use crate::admin::{Admin, Ports};
use crate::config::ConfigStatus;
use crate::drain::Phase;
use crate::listener::socket::SocketTable;

/// How long the next process may take to get ready; a little longer than it takes itself before it gives up.
const READY_WITHIN: Duration = Duration::from_secs(150);
/// How long control may take to say what is in force: less than the next process waits for an answer.
const STATUS_WITHIN: Duration = Duration::from_secs(3);
/// How long the accept loops may take to end. They do at their workers' next turn.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);
const STOPPED_POLL: Duration = Duration::from_millis(5);
/// A failure to accept does not go away at once.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What a hand-over is about.
#[derive(Debug)]
pub struct Estate {
    /// State, readiness, and the end of the process.
    pub admin: Arc<Admin>,
    /// Sockets of listeners.
    pub sockets: SocketTable,
    /// Sockets of the admin interface.
    pub ports: Ports,
    /// Sockets that the workers accept from.
    pub accept_loops: Arc<AtomicU64>,
    /// What control has not taken yet.
    pub events: mpsc::WeakSender<Vec<Event>>,
    /// Told when the process that this one has taken over from has ended.
    pub has_outlived: watch::Sender<bool>,
}

/// The next process serves.
#[derive(Debug)]
pub struct HandedOver {
    channel: Option<Channel>,
}

impl HandedOver {
    /// Waits until the next process has taken this one's place behind the path, or is gone, but not for long.
    pub async fn released(&self) {
        if let Some(channel) = &self.channel {
            drop(timeout(ANSWER_WITHIN, channel.closed()).await);
        }
    }
}

/// Where the next process finds this one.
#[derive(Debug)]
pub struct MeetingPoint {
    file: SocketFile,
    /// Who is taking over. It has the sockets, or is about to get them.
    successor: Option<Channel>,
}

impl MeetingPoint {
    pub(super) fn new(file: SocketFile) -> Self {
        Self { file, successor: None }
    }

    /// Waits for a process that takes over. Whoever comes and fails is told to the log, and changes nothing.
    pub(super) async fn serve(&mut self, estate: &Estate) -> HandedOver {
        loop {
            let channel = accept(&self.file).await;
            let peer = channel.peer.pid;
            let busy = format!("process {peer} is taking over already");
            let outcome = {
                let mut hand_over = pin!(hand_over(self.successor.insert(channel), estate));
                tokio::select! {
                    outcome = &mut hand_over => outcome,
                    never = refuse_all(&self.file, &busy) => match never {},
                }
            };
            let channel = self.successor.take();
            match outcome {
                Ok(()) => return HandedOver { channel },
                Err(error) => {
                    estate.sockets.share(&HashSet::new());
                    let path = self.file.path().display();
                    tracing::warn!("process {peer} does not take over by {path}: {error:#}; going on");
                }
            }
        }
    }

    /// This process ends by itself. Whoever is taking over hears of it, and serves at once; whoever comes is told why it cannot.
    pub(super) async fn end(&self, estate: &Estate, reason: &str) -> Infallible {
        tokio::join!(refuse_all(&self.file, reason), self.outlive_successor(estate)).0
    }

    /// Sees whether a process that was taking over goes first: then what waits in the queues is left to nobody.
    async fn outlive_successor(&self, estate: &Estate) {
        let Some(successor) = &self.successor else { return };
        successor.say_no_more();
        successor.gone().await;
        tracing::warn!("process {}, which was to take over, has gone", successor.peer.pid);
        estate.sockets.share(&HashSet::new());
        if estate.admin.drain.phase() >= Phase::Closing {
            // Nobody accepts from them: clients are refused instead of waiting for the end of this process.
            estate.sockets.hand_over();
        }
    }
}

/// Tells whoever comes why it cannot take over.
async fn refuse_all(file: &SocketFile, reason: &str) -> Infallible {
    loop {
        let channel = accept(file).await;
        // One at a time: whoever says nothing is given up soon.
        drop(timeout(ANSWER_WITHIN, refuse(&channel, reason)).await);
    }
}

async fn accept(file: &SocketFile) -> Channel {
    loop {
        match file.accept().await {
            Ok(channel) => return channel,
            Err(error) => {
                tracing::warn!("cannot accept on the hand-over socket {}: {error}", file.path().display());
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Its first message is taken first: closing would otherwise throw the answer away as well.
async fn refuse(channel: &Channel, reason: &str) -> anyhow::Result<()> {
    channel.receive().await?;
    Ok(channel.send(&Message::Refused { reason: reason.to_owned() }).await?)
}

/// From the first message to the end of accepting.
async fn hand_over(channel: &Channel, estate: &Estate) -> anyhow::Result<()> {
    timeout(ANSWER_WITHIN, offer(channel, estate)).await.context("it does not take what it is given")??;
    let taken = timeout(READY_WITHIN, ready(channel)).await.context("it does not get ready")??;
    let left = stop(estate, taken).await;
    if left > 0 {
        let within = STOPPED_WITHIN.as_secs();
        tracing::warn!(
            "{left} accept loops have not ended within {within} s: what they still accept is served, and drains"
        );
    }
    // It serves already, and must not be left without a process that drains: whether it hears of it does not matter.
    let _ = channel.send(&Message::Stopped).await;
    Ok(())
}

async fn offer(channel: &Channel, estate: &Estate) -> anyhow::Result<()> {
    let (hello, _) = channel.receive().await?;
    let status = match may_have_it(channel, &hello, estate).await {
        Ok(status) => status,
        Err(error) => {
            let reason = error.to_string();
            channel.send(&Message::Refused { reason }).await?;
            return Err(error);
        }
    };
    let sockets = handles(estate).context("its sockets")?;
    let lacking = Vec::from_iter(lacking(&status));
    let epoch = estate.admin.epoch;
    let offer = Offer {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: epoch.number,
        served: epoch.served_before + estate.admin.started.elapsed(),
        lacking: lacking.len(),
        sockets: sockets.len(),
    };
    channel.send(&Message::Offer(offer)).await?;
    for names in lacking.chunks(MOST_ITEMS) {
        channel.send(&Message::Lacking(names.to_vec())).await?;
    }
    for sockets in sockets.chunks(MOST_ITEMS) {
        let about = sockets.iter().map(|(purpose, address, _)| (*purpose, *address)).collect();
        let descriptors: Vec<_> = sockets.iter().map(|(_, _, socket)| socket.as_fd()).collect();
        channel.send_with(&Message::Sockets(about), &descriptors).await?;
    }
    // From now on the end of this process must leave them as they are.
    estate.sockets.share(&sockets.into_iter().map(|(_, address, _)| address).collect());
    Ok(())
}

/// What is in force in this process, if the other one may take over.
async fn may_have_it(channel: &Channel, hello: &Message, estate: &Estate) -> anyhow::Result<ConfigStatus> {
    let Message::Hello { protocol, version } = hello else { bail!("it says something that is no message of ours") };
    let (user, ours) = (channel.peer.user, rustix::process::geteuid().as_raw());
    if user != ours {
        bail!("it runs as user {user}, this one as user {ours}");
    }
    if *protocol != PROTOCOL {
        bail!("version {version} hands over by protocol {protocol}, this one by {PROTOCOL}");
    }
    match estate.admin.drain.phase() {
        Phase::Serving => {}
        phase => bail!("this process is not serving ({phase:?})"),
    }
    let asked = timeout(STATUS_WITHIN, estate.admin.status());
    // The other one reads what this one writes as soon as it serves, and this one hears of that later.
    let (status, ()) = tokio::join!(asked, estate.admin.edge_memory.write_now());
    let status = status.ok();
    status.context("this process is busy with a change of its configuration: try again")
}

type Handle = (Purpose, SocketAddr, TcpListener);

fn handles(estate: &Estate) -> std::io::Result<Vec<Handle>> {
    let mut handles = Vec::new();
    for sockets in estate.sockets.open() {
        let of_address = sockets.handles()?.into_iter();
        handles.extend(of_address.map(|socket| (Purpose::Listener, sockets.address(), socket)));
    }
    for (address, socket) in estate.sockets.unused_handles()? {
        handles.push((Purpose::Listener, address, socket));
    }
    for (address, socket) in estate.ports.handles()? {
        handles.push((Purpose::Own, address, socket));
    }
    Ok(handles)
}

/// The addresses of listeners that the next process serves.
async fn ready(channel: &Channel) -> anyhow::Result<HashSet<SocketAddr>> {
    let mut taken = HashSet::new();
    loop {
        match channel.receive().await?.0 {
            Message::Taken(addresses) => taken.extend(addresses),
            Message::Ready => return Ok(taken),
            _ => bail!("it says something that is no message of ours"),
        }
    }
}

/// Stops accepting; live connections begin to drain. Returns how many accept loops do not end.
async fn stop(estate: &Estate, taken: HashSet<SocketAddr>) -> u64 {
    // What the next process does not serve ends as with the process: whoever waits is served, then clients are refused.
    estate.sockets.share(&taken);
    estate.sockets.hand_over();
    estate.ports.close();
    estate.admin.source.keep_on_disk(false);
    estate.admin.drain.advance(Phase::HandedOver);
    let end = Instant::now() + STOPPED_WITHIN;
    loop {
        let left = estate.accept_loops.load(Ordering::Acquire);
        if left == 0 || Instant::now() >= end {
            return left;
        }
        sleep(STOPPED_POLL).await;
    }
}

#[cfg(test)]
mod tests;
