//! What an edge is while one process of it takes over from another: both have its name, its folder and its key.
//!
//! The new process tells nobody of itself, and writes nothing into the folder, before it serves; the old one does neither once it has handed over. New
//! streams come to the new one, because the old one asks for them no more; those that are there stay where they are.

use std::time::Duration;

use tokio::sync::watch;

use crate::drain::Phase;

/// Which of the processes this is, and how far it has come.
#[derive(Clone, Debug)]
pub struct Succession {
    /// How many there were before.
    pub generation: u64,
    /// Moves only forward.
    pub phase: watch::Receiver<Phase>,
    /// How long it goes on after it has handed over.
    pub drain: Duration,
    /// Whether the process that this one has taken over from has ended.
    pub has_outlived: watch::Receiver<bool>,
}

impl Succession {
    /// Whether this process is the one that speaks for the edge.
    pub(super) fn speaks(&self) -> bool {
        !matches!(*self.phase.borrow(), Phase::TakingOver | Phase::HandedOver)
    }

    /// Returns when this process is the one that speaks for the edge, or was.
    pub(super) async fn begins(&mut self) {
        // Who ends the process ends this as well.
        let _ = self.phase.wait_for(|phase| *phase > Phase::TakingOver).await;
    }

    /// Does something from when this process speaks for the edge until another one does.
    pub(super) async fn while_it_speaks(mut self, task: impl Future<Output = ()>) {
        self.begins().await;
        tokio::select! {
            () = task => {}
            () = self.ends() => {}
        }
    }

    /// Returns when the process before has ended.
    pub(super) async fn outlives(&mut self) {
        if self.has_outlived.wait_for(|has_outlived| *has_outlived).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns when another process is.
    pub(super) async fn ends(&mut self) {
        if self.phase.wait_for(|phase| *phase == Phase::HandedOver).await.is_err() {
            std::future::pending().await
        }
    }
}
