//! The new process: gets the sockets of the one before it, gets ready, and takes its place.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::time::{Instant, sleep, timeout};

use super::channel::{Channel, ReceiveError};
use super::hand_over::Estate;
use super::lacking::lacking;
use super::message::{MOST_ITEMS, Message, Offer, PROTOCOL, Purpose};
use super::{ANSWER_WITHIN, Epoch, Inherited, SocketFile};
use crate::drain::Phase;

/// How long this process may take to get ready. Then it gives up, and the one before it goes on.
const READY_WITHIN: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How the process before let this one serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
    /// It has stopped.
    Stopped,
    /// It may not have.
    Unclear,
    /// It had ended, or was about to, before this one was ready.
    Ended,
}

/// The process that serves until this one can.
#[derive(Debug)]
pub struct Predecessor {
    path: PathBuf,
    channel: Channel,
    offer: Offer,
    met: Instant,
    /// What it lacks itself need not be waited for.
    lacking: BTreeSet<String>,
}

impl Predecessor {
    /// Gets its sockets.
    pub(super) async fn meet(channel: Channel, path: &Path) -> anyhow::Result<(Self, Inherited)> {
        let pid = channel.peer.pid;
        let met = match timeout(ANSWER_WITHIN, greet(&channel)).await {
            Ok(met) => met,
            Err(_) => Err(anyhow!(
                "it does not answer within {} s; end it, or start this one without --handover-socket",
                ANSWER_WITHIN.as_secs()
            )),
        };
        let context = || format!("cannot take over from process {pid} behind {}", path.display());
        let (offer, lacking, inherited) = met.with_context(context)?;
        tracing::info!(
            "taking over {} listening sockets from process {pid} (version {}) behind {}",
            offer.sockets,
            offer.version,
            path.display()
        );
        let predecessor = Self { path: path.to_owned(), channel, offer, met: Instant::now(), lacking };
        Ok((predecessor, inherited))
    }

    pub(super) fn next_epoch(&self) -> Epoch {
        Epoch {
            has_handover_socket: true,
            number: self.offer.epoch.saturating_add(1),
            served_before: self.offer.served,
        }
    }

    /// Waits until this process can serve as well as the one before, begins to accept, and lets the other one go. If that one ends
    /// meanwhile it does not wait. Returns the place in which the next process finds this one, if it can be had.
    ///
    /// # Errors
    /// This process does not get as far: nothing has changed for the other one.
    pub(super) async fn take_over(&self, estate: &Estate) -> anyhow::Result<(Parting, Option<SocketFile>)> {
        let pid = self.channel.peer.pid;
        let parting = tokio::select! {
            ready = self.become_ready(estate) => {
                ready.with_context(|| format!("not taking over from process {pid} behind {}", self.path.display()))?;
                self.let_go(estate).await
            }
            () = self.channel.closed() => {
                estate.admin.drain.advance(Phase::Serving);
                tracing::warn!("process {pid} ended before this one was ready; serving without it");
                Parting::Ended
            }
        };
        estate.admin.source.keep_on_disk(true);
        // The other process waits for this until it goes: somebody is behind the path at any time.
        match SocketFile::succeed(&self.path, pid).await {
            Ok(file) => Ok((parting, Some(file))),
            Err(error) => {
                tracing::error!("no other process can take over from this one: {error:#}");
                Ok((parting, None))
            }
        }
    }

    /// Begins to accept, and has the other process stop.
    async fn let_go(&self, estate: &Estate) -> Parting {
        let pid = self.channel.peer.pid;
        // What is not in use now never will be: the other process closes it for everybody when it stops.
        let unused = (estate.sockets.take_unused(), estate.ports.take_unused());
        estate.admin.drain.advance(Phase::Serving);
        let replaced = timeout(ANSWER_WITHIN, self.replace(estate)).await;
        // Now that the other process does not accept from them.
        drop(unused);
        match replaced {
            Ok(Ok(())) => {
                tracing::info!("process {pid} has handed over and drains");
                return Parting::Stopped;
            }
            Ok(Err(error)) => tracing::warn!("process {pid}, which is to hand over: {error}; serving"),
            Err(_) => tracing::error!(
                "process {pid} behind {} does not say that it stopped accepting within {} s; serving beside it",
                self.path.display(),
                ANSWER_WITHIN.as_secs()
            ),
        }
        Parting::Unclear
    }

