//! The admin interface of a hub: its metrics, whether it is up, and what is not as it should be.

use std::collections::BTreeMap;

use http::StatusCode;
use overlay::identity::Current;
use overlay::shards::Shards;
use tokio::sync::watch;

use super::routes::help;
use super::server::{Access, Call, Pages, Reply, not_found, text};
use super::{overlay as node_counters, problems, stats};
use crate::edge::certificate_problem;
use crate::telemetry::counter::Kind;

/// The pages that a hub has, beside the readiness of Istio's agent.
const PAGES: &[&str] = &["/healthcheck/ready", "/problems", "/stats[", "/stats/prometheus"];

/// What is shown of a hub that runs.
#[derive(Debug)]
pub struct HubAdmin {
    /// Its node.
    pub shards: Shards,
    /// Who it is, as of now.
    pub identity: Current,
    /// Why the store of the authority has failed the last command, if it has.
    pub failed_command: watch::Receiver<Option<String>>,
}

impl Pages for HubAdmin {
    async fn answer(&self, _: Access, call: &Call) -> Reply {
        match call.path.as_str() {
            "/" | "/help" => text(StatusCode::OK, help(|page| PAGES.iter().any(|own| page.starts_with(own)))),
            "/problems" => problems::render(self.problems().await, call),
            "/stats" => stats::render(self.values().await, call),
            "/stats/prometheus" | "/metrics" => stats::prometheus(&self.values().await),
            // It listens when it can serve.
            "/healthz/ready" | "/ready" | "/healthcheck/ready" => text(StatusCode::OK, "LIVE\n"),
            _ => not_found(call),
        }
    }
}

impl HubAdmin {
    async fn values(&self) -> stats::Values {
        let mut values = BTreeMap::new();
        node_counters::add(&mut values, &self.shards).await;
        let problems = self.problems().await.len() as u64;
        values.insert("configuration.problems".to_owned(), (Kind::Gauge, problems));
        values
    }

    /// What is not as it should be, a line each.
    async fn problems(&self) -> Vec<String> {
        let answers = self.shards.ask().await;
        let unlinked = answers.nodes.iter().flat_map(|node| &node.pending);
        let mut lines: Vec<_> = unlinked.map(|one| format!("hub: {}: {}", one.what, one.why)).collect();
        lines.extend(answers.silent.iter().map(|worker| format!("hub: worker {worker}: does not answer")));
        lines.extend(certificate_problem(&self.identity.borrow()).map(|why| format!("hub: certificate: {why}")));
        lines.extend(self.failed_command.borrow().iter().map(|why| format!("hub: the authority: {why}")));
        lines
    }
}
