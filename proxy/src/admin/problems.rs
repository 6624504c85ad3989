//! `/problems`: whatever is not as the configuration wants it, and why; one line each. Not a page of Envoy's.

use http::StatusCode;
use serde_json::json;
use xds_client::session::Session;

use super::server::{Call, Reply, json as json_page, text};
use super::{Admin, Source};
use crate::config::{ConfigStatus, ListenerState, Problem};

/// The page: text, or JSON with `format=json`.
pub(super) async fn page(admin: &Admin, call: &Call) -> Reply {
    render(lines(admin, &admin.status().await), call)
}

/// The lines of any process.
pub(super) fn render(lines: Vec<String>, call: &Call) -> Reply {
    if call.parameter("format") == Some("json") {
        return json_page(&json!({ "problems": lines }));
    }
    text(StatusCode::OK, lines.into_iter().map(|line| line + "\n").collect::<String>())
}

/// All of them; none in a gateway that serves what it was told.
pub(super) fn lines(admin: &Admin, status: &ConfigStatus) -> Vec<String> {
    let mut lines = Vec::new();
    match &admin.source {
        Source::ControlPlane(session) => of_session(session, &mut lines),
        Source::Local(folder) => {
            let folder = folder.borrow();
            lines.extend(folder.problems.iter().chain(&folder.waiting).cloned());
        }
    }
    lines.extend(admin.edge_problems.lines().into_iter().map(|problem| format!("edge: {problem}")));
    for listener in &status.listeners {
        match &listener.state {
            ListenerState::Active => {}
            ListenerState::WaitingForSecrets(secrets) => {
                lines.push(format!("listener {}: waiting for secrets: {}", listener.name, secrets.join(", ")));
            }
            ListenerState::Failed(failure) => {
                lines.push(format!("listener {}: cannot be served: {failure}", listener.name));
            }
        }
    }
    lines.extend(status.problems.iter().map(|Problem { kind, name, reason }| format!("{kind} {name}: {reason}")));
    lines
}

fn of_session(session: &Session, lines: &mut Vec<String>) {
    let status = session.status();
    if status.connected_since.is_none() {
        let reason = status.last_failure.unwrap_or_else(|| "not yet".to_owned());
        lines.push(format!("control plane: not connected: {reason}"));
    }
    for ((kind, name), (missing_kind, missing)) in &status.waiting {
        lines.push(format!("{kind} {name}: waiting for {missing_kind} {missing}"));
    }
    for held in session.held() {
        lines.extend(held.faults.iter().map(|fault| format!("{} {}: refused in part: {fault}", held.kind, held.name)));
        if let Some(refused) = held.refused {
            let serves = if held.accepted_at.is_some() { "; the version before it is in force" } else { "" };
            lines.push(format!("{} {}: refused: {}{serves}", held.kind, held.name, refused.reason));
        }
    }
}
