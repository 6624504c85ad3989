//! The tunnels that are kept to other edges: which of them a call takes, and when one ends that nobody uses.

use std::cell::RefCell;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::CallError;
use super::opened::Tunnel;
use crate::link::{Link, code};

/// Tunnels to one edge of one class that take calls. There is one, unless it is full, or another one has a better way.
const MOST: usize = 8;
/// Tunnels beside them that take no more calls, in which those that were made go on: all of a process that ends, of some that follow each other.
const MOST_LEFT: usize = 32;
/// A tunnel without a call ends after so long.
const IDLE: Duration = Duration::from_secs(300);
/// How often it is looked whether it has one.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The same once the other edge wants no more calls in it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// An edge, and the class of traffic.
pub(super) type Key = (String, u8);

/// A tunnel, as soon as it is opened; or why it is not.
pub(super) type Attempt = watch::Receiver<Option<Result<Tunnel, CallError>>>;

/// Those of a node.
#[derive(Debug, Default)]
pub(super) struct Kept(RefCell<HashMap<Key, Vec<Attempt>>>);

impl Kept {
    /// The tunnel that a call takes, opened or about to be; `None` if another one is to be opened. `is_best` says whether a new one could not have a
    /// better way.
    pub(super) fn choose(&self, key: &Key, is_best: impl Fn(&Tunnel) -> bool) -> Option<Attempt> {
        let mut kept = self.0.borrow_mut();
        let attempts = kept.get_mut(key)?;
        attempts.retain(|attempt| attempt.borrow().is_some() || attempt.has_changed().is_ok());
        let has_room = |attempt: &&Attempt| match &*attempt.borrow() {
            Some(Ok(tunnel)) => tunnel.is_usable() && !tunnel.link.is_full() && is_best(tunnel),
            Some(Err(_)) => false,
            None => true,
        };
        let is_usable = |attempt: &&Attempt| matches!(&*attempt.borrow(), Some(Ok(tunnel)) if tunnel.is_usable());
        let best = attempts.iter().find(has_room);
        let are_enough = || attempts.iter().filter(|attempt| may_take_calls(attempt)).count() >= MOST;
        let any = || attempts.iter().rfind(is_usable).filter(|_| are_enough());
        best.or_else(any).cloned()
    }

    /// Keeps one more. If too many are of no use for new calls, one of them ends, the oldest without a call or else the oldest: the other edge must not fill
    /// our links with those that it wants to be left.
    pub(super) fn add(&self, key: Key, attempt: Attempt) {
        let mut kept = self.0.borrow_mut();
        let attempts = kept.entry(key).or_default();
        attempts.push(attempt);
        let left = || (0..).zip(&*attempts).filter(|(_, attempt)| !may_take_calls(attempt));
        if left().count() > MOST_LEFT
            && let Some((first, _)) = left().min_by_key(|(_, attempt)| has_calls(attempt))
            && let Some(Ok(tunnel)) = &*attempts.remove(first).borrow()
        {
            tunnel.link.close(code::OVERLOADED, "too many tunnels");
        }
    }

    pub(super) fn remove(&self, key: &Key, attempt: &Attempt) {
        let mut kept = self.0.borrow_mut();
        if let Some(attempts) = kept.get_mut(key) {
            attempts.retain(|other| !other.same_channel(attempt));
            if attempts.is_empty() {
                kept.remove(key);
            }
        }
    }
}

/// Whether new calls can be made in it, or will be once it is opened.
fn may_take_calls(attempt: &Attempt) -> bool {
    match &*attempt.borrow() {
        Some(opened) => opened.as_ref().is_ok_and(Tunnel::is_usable),
        None => true,
    }
}

fn has_calls(attempt: &Attempt) -> bool {
    matches!(&*attempt.borrow(), Some(Ok(tunnel)) if tunnel.link.stream_count() > 0)
}

/// Returns when a tunnel has ended, or nobody has used it for long, or nobody uses it any more and it takes no more calls.
pub(super) async fn is_unused(link: &Link) {
    let (mut opened, mut used) = (0, Instant::now());
    while used.elapsed() < IDLE {
        if link.end().is_some() {
            return;
        }
        if link.is_leaving() {
            return is_left(link).await;
        }
        tokio::select! {
            () = link.left() => continue,
            () = sleep(LOOK_EVERY) => {}
        }
        let before = std::mem::replace(&mut opened, link.streams_opened());
        if link.stream_count() > 0 || opened != before {
            used = Instant::now();
        }
    }
}

async fn is_left(link: &Link) {
    while link.end().is_none() && link.stream_count() > 0 {
        tokio::select! {
            _ = link.ended() => {}
            () = sleep(LOOK_AGAIN) => {}
        }
    }
}
