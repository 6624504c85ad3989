//! `/listeners` (`envoy.admin.v3.Listeners`).

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::{Value, json};

use super::server::{Call, Reply, json as json_page, text};
use crate::config::{ConfigStatus, ListenerState};

/// The page: text, or JSON with `format=json`.
pub(super) fn page(status: &ConfigStatus, call: &Call) -> Reply {
    if call.parameter("format") == Some("json") {
        let listeners: Vec<Value> = status
            .listeners
            .iter()
            .map(|listener| {
                let address = listener.address;
                json!({
                    "name": listener.name,
                    "local_address": { "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } },
                })
            })
            .collect();
        return json_page(&json!({ "listener_statuses": listeners }));
    }
    let mut page = String::new();
    for listener in &status.listeners {
        let _ = write!(page, "{}::{}", listener.name, listener.address);
        let _ = match &listener.state {
            ListenerState::Active if listener.is_everywhere => writeln!(page),
            ListenerState::Active => writeln!(page, " (not on all workers yet)"),
            ListenerState::WaitingForSecrets(secrets) => {
                writeln!(page, " (waiting for secrets: {})", secrets.join(", "))
            }
            ListenerState::Failed(failure) => writeln!(page, " (failed: {failure})"),
        };
    }
    text(StatusCode::OK, page)
}
