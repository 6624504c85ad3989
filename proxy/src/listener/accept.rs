//! The accept loops of one listener on one worker: when they begin, and what is left to accept when they end.

mod accepting;
mod error;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::SockRef;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::accepting::Accepting;
use super::open::OpenListener;
use super::socket::ListeningSockets;
use crate::drain::Phase;
use crate::worker::vital;

/// The running accept loops of one worker's sockets of a listener: one, or more if they come from a process with more workers.
/// They end when this is dropped.
#[derive(Debug)]
pub(super) struct AcceptLoops {
    tasks: JoinSet<()>,
    stop: watch::Sender<Option<AfterLast>>,
}

/// What happens to the socket after the last connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterLast {
    /// Our handle closes; the socket does when its last handle does.
    Close,
    /// It stops listening, whoever holds it.
    ShutDown,
    /// As `Close`, but what waits is left to another process, which holds the socket too.
    LeaveToAnother,
}

/// When accepting may begin, and who is told how many loops there are.
#[derive(Clone, Debug)]
pub(super) struct AcceptGate {
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) loops: Arc<AtomicU64>,
}

impl AcceptLoops {
    pub(super) fn start(
        sockets: &Arc<ListeningSockets>,
        worker: usize,
        listener: &Rc<OpenListener>,
        gate: &AcceptGate,
    ) -> Self {
        let (stop, stopped) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for slot in sockets.slots(worker) {
            let accepting = run(sockets.clone(), slot, listener.clone(), gate.clone(), stopped.clone());
            tasks.spawn_local(vital("accept loop", accepting));
        }
        Self { tasks, stop }
    }

    /// Tells them to accept what waits already, and then to end.
    pub(super) fn stop(&self, after: AfterLast) {
        self.stop.send_replace(Some(after));
    }

    /// As [`Self::stop`]; returns when they have ended.
    pub(super) async fn finish(mut self) {
        self.stop(AfterLast::Close);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn run(
    sockets: Arc<ListeningSockets>,
    slot: usize,
    listener: Rc<OpenListener>,
    mut gate: AcceptGate,
    mut stopped: watch::Receiver<Option<AfterLast>>,
) {
    let _counted = Counted::new(&gate.loops);
    let mut accepting = Accepting::new(listener);
    let opened = async {
        // Nobody moves the phase any more if the sender is gone: the worker ends.
        gate.phase.wait_for(|phase| *phase >= Phase::Serving).await.ok()?;
        accepting.open(&sockets, slot).await
    };
    let socket = tokio::select! {
        socket = opened => socket,
        _ = stopped.wait_for(Option::is_some) => None,
    };
    drop(sockets);
    let Some(socket) = socket else { return };
    let after = tokio::select! {
        () = accepting.forever(&socket) => return,
        after = stopped.wait_for(Option::is_some) => after.ok().and_then(|after| *after),
    };
    accepting.admit_held();
    if after == Some(AfterLast::LeaveToAnother) {
        return;
    }
    accepting.what_waits(&socket).await;
    if after == Some(AfterLast::ShutDown) {
        // It may be closed already, which is what we want.
        drop(SockRef::from(&socket).shutdown(std::net::Shutdown::Both));
    }
}

/// A loop, in the number of those that run.
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(loops: &Arc<AtomicU64>) -> Self {
        loops.fetch_add(1, Ordering::Relaxed);
        Self(loops.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Whoever sees that the loop has ended sees the connections that it accepted.
        self.0.fetch_sub(1, Ordering::Release);
    }
}