    /// Holds what the other process has left for as long as it is of use: sockets whose listeners have not come yet, and the channel,
    /// by which a process that is ending sees that this one serves, and this one when the other has ended.
    pub(super) async fn outlive(self, parting: Parting, estate: &Estate) -> Infallible {
        let holds_sockets = async {
            match parting {
                // It waits for this.
                Parting::Stopped => self.channel.say_no_more(),
                Parting::Unclear => {}
                Parting::Ended => self.hold_sockets(estate).await,
            }
        };
        let has_ended = async {
            self.channel.ended().await;
            tracing::info!("process {}, from which this one took over, has ended", self.channel.peer.pid);
            estate.has_outlived.send_replace(true);
        };
        tokio::join!(holds_sockets, has_ended);
        drop(self);
        pending().await
    }

    async fn hold_sockets(&self, estate: &Estate) {
        if let Err(error) = self.become_ready(estate).await {
            let pid = self.channel.peer.pid;
            tracing::warn!("{error:#}; sockets of process {pid} that are not in use are closed");
        }
        drop((estate.sockets.take_unused(), estate.ports.take_unused()));
    }

    async fn become_ready(&self, estate: &Estate) -> anyhow::Result<()> {
        let end = self.met + READY_WITHIN;
        loop {
            let missing = estate.missing(&self.lacking).await;
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= end {
                let missing = Vec::from_iter(missing).join(", ");
                bail!("not ready within {} s: waiting for {missing}", READY_WITHIN.as_secs());
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Tells the other process what is served here, and waits until it has stopped.
    async fn replace(&self, estate: &Estate) -> Result<(), ReceiveError> {
        let listeners = estate.sockets.open();
        let taken: Vec<SocketAddr> = listeners.iter().map(|sockets| sockets.address()).collect();
        for addresses in taken.chunks(MOST_ITEMS) {
            self.channel.send(&Message::Taken(addresses.to_vec())).await?;
        }
        self.channel.send(&Message::Ready).await?;
        match self.channel.receive().await? {
            (Message::Stopped, _) => Ok(()),
            _ => Err(ReceiveError::Foreign),
        }
    }
}

impl Estate {
    /// What has to be there before this process serves as well as one that lacks `allowed`.
    async fn missing(&self, allowed: &BTreeSet<String>) -> BTreeSet<String> {
        let missing = self.admin.readiness.missing();
        if !missing.is_empty() {
            return missing.into_iter().map(str::to_owned).collect();
        }
        if self.events.upgrade().is_some_and(|events| events.capacity() < events.max_capacity()) {
            return BTreeSet::from(["its configuration".to_owned()]);
        }
        // Control answers when it is done with what it has taken.
        &lacking(&self.admin.status().await) - allowed
    }
}

/// What the other process has.
async fn greet(channel: &Channel) -> anyhow::Result<(Offer, BTreeSet<String>, Inherited)> {
    let (user, ours) = (channel.peer.user, rustix::process::geteuid().as_raw());
    if user != ours {
        bail!("it runs as user {user}, this one as user {ours}");
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    channel.send(&Message::Hello { protocol: PROTOCOL, version }).await?;
    let offer = match channel.receive().await? {
        (Message::Offer(offer), _) => offer,
        (Message::Refused { reason }, _) => bail!("it refuses: {reason}"),
        _ => return Err(ReceiveError::Foreign.into()),
    };
    let mut lacking = BTreeSet::new();
    while lacking.len() < offer.lacking {
        let (Message::Lacking(names), _) = channel.receive().await? else { return Err(ReceiveError::Foreign.into()) };
        lacking.extend(names);
    }
    let mut inherited = Inherited::default();
    while inherited.listeners.len() + inherited.own.len() < offer.sockets {
        match channel.receive().await? {
            (Message::Sockets(about), descriptors) if !about.is_empty() && about.len() == descriptors.len() => {
                for (about, descriptor) in about.into_iter().zip(descriptors) {
                    inherited.take(about, descriptor)?;
                }
            }
            _ => return Err(ReceiveError::Foreign.into()),
        }
    }
    Ok((offer, lacking, inherited))
}

impl Inherited {
    fn take(&mut self, (purpose, address): (Purpose, SocketAddr), descriptor: OwnedFd) -> anyhow::Result<()> {
        let socket = TcpListener::from(descriptor);
        let real = socket.local_addr().with_context(|| format!("what it gives for {address} is no TCP socket"))?;
        if real != address {
            bail!("the socket that it gives for {address} listens on {real}");
        }
        match purpose {
            Purpose::Listener => self.listeners.push((address, socket)),
            Purpose::Own => self.own.push((address, socket)),
        }
        Ok(())
    }
}
