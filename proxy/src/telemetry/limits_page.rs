//! Every metric that docs/limits.md names exists.

use crate::edge::{ConfigCounters, EdgeCounters, KubernetesCounters};
use crate::http::HttpCounters;
use crate::listener::{ConnectionCounters, SecretCounters, TlsCounters};
use crate::tcp::TcpCounters;
use crate::telemetry::counter::Group;
use crate::upstream::{ClusterCounters, OutlierCounters};

const PAGE: &str = include_str!("../../../docs/limits.md");
/// Those whose names are put together where they are read.
const SOURCES: [&str; 2] = [include_str!("../admin/stats.rs"), include_str!("../overload/counters.rs")];
/// Scopes, and those of the sources.
const SCOPES: [&str; 7] =
    ["http.*.", "cluster.*.", "listener.*.", "tcp.*.", "overload.", "filesystem.", "listener_manager."];

/// As the page writes them.
fn names() -> Vec<String> {
    let groups: [&dyn Group; 10] = [
        &HttpCounters::new("http.*."),
        &ClusterCounters::new("cluster.*."),
        &OutlierCounters::new("cluster.*.outlier_detection."),
        &TcpCounters::new("tcp.*."),
        &ConnectionCounters::new("listener.*."),
        &TlsCounters::new("listener.*.ssl."),
        &SecretCounters::new("listener.*.server_ssl_socket_factory."),
        &EdgeCounters::new("overlay."),
        &ConfigCounters::new("overlay."),
        &KubernetesCounters::new("kubernetes."),
    ];
    let mut names = Vec::new();
    for group in groups {
        group.visit(&mut |name, _, _| names.push(name.to_owned()));
    }
    names
}

fn exists(metric: &str, names: &[String]) -> bool {
    if let Some(end) = metric.strip_prefix('…') {
        return names.iter().any(|name| name.ends_with(end)) || SOURCES[1].contains(&format!("        {end}: "));
    }
    if metric.starts_with("overload.") {
        let field = metric.rsplit('.').next().unwrap_or_default();
        return SOURCES[1].contains(&format!("        {field}: "));
    }
    names.iter().any(|name| name == metric) || SOURCES[0].contains(&format!("\"{metric}\""))
}

/// What is in backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The metrics of the page: what is named in the columns for them, and what has the form of one elsewhere.
fn metrics() -> Vec<&'static str> {
    let (mut metrics, mut in_column) = (Vec::new(), false);
    for line in PAGE.lines() {
        in_column = line.starts_with('|') && (in_column || line.trim_end().ends_with("| counted as |"));
        let last = line.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        if in_column && !line.trim_end().ends_with("| |") {
            metrics.extend(quoted(last));
        }
        let is_metric = |name: &&str| {
            SCOPES.iter().any(|scope| name.starts_with(scope)) && !name.contains("global_downstream_max_connections")
        };
        metrics.extend(quoted(line).filter(is_metric));
    }
    metrics.retain(|name| !name.starts_with("ListenOverflows"));
    metrics
}

#[test]
fn every_metric_that_the_page_of_limits_names_exists() {
    let (names, metrics) = (names(), metrics());
    assert!(metrics.len() > 100, "{metrics:?}");
    let unknown: Vec<_> = metrics.iter().filter(|metric| !exists(metric, &names)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(!exists("http.*.downstream_rq_invented", &names) && !exists("…invented", &names));
}
