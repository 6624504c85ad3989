//! Another process that announces as this edge: a copy of its folder runs somewhere, as that of a virtual machine that was cloned. Announcements of a later
//! start are believed, so the one that began earlier would not be heard any more, even after the other has ended. It begins anew, as if it was started again.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use overlay_wire::catalogue::Stamp;
use rand::Rng as _;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::Directory;
use crate::folder::Folder;

/// How long a later announcement waits for its answer, up to a half more at random. One process of an edge may be about to take over from this one, which
/// will have nothing to say then; and two copies do not announce all the time.
const WAIT: Duration = Duration::from_secs(4);
/// Lines of the log are no more often than this.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// In words.
pub const RIVAL_WARNING: &str = "another process announces as this edge: is there a copy of its folder?";

/// Answers a later announcement of this edge that it has not made with one that is later still, for as long as it runs.
pub async fn keep_name(directory: Rc<Directory>, folder: Folder) {
    let (mut later, mut said) = (directory.later.subscribe(), None::<Instant>);
    loop {
        // The sender is in the directory.
        if later.wait_for(|stamp| *stamp > directory.own.get()).await.is_err() {
            return;
        }
        sleep(WAIT + rand::rng().random_range(Duration::ZERO..WAIT / 2)).await;
        let Stamp { epoch, .. } = *later.borrow_and_update();
        directory.node.note_rival();
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            said = Some(Instant::now());
            tracing::warn!("{RIVAL_WARNING}");
        }
        let folder = folder.clone();
        let kept = spawn_blocking(move || folder.epoch_after(epoch)).await.map_err(io::Error::other);
        match kept.and_then(|kept| kept.map_err(io::Error::other)) {
            Ok(epoch) => directory.begin_anew(epoch),
            Err(error) => tracing::error!("cannot announce again: {error}"),
        }
    }
}

impl Directory {
    /// Whether this edge is said to have announced something that this process has not.
    pub(super) fn is_later_than_own(&self, edge: &str, stamp: Stamp) -> bool {
        edge == self.node.name() && self.own.get().sequence > 0 && stamp > self.own.get()
    }

    /// The same where the signature is good: another process of this edge has announced it, which is remembered.
    pub(super) fn is_of_another(&self, edge: &str, stamp: Stamp) -> bool {
        let is_of_another = self.is_later_than_own(edge, stamp);
        if is_of_another {
            self.later.send_replace(stamp);
        }
        is_of_another
    }

    fn begin_anew(&self, epoch: u64) {
        let Some(offer) = self.offered.borrow().clone() else { return };
        self.own.set(Stamp { epoch, sequence: 0 });
        if let Err(error) = self.offer(offer) {
            tracing::error!("cannot announce again: {error}");
        }
    }
}
