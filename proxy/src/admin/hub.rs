//! The admin interface of a hub: its metrics, and whether it is up.

use std::collections::BTreeMap;

use http::StatusCode;
use overlay::shards::Shards;

use super::server::{Access, Call, Pages, Reply, not_found, text};
use super::{overlay as node_counters, stats};

/// What is shown of a hub that runs.
#[derive(Debug)]
pub struct HubAdmin {
    /// Its node.
    pub shards: Shards,
}

impl Pages for HubAdmin {
    async fn answer(&self, _: Access, call: &Call) -> Reply {
        match call.path.as_str() {
            "/stats" => stats::render(self.values().await, call),
            "/stats/prometheus" | "/metrics" => stats::prometheus(&self.values().await),
            // It listens when it can serve.
            "/healthz/ready" | "/ready" => text(StatusCode::OK, "LIVE\n"),
            _ => not_found(call),
        }
    }
}

impl HubAdmin {
    async fn values(&self) -> stats::Values {
        let mut values = BTreeMap::new();
        node_counters::add(&mut values, &self.shards).await;
        values
    }
}
