//! What is served, from where and in what state: one screen at start.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::Admin;
use crate::config::{ConfigStatus, ListenerState, Problem};

/// How long the summary waits for the first listeners of a folder.
const FIRST_CONFIGURATION: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Prints the summary once the first configuration is in force.
pub(super) async fn print(admin: Arc<Admin>) {
    let status = first_status(&admin).await;
    for line in lines(&status) {
        println!("{line}");
    }
}

/// Logs the summary when the control plane has said everything for the first time.
pub(super) fn log_when_ready(admin: Arc<Admin>) {
    tokio::spawn(async move {
        while !admin.readiness.missing().is_empty() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        for line in lines(&admin.status().await) {
            tracing::info!("{line}");
        }
    });
}

async fn first_status(admin: &Admin) -> ConfigStatus {
    let wait = async {
        loop {
            let status = admin.status().await;
            if !status.listeners.is_empty() {
                return status;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    match tokio::time::timeout(FIRST_CONFIGURATION, wait).await {
        Ok(status) => status,
        Err(_) => admin.status().await,
    }
}

fn lines(status: &ConfigStatus) -> Vec<String> {
    let mut lines = Vec::new();
    let endpoints: usize =
        status.clusters.iter().filter_map(|cluster| cluster.endpoints.as_ref()).map(|all| all.list().len()).sum();
    lines.push(format!(
        "{} listeners, {} route tables, {} clusters in use with {} endpoints",
        status.listeners.len(),
        status.route_tables.len(),
        status.clusters.len(),
        endpoints
    ));
    for listener in &status.listeners {
        let state = match &listener.state {
            ListenerState::Active => "serving".to_owned(),
            ListenerState::WaitingForSecrets(secrets) => {
                format!("serving, but waiting for secrets {}", secrets.join(", "))
            }
            ListenerState::Failed(failure) => format!("FAILED: {failure}"),
        };
        lines.push(format!("  {:<24} {state}", listener.address.to_string()));
    }
    for (name, hosts, routes) in &status.route_tables {
        lines.push(format!("  routes {name}: {hosts} hosts, {routes} routes"));
    }
    for Problem { kind, name, reason } in &status.problems {
        lines.push(format!("  problem: {kind} {name}: {reason}"));
    }
    lines
}
