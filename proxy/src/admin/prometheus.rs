//! Counters in Prometheus' text format, named and labelled as Envoy does it (`envoy_cluster_upstream_rq_total{cluster_name="…"}`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::telemetry::counter::Kind;

/// Of the text format, version 0.0.4.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Kinds of things that counters belong to: how their names begin, the label that takes the thing's own name, and the groups of
/// counters whose names hold a dot.
const SCOPES: &[(&str, &str, &[&str])] = &[
    ("cluster.", "cluster_name", &[]),
    ("http.", "http_conn_manager_prefix", &[]),
    ("overlay.peer.", "peer_name", &[]),
    ("overlay.root.", "root", &[]),
    ("listener.", "listener_address", &[".ssl", ".server_ssl_socket_factory"]),
    ("tcp.", "tcp_prefix", &[]),
];

/// All values; a family's samples stand together.
pub(super) fn render(values: &BTreeMap<String, (Kind, u64)>) -> String {
    let mut families: BTreeMap<String, (Kind, Vec<(String, u64)>)> = BTreeMap::new();
    for (name, (kind, value)) in values {
        let (family, labels) = family_and_labels(name);
        families.entry(family).or_insert_with(|| (*kind, Vec::new())).1.push((labels, *value));
    }
    let mut text = String::new();
    for (family, (kind, samples)) in families {
        let kind = if kind == Kind::Counter { "counter" } else { "gauge" };
        let _ = writeln!(text, "# TYPE {family} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "{family}{{{labels}}} {value}");
        }
    }
    text
}

fn family_and_labels(name: &str) -> (String, String) {
    for (prefix, label, groups) in SCOPES {
        if let Some((thing, counter)) = name.strip_prefix(prefix).and_then(|rest| split_counter(rest, groups)) {
            let scope = prefix.trim_end_matches('.');
            return (
                format!("envoy_{}_{}", sanitize(scope), sanitize(counter)),
                format!("{label}=\"{}\"", escape(thing)),
            );
        }
    }
    (format!("envoy_{}", sanitize(name)), String::new())
}

/// The thing's name may hold dots; the counter's own name holds none but the one behind its group.
fn split_counter<'a>(rest: &'a str, groups: &[&str]) -> Option<(&'a str, &'a str)> {
    let (before, _) = rest.rsplit_once('.')?;
    let thing = groups.iter().find_map(|group| before.strip_suffix(group)).unwrap_or(before);
    Some((thing, rest.get(thing.len() + 1..)?))
}

fn sanitize(name: &str) -> String {
    name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect()
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_become_labels() {
        let values = BTreeMap::from([
            ("cluster.outbound|80||shop.test.upstream_rq_total".to_owned(), (Kind::Counter, 3)),
            ("cluster.outbound|80||other.ssl.upstream_rq_total".to_owned(), (Kind::Counter, 4)),
            ("listener.0.0.0.0_443.ssl.connection_error".to_owned(), (Kind::Counter, 1)),
            ("listener.0.0.0.0_443.downstream_cx_active".to_owned(), (Kind::Gauge, 2)),
            ("overlay.peer.store-7.eu.links".to_owned(), (Kind::Gauge, 2)),
            ("server.panics".to_owned(), (Kind::Counter, 0)),
        ]);
        let expected = r#"# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{cluster_name="outbound|80||other.ssl"} 4
envoy_cluster_upstream_rq_total{cluster_name="outbound|80||shop.test"} 3
# TYPE envoy_listener_downstream_cx_active gauge
envoy_listener_downstream_cx_active{listener_address="0.0.0.0_443"} 2
# TYPE envoy_listener_ssl_connection_error counter
envoy_listener_ssl_connection_error{listener_address="0.0.0.0_443"} 1
# TYPE envoy_overlay_peer_links gauge
envoy_overlay_peer_links{peer_name="store-7.eu"} 2
# TYPE envoy_server_panics counter
envoy_server_panics{} 0
"#;
        assert_eq!(render(&values), expected);
    }
}
