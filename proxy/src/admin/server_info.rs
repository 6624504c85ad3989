//! `/server_info` and `/certs`.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::{Admin, timestamp};
use crate::config::{ConfigStatus, SecretStatus};
use crate::drain::Phase;
use crate::restart;
use crate::tls::certificate_facts;

/// `envoy.admin.v3.ServerInfo`.
pub(super) async fn server_info(admin: &Admin) -> Value {
    let state = match (admin.drain.phase(), admin.readiness.missing().is_empty()) {
        (Phase::Serving, true) => "LIVE",
        (Phase::Serving, false) | (Phase::TakingOver, _) => "INITIALIZING",
        _ => "DRAINING",
    };
    let uptime = admin.started.elapsed();
    let mut options = admin.options.clone();
    if let Some(options) = options.as_object_mut() {
        options.insert("io_driver".to_owned(), admin.process.driver.name().into());
        options.insert("restart_epoch".to_owned(), admin.epoch.number.into());
    }
    json!({
        "version": format!("selvedge/{}", env!("CARGO_PKG_VERSION")),
        "state": state,
        "uptime_current_epoch": format!("{}s", uptime.as_secs()),
        "uptime_all_epochs": format!("{}s", (admin.epoch.served_before + uptime).as_secs()),
        "hot_restart_version": restart::version(admin.epoch),
        "command_line_options": options,
        "node": admin.node,
    })
}

/// `envoy.admin.v3.Certificates`.
pub(super) fn certs(status: &ConfigStatus) -> Value {
    let certificates: Vec<Value> = status.secrets.iter().map(secret).collect();
    json!({ "certificates": certificates })
}

fn secret(secret: &SecretStatus) -> Value {
    let details: Vec<Value> = CertificateDer::pem_slice_iter(&secret.certificates)
        .filter_map(Result::ok)
        .filter_map(|certificate| certificate_facts(&[certificate]))
        .map(|facts| {
            let names: Vec<Value> = (facts.uri_names.iter().map(|name| json!({ "uri": name })))
                .chain(facts.dns_names.iter().map(|name| json!({ "dns": name })))
                .collect();
            json!({
                "path": secret.name,
                "serial_number": facts.serial,
                "subject_alt_names": names,
                "valid_from": timestamp(std::time::SystemTime::UNIX_EPOCH + facts.not_before),
                "expiration_time": timestamp(std::time::SystemTime::UNIX_EPOCH + facts.not_after),
            })
        })
        .collect();
    let field = if secret.has_key { "cert_chain" } else { "ca_cert" };
    json!({ field: details })
}
