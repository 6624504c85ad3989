//! HTTP/1 connections that nobody uses now.

use std::cell::RefCell;

use super::security::MOST_FOR_OTHER_HOSTS;
use super::{Target, UpstreamConnection};
use crate::upstream::connector::Wanted;

/// The idle connections of a pool, the last used one at the end.
#[derive(Debug, Default)]
pub(super) struct IdleConnections {
    #[allow(clippy::vec_box, reason = "a connection moves between the pool and its request")]
    connections: RefCell<Vec<Box<UpstreamConnection>>>,
}

// What is dropped here is dropped when nothing is borrowed any more: a dropped connection looks at its pool.
impl IdleConnections {
    /// Keeps a connection, and closes the oldest ones for other hosts if there are too many of them.
    pub(super) fn put(&self, connection: Box<UpstreamConnection>) {
        let mut beyond = Vec::new();
        let mut connections = self.connections.borrow_mut();
        // Below one for the same host nothing is beyond: that was seen to when that one was put, and with every request it would be
        // a look at each connection.
        let is_seen_to = connections.last().is_some_and(|last| last.is_for_same_host(&connection));
        while !is_seen_to && let Some(index) = oldest_beyond(&connections, &connection) {
            beyond.push(connections.remove(index));
        }
        connections.push(connection);
        drop(connections);
        drop(beyond);
    }

    /// The last used one that a request may use.
    pub(super) fn take(&self, target: &Target, wanted: &Wanted<'_>) -> Option<Box<UpstreamConnection>> {
        loop {
            let connection = {
                let mut connections = self.connections.borrow_mut();
                let index = connections.iter().rposition(|connection| connection.fits(&target.transport, wanted))?;
                connections.remove(index)
            };
            if connection.stream.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Closes the oldest one that is of no use for the request, because of its protocol or because of how it is secured; `true` if
    /// there was one.
    pub(super) fn drop_unfit(&self, target: &Target, wanted: &Wanted<'_>) -> bool {
        let unfit = {
            let mut connections = self.connections.borrow_mut();
            let may_fit = wanted.http.may_be_exclusive();
            let index =
                connections.iter().position(|connection| !may_fit || !connection.fits(&target.transport, wanted));
            index.map(|index| connections.remove(index))
        };
        unfit.is_some()
    }

    /// Closes those that are `doomed`.
    pub(super) fn drop_where(&self, mut doomed: impl FnMut(&UpstreamConnection) -> bool) {
        let mut connections = self.connections.borrow_mut();
        let dropped: Vec<_> = connections.extract_if(.., |connection| doomed(connection)).collect();
        drop(connections);
        drop(dropped);
    }
}

/// Which one is to close for there to be no more than there may be of those for other hosts than that of `connection`.
fn oldest_beyond(connections: &[Box<UpstreamConnection>], connection: &UpstreamConnection) -> Option<usize> {
    if connections.len() <= MOST_FOR_OTHER_HOSTS {
        return None;
    }
    let others = connections.iter().enumerate().filter(|(_, other)| other.is_for_another_host(connection));
    let is_beyond = others.clone().count() > MOST_FOR_OTHER_HOSTS;
    others.min_by_key(|(_, other)| other.idle_since).filter(|_| is_beyond).map(|(index, _)| index)
}
