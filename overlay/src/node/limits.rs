//! What one node, and one peer of it, may take.

use std::time::Duration;

use overlay_wire::budget::Budget;
use overlay_wire::{catalogue, stream};

/// Bounds of a node. Those of a peer keep the others unharmed, whatever it does. Defaults are in docs/limits.md.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of each stream that ends here.
    pub stream: stream::Limits,
    /// Bytes that all streams keep until the other side has them, and 16 KiB for each stream beyond that. Whoever writes waits. The nodes of a process
    /// share it: they have clones of one `Limits`.
    pub kept: Budget,
    /// The same of the streams with one edge, of each node.
    pub kept_per_edge: usize,
    /// How long a stream that nobody has any more may wait until something of what was written, and finished, arrives.
    pub undelivered: Duration,
    /// Links with one peer.
    pub links_per_peer: usize,
    /// Links with all edges of a tenant.
    pub links_per_tenant: usize,
    /// Handshakes under way of those who dial; one source has a quarter of them.
    pub handshakes: usize,
    /// Time for the first words of a link.
    pub hello_within: Duration,
    /// Streams of the links with one peer of which nobody knows yet what they are.
    pub beginnings_per_peer: usize,
    /// Time for the first frame of a stream of a link.
    pub begin_within: Duration,
    /// Streams that one edge has opened, and that end here.
    pub streams_per_edge: usize,
    /// Streams of other edges that nobody has taken yet.
    pub streams_waiting: usize,
    /// Legs that one edge has opened, and that pass through a hub.
    pub legs_per_edge: usize,
    /// The same of all edges of a tenant.
    pub legs_per_tenant: usize,
    /// Bytes on their way through a hub that one edge has sent, or is sent in answer. It has no more of them than it leaves of its tenant's, nor has the tenant of all.
    /// A leg whose bytes find no room is given up; the edges, which have them still, open another.
    pub held_per_edge: usize,
    /// The same of all edges of a tenant.
    pub held_per_tenant: usize,
    /// The same of all tenants.
    pub held: usize,
    /// Of what edges announce.
    pub catalogue: catalogue::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stream: stream::Limits::default(),
            kept: Budget::new(32 * 1024 * 1024),
            kept_per_edge: 4 * 1024 * 1024,
            undelivered: Duration::from_secs(300),
            links_per_peer: 128,
            links_per_tenant: 4096,
            handshakes: 256,
            hello_within: Duration::from_secs(5),
            beginnings_per_peer: 512,
            begin_within: Duration::from_secs(10),
            streams_per_edge: 128,
            streams_waiting: 256,
            legs_per_edge: 4096,
            legs_per_tenant: 16 * 1024,
            held_per_edge: 8 * 1024 * 1024,
            held_per_tenant: 64 * 1024 * 1024,
            held: 256 * 1024 * 1024,
            catalogue: catalogue::Limits::default(),
        }
    }
}

