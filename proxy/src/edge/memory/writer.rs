//! The file with what other edges offer. It matters only at the next start, and where an edge changes something all the time flash would wear out: so it
//! is written soon after a time of quiet, then seldom, and once more before another process reads it.

use std::time::Duration;

use overlay::catalogue::Announcement;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::needed::Known;
use super::read;
use crate::edge::control::sleep_until;
use crate::edge::import::KnownEdges;
use crate::edge::known_file::KnownFile;

/// What hubs tell after a start comes in several pieces, which are written together.
const TOGETHER: Duration = Duration::from_millis(500);
/// Between two times.
pub(super) const SELDOM: Duration = Duration::from_secs(60);
/// A disk that takes nothing must not keep the process, nor the next one.
const WITHIN: Duration = Duration::from_secs(2);

/// Writes it.
#[derive(Debug)]
pub(in crate::edge) struct Writer {
    file: KnownFile,
    /// The name of the edge itself.
    own: String,
    known: watch::Receiver<Option<Known>>,
    /// What the file holds, once that was looked at.
    kept: Option<KnownEdges>,
    wishes: mpsc::Receiver<oneshot::Sender<()>>,
    /// Not before this it is written again.
    next: Instant,
}

/// The file, for those who want it to hold what is known before somebody else reads it. Without an edge there is none.
#[derive(Clone, Debug, Default)]
pub struct MemoryFile {
    wishes: Option<mpsc::Sender<oneshot::Sender<()>>>,
}

impl MemoryFile {
    /// Returns when it was written, if it had to be, or when that takes too long.
    pub async fn write_now(&self) {
        let Some(wishes) = &self.wishes else { return };
        let (done, written) = oneshot::channel();
        let writing = async {
            // Where nobody writes any more there is nothing to wait for.
            if wishes.send(done).await.is_ok() {
                let _ = written.await;
            }
        };
        if timeout(WITHIN, writing).await.is_err() {
            tracing::warn!("what other edges offer may not be on disk: writing takes too long");
        }
    }
}

impl Writer {
    pub(super) fn new(file: KnownFile, own: String, known: watch::Receiver<Option<Known>>) -> (Self, MemoryFile) {
        let (wishes, receiver) = mpsc::channel(1);
        let writer = Self { file, own, known, kept: None, wishes: receiver, next: Instant::now() };
        (writer, MemoryFile { wishes: Some(wishes) })
    }

    /// Goes on until it is aborted, or nobody tells what is known any more.
    pub(in crate::edge) async fn run(mut self) {
        let mut due = None;
        loop {
            tokio::select! {
                changed = self.known.changed(), if due.is_none() => match changed {
                    Ok(()) => due = Some(self.next.max(Instant::now() + TOGETHER)),
                    Err(_) => return,
                },
                () = sleep_until(due) => due = self.write().await,
                Some(done) = self.wishes.recv() => {
                    due = self.write().await;
                    // Whoever has waited for too long has gone.
                    let _ = done.send(());
                }
            }
        }
    }

    /// Makes the file hold what is known. Where that fails, when it is to be tried again.
    async fn write(&mut self) -> Option<Instant> {
        let known = self.known.borrow_and_update().clone()?;
        let (file, own, kept) = (self.file.clone(), self.own.clone(), self.kept.clone());
        // The disk may be slow, and everything else goes on.
        let writing = spawn_blocking(move || {
            let kept = kept.unwrap_or_else(|| read(&file).unwrap_or_default().into());
            let needed = known.needed(&own);
            let changed = needed != kept;
            let written = !changed || write(&file, &needed);
            (if written { needed } else { kept }, changed, written)
        });
        let Ok((kept, changed, written)) = writing.await else { return Some(Instant::now() + SELDOM) };
        self.kept = Some(kept);
        if changed {
            self.next = Instant::now() + SELDOM;
        }
        (!written).then_some(self.next)
    }
}

fn write(file: &KnownFile, edges: &KnownEdges) -> bool {
    let content: Vec<(&str, &Announcement)> =
        edges.iter().map(|(edge, announcement)| (edge.as_str(), &**announcement)).collect();
    file.write(&content)
}
