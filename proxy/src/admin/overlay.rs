//! What nodes of the overlay count, among the other counters.

use std::time::Duration;

use overlay::shards::Shards;
use overlay::status::{LinkStatus, NodeStatus, TrustStatus};

use super::stats::Values;
use crate::telemetry::counter::Kind;

/// Adds what the nodes of this process have counted, and how their links are now.
pub(super) async fn add(values: &mut Values, shards: &Shards) {
    for counters in shards.counters() {
        counters.visit(|name, count| add_to(values, &format!("overlay.{name}"), Kind::Counter, count));
    }
    add_trust(values, &shards.trust());
    let answers = shards.ask().await;
    add_to(values, "overlay.silent_workers", Kind::Gauge, answers.silent.len() as u64);
    for node in &answers.nodes {
        add_node(values, node);
    }
}

fn add_trust(values: &mut Values, trust: &TrustStatus) {
    add_to(values, "overlay.trust_number", Kind::Gauge, trust.number);
    add_to(values, "overlay.revoked_nodes", Kind::Gauge, trust.revoked as u64);
    for root in &trust.roots {
        add_to(values, &format!("overlay.root.{}.seconds_left", root.id), Kind::Gauge, root.seconds);
    }
}

fn add_node(values: &mut Values, node: &NodeStatus) {
    let mut gauge = |name: &str, value: usize| add_to(values, name, Kind::Gauge, value as u64);
    gauge("overlay.links_active", node.links.len());
    gauge("overlay.streams_active", node.streams);
    gauge("overlay.ways_without_link", node.pending.len());
    gauge("overlay.held_bytes", node.held_bytes);
    // What all nodes together keep is what each of them says.
    values.insert("overlay.kept_bytes".to_owned(), (Kind::Gauge, node.kept_bytes as u64));
    values.insert("overlay.kept_refusals".to_owned(), (Kind::Counter, node.kept_refusals));
    for link in &node.links {
        add_link(values, link);
    }
}

/// By peer: the names of nodes are those of one node each.
fn add_link(values: &mut Values, link: &LinkStatus) {
    let prefix = format!("overlay.peer.{}", link.peer.name());
    add_to(values, &format!("{prefix}.links"), Kind::Gauge, 1);
    add_to(values, &format!("{prefix}.links_suspect"), Kind::Gauge, link.suspect.into());
    add_to(values, &format!("{prefix}.link_streams"), Kind::Gauge, link.streams as u64);
    let Some(milliseconds) = link.round_trip_ms else { return };
    let measured = Duration::from_secs_f64(milliseconds / 1000.0).as_micros();
    let measured = u64::try_from(measured).unwrap_or(u64::MAX);
    // That of the best link.
    let (_, best) = values.entry(format!("{prefix}.round_trip_microseconds")).or_insert((Kind::Gauge, measured));
    *best = measured.min(*best);
}

fn add_to(values: &mut Values, name: &str, kind: Kind, more: u64) {
    let (_, value) = values.entry(name.to_owned()).or_insert((kind, 0));
    *value = value.wrapping_add(more);
}

#[cfg(test)]
mod tests {
    use overlay::node::Peer;
    use overlay::status::RootStatus;

    use super::*;

    fn link(worker: u16, round_trip_ms: Option<f64>) -> LinkStatus {
        LinkStatus { peer: Peer::Hub { name: "h.1".into() }, worker, round_trip_ms, streams: 2, suspect: worker == 1 }
    }

    #[test]
    fn roots_are_shown_one_by_one() {
        let roots = [("0a", 5), ("0b", 6)].map(|(id, seconds)| RootStatus { id: id.into(), seconds });
        let mut values = Values::new();
        add_trust(&mut values, &TrustStatus { number: 3, revoked: 2, roots: roots.into() });
        let gauge = |name: &str| values[name].1;
        assert_eq!((gauge("overlay.trust_number"), gauge("overlay.revoked_nodes")), (3, 2));
        assert_eq!((gauge("overlay.root.0a.seconds_left"), gauge("overlay.root.0b.seconds_left")), (5, 6));
    }

    #[test]
    fn nodes_are_added_up_and_the_best_link_to_a_peer_is_shown() {
        let mut values = Values::new();
        for (worker, round_trip) in [(0, Some(2.5)), (1, Some(1.5)), (2, None)] {
            let links = vec![link(worker, round_trip)];
            let node = NodeStatus {
                links,
                streams: 1,
                kept_bytes: 100,
                kept_refusals: 3,
                held_bytes: 7,
                has_rival: false,
                pending: Vec::new(),
            };
            add_node(&mut values, &node);
        }
        let gauge = |name: &str| values[name].1;
        assert_eq!((gauge("overlay.links_active"), gauge("overlay.streams_active")), (3, 3));
        assert_eq!((gauge("overlay.held_bytes"), gauge("overlay.kept_bytes")), (21, 100));
        assert_eq!(gauge("overlay.kept_refusals"), 3);
        assert_eq!((gauge("overlay.peer.h.1.links"), gauge("overlay.peer.h.1.links_suspect")), (3, 1));
        assert_eq!(gauge("overlay.peer.h.1.link_streams"), 6);
        assert_eq!(gauge("overlay.peer.h.1.round_trip_microseconds"), 1500);
    }
}
