//! Which uplinks are kept, while that changes.

use std::future::pending;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::{FIRST_TRY, Uplink, keep};
use crate::identity::Current;
use crate::node::Node;

/// How often it is looked whether an uplink that is not wanted any more can go.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Keeps links over all uplinks that are wanted, for as long as it runs. One that is not wanted any more goes when there is a link to the same hub
/// over one that is, on which its streams go on; at once if it has no link itself.
pub async fn keep_wanted(node: Rc<Node>, identity: Current, mut wanted: watch::Receiver<Arc<[Uplink]>>) {
    let mut tasks = JoinSet::new();
    let mut kept: Vec<(Uplink, AbortHandle)> = Vec::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        for uplink in now.iter() {
            if kept.iter().all(|(other, _)| other != uplink) {
                // Nobody may think that it has a link already.
                node.set_pending(&uplink.to_string(), FIRST_TRY);
                let task = tasks.spawn_local(keep(node.clone(), identity.clone(), uplink.clone()));
                kept.push((uplink.clone(), task));
            }
        }
        let without_link = node.pending();
        let is_linked = |uplink: &Uplink| {
            let way = uplink.to_string();
            without_link.iter().all(|(other, _)| *other != way)
        };
        kept.retain(|(uplink, task)| {
            let others = || now.iter().any(|other| other.hub == uplink.hub && is_linked(other));
            let stays = now.contains(uplink) || (is_linked(uplink) && !others());
            if !stays {
                tracing::info!(hub = %uplink, "is not dialled any more");
                task.abort();
                node.clear_pending(&uplink.to_string());
            }
            stays
        });
        let all_wanted = kept.iter().all(|(uplink, _)| now.contains(uplink));
        tokio::select! {
            Ok(()) = wanted.changed() => {}
            () = sleep(LOOK_EVERY), if !all_wanted => {}
            Some(Err(ended)) = tasks.join_next() => if ended.is_panic() {
                resume_unwind(ended.into_panic());
            },
            else => pending().await,
        }
    }
}