impl Limits {
    /// Links with one edge: others of its tenant have as many places in any case, unless there is one.
    pub fn links_per_edge(&self) -> usize {
        self.links_per_peer.min((self.links_per_tenant / 2).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Counters;

    const PAGE: &str = include_str!("../../../docs/limits.md");

    /// The rows of the page about nodes, as cells: the first table of its section.
    fn rows() -> Vec<Vec<&'static str>> {
        let (_, section) = PAGE.split_once("## Links between edges").unwrap();
        let table = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let rows = table.filter(|line| line.starts_with("| "));
        rows.skip(1).map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
    }

    /// What is in backticks.
    fn names(cell: &str) -> impl Iterator<Item = &str> {
        cell.split('`').skip(1).step_by(2)
    }

    /// Whether a row has a name and a default.
    fn has(rows: &[Vec<&str>], name: &str, default: &str) -> bool {
        let is_value = |value: &str| value == default || value.starts_with(&format!("{default} "));
        let values =
            |cell: &str| cell.split([',', ';']).any(|value| is_value(value.trim().trim_start_matches("up to ")));
        rows.iter().any(|row| names(row[0]).any(|field| field == name) && values(row[1]))
    }

    fn bytes(count: usize) -> String {
        if count >= 1 << 20 { format!("{} MiB", count >> 20) } else { format!("{} KiB", count >> 10) }
    }

    fn time(time: Duration) -> String {
        if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
    }

    fn of_nodes() -> Vec<(&'static str, String)> {
        let Limits {
            stream: _,
            kept,
            kept_per_edge,
            undelivered,
            links_per_peer,
            links_per_tenant,
            handshakes,
            hello_within,
            beginnings_per_peer,
            begin_within,
            streams_per_edge,
            streams_waiting,
            legs_per_edge,
            legs_per_tenant,
            held_per_edge,
            held_per_tenant,
            held,
            catalogue: _,
        } = Limits::default();
        vec![
            ("kept", bytes(kept.most())),
            ("kept_per_edge", bytes(kept_per_edge)),
            ("undelivered", time(undelivered)),
            ("links_per_peer", links_per_peer.to_string()),
            ("links_per_tenant", links_per_tenant.to_string()),
            ("handshakes", handshakes.to_string()),
            ("hello_within", time(hello_within)),
            ("beginnings_per_peer", beginnings_per_peer.to_string()),
            ("begin_within", time(begin_within)),
            ("streams_per_edge", streams_per_edge.to_string()),
            ("streams_waiting", streams_waiting.to_string()),
            ("legs_per_edge", legs_per_edge.to_string()),
            ("legs_per_tenant", legs_per_tenant.to_string()),
            ("held_per_edge", bytes(held_per_edge)),
            ("held_per_tenant", bytes(held_per_tenant)),
            ("held", bytes(held)),
        ]
    }

    fn of_streams() -> Vec<(&'static str, String)> {
        let stream::Limits { first_kept, kept, unsent, window, acknowledge_after, acknowledge_within, without_leg } =
            stream::Limits::default();
        vec![
            ("first_kept", bytes(first_kept)),
            ("kept", bytes(kept)),
            ("unsent", bytes(unsent)),
            ("window", bytes(window as usize)),
            ("acknowledge_after", bytes(acknowledge_after as usize)),
            ("acknowledge_within", time(acknowledge_within)),
            ("without_leg", time(without_leg)),
        ]
    }

    fn of_catalogues() -> Vec<(&'static str, String)> {
        let catalogue::Limits {
            edges,
            edges_per_tenant,
            services_per_tenant,
            announcement,
            announced_per_tenant,
            under_way_per_tenant,
            announced,
            edges_in_any_case,
            announced_in_any_case,
            lifetime,
            memory,
        } = catalogue::Limits::default();
        vec![
            ("edges", edges.to_string()),
            ("edges_per_tenant", edges_per_tenant.to_string()),
            ("services_per_tenant", services_per_tenant.to_string()),
            ("announcement", bytes(announcement)),
            ("announced_per_tenant", bytes(announced_per_tenant)),
            ("under_way_per_tenant", bytes(under_way_per_tenant)),
            ("announced", bytes(announced)),
            ("edges_in_any_case", edges_in_any_case.to_string()),
            ("announced_in_any_case", bytes(announced_in_any_case)),
            ("lifetime", time(lifetime)),
            ("memory", time(memory)),
        ]
    }

    #[test]
    fn the_page_of_limits_has_every_bound_and_its_default_and_counters_that_exist() {
        let rows = rows();
        assert!(rows.len() > 20 && rows.iter().all(|row| row.len() == 4), "{rows:?}");
        let bounds = [of_nodes(), of_streams(), of_catalogues()].concat();
        for (name, default) in &bounds {
            assert!(has(&rows, name, default), "{name} is not there with {default}");
        }
        assert!(!has(&rows, "held", "255 MiB") && !has(&rows, "invented", "1"));
        let mentioned = rows.iter().flat_map(|row| names(row[0]));
        let unknown: Vec<_> = mentioned.filter(|name| bounds.iter().all(|(known, _)| known != name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");

        let counters = format!("{:?}", Counters::default());
        let counted: Vec<_> =
            rows.iter().flat_map(|row| names(row[3])).filter(|name| *name != "kept_refusals").collect();
        let unknown: Vec<_> = counted.iter().filter(|name| !counters.contains(&format!("{name}: "))).collect();
        assert!(counted.len() > 8 && unknown.is_empty(), "{unknown:?}");
    }
}
