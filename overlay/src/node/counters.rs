//! What a node has done, and what it has refused.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows. The thread of the node writes it, and any thread reads it.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One writer needs no more than a load and a store.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }
}

/// Declares the counters, and how to see all of them.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How much was done, how often each bound was hit, and each rule broken, since the node began.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Count,)*
        }

        impl Counters {
            /// Shows each counter with its name.
            pub fn visit(&self, mut show: impl FnMut(&'static str, u64)) {
                $(show(stringify!($name), self.$name.get());)*
            }
        }
    };
}

counters! {
    /// Links that were used.
    links_total,
    /// Links that were dialled and did not come about.
    dials_failed,
    /// Links to other edges that were dialled and did not come about: they are reached by hubs.
    direct_dials_failed,
    /// Whoever has dialled this node and was not let in: its certificate is not good, or it was revoked, or it says nothing.
    handshakes_refused,
    /// Connections that were closed before they became anything, because too many, of their source or of all, were about to: the oldest that had said nothing, or the
    /// last one; or because the process has no more descriptors for them.
    handshakes_closed,
    /// Links beyond those that one peer, or the edges of one tenant, may have.
    links_refused,
    /// Links whose first words did not come, or were not understood.
    hellos_refused,
    /// How often a link was thought to be dead, because an answer was overdue.
    links_suspected,
    /// Links that were given up because the other side took nothing of what was to be sent.
    links_stuck,
    /// Bytes that were sent on links, before TLS.
    link_bytes_sent,
    /// Bytes that came on links, after TLS.
    link_bytes_received,
    /// Streams of links that were not looked at, because too many of the same peer had not said what they are.
    beginnings_refused,
    /// Streams of links that never said what they are, or not properly.
    beginnings_failed,
    /// Legs that claim to be of another edge or tenant than the certificate says, or belong to the stream of another edge.
    legs_forged,
    /// Legs for another shard than the one they came to: another worker, or one of the process before.
    legs_to_other_worker,
    /// Legs to an edge, or a shard of it, that is not linked.
    legs_without_link,
    /// Streams to other edges that were opened here.
    streams_opened,
    /// Streams that other edges have opened.
    streams_accepted,
    /// Streams of other edges in which nobody let in came: no proper handshake, or somebody else than the stream says.
    tunnels_refused,
    /// Tunnels of other edges that were taken.
    tunnels_accepted,
    /// Those of them that are no more.
    tunnels_ended,
    /// Streams beyond those that one edge may have here.
    streams_refused,
    /// Legs that nobody took in time: of new streams, and of known ones.
    legs_not_taken,
    /// Legs of streams that end here, opened here: more than streams, if some went on over another link.
    legs_opened,
    /// Bytes of streams that were sent once more, over another link.
    stream_bytes_sent_again,
    /// Packets of datagrams that were sent to other edges, before some of them were dropped.
    datagram_packets_sent,
    /// Those that came from other edges, and are theirs.
    datagram_packets_received,
    /// Those that were passed on, by a hub.
    datagram_packets_relayed,
    /// Those that found no room, or no way, or nobody who wanted them any more.
    datagram_packets_dropped,
    /// Those that came and were not sealed by the other edge, or came twice, or are malformed.
    datagram_packets_refused,
    /// Legs that were passed on, by a hub.
    legs_relayed,
    /// Legs beyond those that may pass for one edge or tenant, in all or over one link.
    legs_refused,
    /// Legs that were given up because their tenant, or all together, had too many bytes on their way.
    legs_given_up,
    /// Announcements, and statements of the authority, that were refused: the signature is not good, what they say cannot be, a link brings them twice, or too many wait to
    /// be looked at.
    announcements_refused,
    /// Announcements and confirmations of which nothing is new: their signatures are not looked at.
    announcements_known,
    /// How often a peer that tells too much was read later.
    announcements_delayed,
    /// How often an edge was read later, because its tenant tells too much, or because there is no room for what it announces.
    tenant_delayed,
    /// Links that were closed because their peer did not take announcements.
    announcements_not_taken,
    /// Announcements that there was no room for.
    announcements_without_room,
    /// Calls in tunnels that nobody took in time.
    calls_refused,
    /// Calls that failed at once, because others had just found that the edge does not answer.
    calls_to_silent,
    /// Certificates that were signed, by a hub with the authority.
    certificates_issued,
    /// Whoever wanted a certificate and got none, for want of a place, too.
    certificates_refused,
    /// Commands of an operator that the store of the authority has failed, of a hub.
    commands_failed,
}

pub(crate) fn count(counter: &Count) {
    counter.add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [&str; 2] = [include_str!("../../../docs/overlay.md"), include_str!("../../../docs/limits.md")];

    #[test]
    fn an_operator_finds_every_counter_on_a_page() {
        let is_explained = |name: &str| PAGES.iter().any(|page| page.contains(&format!("`{name}`")));
        let mut missing = Vec::new();
        Counters::default().visit(|name, _| missing.extend((!is_explained(name)).then_some(name)));
        assert!(missing.is_empty(), "{missing:?}");
    }
}
