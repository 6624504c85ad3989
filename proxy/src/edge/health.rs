//! Whether the overlay lets this edge in: its links, its certificate, its name.

use std::time::{Duration, SystemTime};

use overlay::identity::{Current, Identity};
use overlay::node::Peer;
use overlay::shards::Shards;
use overlay::status::NodeStatus;
use tokio::time::{Instant, sleep};

use super::problems::EdgeProblems;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// No link for so long is a problem: a hub that is started again is linked before.
const UNLINKED: Duration = Duration::from_secs(5);
/// A certificate is renewed when half of its time is over: one that is older than this part of it was not.
const LATE: (i64, i64) = (3, 4);
/// What a hub answers whoever was revoked (RFC 8446 section 6.2).
const REVOKED_ALERT: &str = "CertificateRevoked";

/// Keeps what `/problems` says of it, for as long as it runs.
pub(super) async fn watch(identity: Current, shards: Shards, problems: EdgeProblems) {
    let mut linked = Instant::now();
    loop {
        sleep(LOOK).await;
        let nodes = shards.ask().await.nodes;
        // Before any worker runs, or while they are busy, it is not known.
        if nodes.is_empty() || nodes.iter().any(has_hub) {
            linked = Instant::now();
        }
        let no_link = (linked.elapsed() >= UNLINKED).then(|| no_link(&nodes));
        problems.set("links", 0, no_link);
        let current = identity.borrow().clone();
        problems.set("certificate", 0, certificate_problem(&current));
        problems.set("name", 0, disputed(&current, &nodes));
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn has_hub(node: &NodeStatus) -> bool {
    node.links.iter().any(|link| matches!(link.peer, Peer::Hub { .. }))
}

fn no_link(nodes: &[NodeStatus]) -> String {
    let mut reasons: Vec<_> =
        nodes.iter().flat_map(|node| &node.pending).map(|one| format!("{}: {}", one.what, one.why)).collect();
    reasons.sort();
    reasons.dedup();
    format!("there is no link to any hub: {}", reasons.join("; "))
}

/// Why a certificate is not good, or soon will not be.
pub(crate) fn certificate_problem(identity: &Identity) -> Option<String> {
    late(identity, now())
}

fn late(identity: &Identity, now: i64) -> Option<String> {
    let (begin, end) = match identity.validity() {
        Ok(validity) => validity,
        Err(error) => return Some(error.to_string()),
    };
    let (part, whole) = LATE;
    let left = end.saturating_sub(now);
    if left <= 0 {
        return Some("it has expired: join again with a new token, while this process runs".to_owned());
    }
    let is_late = now.saturating_sub(begin) / part >= end.saturating_sub(begin) / whole;
    is_late.then(|| format!("it is good for {} min more and was not renewed: the log says why", left / 60))
}

fn disputed(identity: &Identity, nodes: &[NodeStatus]) -> Option<String> {
    let is_refused = nodes.iter().flat_map(|node| &node.pending).any(|one| one.why.contains(REVOKED_ALERT));
    if is_refused || identity.trust().denies(identity.peer()) {
        return Some("this edge was revoked: the machine can join under another name only".to_owned());
    }
    let has_rival = nodes.iter().any(|node| node.has_rival);
    has_rival.then(|| overlay::catalogue::RIVAL_WARNING.to_owned())
}
