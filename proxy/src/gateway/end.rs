//! What ends a gateway, and how it drains then.

use overlay::shards::Shards;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::Admin;
use crate::bootstrap::DrainSettings;
use crate::restart::HandedOver;
use crate::worker::Workers;

/// Why a gateway does not go on.
#[derive(Debug)]
pub(super) enum End {
    /// SIGTERM or SIGINT.
    Signal,
    /// `/quitquitquit`.
    AtOnce,
    /// Another process serves.
    HandedOver(HandedOver),
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Drains, until `settings` or the process that took over say that it is enough.
pub(super) async fn drain(admin: &Admin, settings: &DrainSettings, workers: &Workers, end: &End) {
    let drain = &admin.drain;
    match end {
        End::HandedOver(successor) => {
            tracing::info!("another process has taken over; draining");
            let tunnels = || admin.overlay.as_ref().map_or(0, Shards::open_tunnels);
            let drained = drain.run_after_hand_over(settings, || workers.open() + tunnels());
            tokio::join!(drained, successor.released());
        }
        End::Signal | End::AtOnce => {
            tracing::info!("draining");
            drain.run(settings, || workers.active_connections()).await;
        }
    }
}
