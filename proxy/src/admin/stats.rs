//! `/stats`: counters by Envoy's names.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use regex::RegexBuilder;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use xds_client::ResourceType;

use super::server::{Call, Reply, json as json_page, reply, text};
use super::{Admin, Source, overlay, problems, prometheus};
use crate::config::ConfigStatus;
use crate::telemetry::counter::Kind;
use crate::tls::certificate_facts;

/// A pattern for `filter` larger than this is refused. Bytes, compiled.
const FILTER_SIZE_LIMIT: usize = 1 << 16;

/// Counters by name.
pub(super) type Values = BTreeMap<String, (Kind, u64)>;

/// Every counter of the process: those of the workers, and those of control, by Envoy's names where it has them.
pub(super) async fn values(admin: &Admin) -> Values {
    let mut values = admin.process.registry.collect();
    if let Some(shards) = &admin.overlay {
        overlay::add(&mut values, shards).await;
    }
    let status = admin.status().await;
    let mut put = |name: &str, kind: Kind, value: u64| {
        values.insert(name.to_owned(), (kind, value));
    };
    if let Some(expiry) = first_expiry(&status) {
        put("server.days_until_first_cert_expiring", Kind::Gauge, days_until(expiry));
    }
    let active = status.listeners.iter().filter(|listener| listener.state.serves()).count();
    put("listener_manager.total_listeners_active", Kind::Gauge, active as u64);
    put("listener_manager.listener_create_failure", Kind::Counter, status.listener_failures);
    put("configuration.problems", Kind::Gauge, problems::lines(admin, &status).len() as u64);
    for (name, reloads) in &status.extension_reloads {
        put(&format!("extension_config_discovery.http_filter.{name}.config_reload"), Kind::Counter, *reloads);
    }
    put("server.hot_restart_generation", Kind::Gauge, admin.epoch.number + 1);
    put("filesystem.write_dropped", Kind::Counter, admin.logs.dropped());
    put("filesystem.write_failed", Kind::Counter, admin.logs.failed());
    if let Source::ControlPlane(session) = &admin.source {
        let status = session.status();
        let warming = status.waiting.iter().filter(|((kind, _), _)| *kind == ResourceType::Listener).count();
        put("listener_manager.total_listeners_warming", Kind::Gauge, warming as u64);
        put("control_plane.connected_state", Kind::Gauge, status.connected_since.is_some().into());
        put("control_plane.streams", Kind::Counter, status.streams);
        put("control_plane.failures", Kind::Counter, status.failures);
        put("control_plane.snapshot_failures", Kind::Counter, status.snapshot.failures);
        put("control_plane.no_op_settings", Kind::Counter, status.no_ops.values().sum());
        for (kind, of_kind) in ResourceType::ALL.into_iter().zip(&status.kinds) {
            let scope = subscription(kind);
            put(&format!("{scope}.update_attempt"), Kind::Counter, of_kind.responses);
            put(&format!("{scope}.update_rejected"), Kind::Counter, of_kind.nacks);
            put(&format!("{scope}.update_success"), Kind::Counter, of_kind.responses.saturating_sub(of_kind.nacks));
        }
    }
    values
}

/// When the first certificate in use expires: of the gateway, of a listener, or of an authority. Seconds since 1970.
fn first_expiry(status: &ConfigStatus) -> Option<Duration> {
    let certificates = status.secrets.iter().flat_map(|secret| CertificateDer::pem_slice_iter(&secret.certificates));
    certificates.filter_map(|der| certificate_facts(&[der.ok()?])).map(|facts| facts.not_after).min()
}

/// Whole days; 0 if it is less than one or over. Envoy's gauge of that name counts so.
fn days_until(expiry: Duration) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    expiry.saturating_sub(now).as_secs() / (24 * 60 * 60)
}

fn subscription(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::Cluster => "cluster_manager.cds",
        ResourceType::Endpoints => "cluster_manager.eds",
        ResourceType::Listener => "listener_manager.lds",
        ResourceType::Route => "route_manager.rds",
        ResourceType::Secret => "secret_manager.sds",
        ResourceType::ExtensionConfig => "extension_manager.ecds",
    }
}

/// The page of a gateway.
pub(super) async fn page(admin: &Admin, call: &Call) -> Reply {
    render(values(admin).await, call)
}

/// The page for a scraper.
pub(super) fn prometheus(values: &Values) -> Reply {
    reply(StatusCode::OK, prometheus::CONTENT_TYPE, prometheus::render(values))
}

/// A page of counters: text, or `format=json|prometheus`; `filter` is a regular expression, `usedonly` leaves out zeros.
pub(super) fn render(mut values: Values, call: &Call) -> Reply {
    if let Some(pattern) = call.parameter("filter") {
        match RegexBuilder::new(pattern).size_limit(FILTER_SIZE_LIMIT).build() {
            Ok(filter) => values.retain(|name, _| filter.is_match(name)),
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("Invalid regex: {error}\n")),
        }
    }
    if call.has("usedonly") {
        values.retain(|_, (_, value)| *value != 0);
    }
    match call.parameter("format") {
        None | Some("text") => {
            let lines: String = values.iter().map(|(name, (_, value))| format!("{name}: {value}\n")).collect();
            text(StatusCode::OK, lines)
        }
        Some("json") => {
            let stats: Vec<Value> =
                values.iter().map(|(name, (_, value))| json!({ "name": name, "value": value })).collect();
            json_page(&json!({ "stats": stats }))
        }
        Some("prometheus") => prometheus(&values),
        Some(other) => text(StatusCode::BAD_REQUEST, format!("unknown format `{other}`\n")),
    }
}
