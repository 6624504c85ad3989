//! How a cluster's endpoints are picked, limited and left out.

use std::time::Duration;

use xds_api::Any;
use xds_api::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use xds_api::envoy::config::cluster::v3::circuit_breakers::thresholds::RetryBudget as WireRetryBudget;
use xds_api::envoy::config::cluster::v3::cluster::CommonLbConfig;
use xds_api::envoy::config::cluster::v3::cluster::common_lb_config::{
    LocalityConfigSpecifier, LocalityWeightedLbConfig,
};
use xds_api::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster, OutlierDetection as WireOutlierDetection, UpstreamConnectionOptions,
};
use xds_api::envoy::config::core::v3::{
    Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as CommonHttpOptions, KeepaliveSettings,
    TcpKeepalive,
};
use xds_api::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use xds_api::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig, explicit_http_config::ProtocolConfig,
};
use xds_api::envoy::r#type::v3::Percent;

use super::cluster::Target;
use super::wire::duration;
use super::{load_balancer, upstream_tls};
use crate::object::destination_rule::{ConnectionPool, LoadBalancing, OutlierDetection, RetryBudget, TrafficPolicy};

/// Bound on a TCP connect, Istio's mesh default.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Key of the options by which a cluster says what HTTP it speaks.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Applies a policy to a cluster.
pub(super) fn apply(cluster: &mut Cluster, target: &Target<'_>, policy: &TrafficPolicy) {
    let default = ConnectionPool::default();
    let pool = policy.connection_pool.as_ref().unwrap_or(&default);
    let mut http = None;
    if target.port.protocol.is_http2() || pool.upgrade_to_http2 {
        http = Some(with_protocol(HttpProtocolOptions::default(), ProtocolConfig::Http2ProtocolOptions(http2(pool))));
    }
    limit(cluster, pool, policy.retry_budget.as_ref(), &mut http);
    // Endpoints that are not ready are sent, too, and must not be used when few are ready.
    let panic_threshold = policy.outlier_detection.as_ref().map_or(0, |outlier| outlier.min_health_percent);
    let weighs_localities = policy.locality_balancing().is_some_and(|balancing| {
        let fails_over = policy.outlier_detection.is_some() && balancing.has_failover();
        balancing.enabled && (fails_over || !balancing.distribute.is_empty())
    });
    cluster.common_lb_config = Some(CommonLbConfig {
        locality_config_specifier: weighs_localities
            .then(|| LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig::default())),
        healthy_panic_threshold: Some(Percent { value: f64::from(panic_threshold) }),
        ..CommonLbConfig::default()
    });
    cluster.outlier_detection = policy.outlier_detection.as_ref().map(outlier_detection);
    load_balancer::apply(cluster, policy.load_balancer.as_ref().unwrap_or(&LoadBalancing::default()));
    let speaks_http2 = http.as_ref().is_some_and(is_http2);
    upstream_tls::apply(cluster, target, policy.tls.as_ref(), speaks_http2, &mut http);
    if let Some(mut options) = http {
        if options.upstream_protocol_options.is_none() {
            options = with_protocol(options, ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default()));
        }
        cluster.typed_extension_protocol_options.insert(HTTP_OPTIONS.into(), Any::pack(&options));
    }
}

fn with_protocol(options: HttpProtocolOptions, protocol: ProtocolConfig) -> HttpProtocolOptions {
    let explicit = ExplicitHttpConfig { protocol_config: Some(protocol) };
    let protocol = Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit));
    HttpProtocolOptions { upstream_protocol_options: protocol, ..options }
}

fn is_http2(options: &HttpProtocolOptions) -> bool {
    matches!(
        &options.upstream_protocol_options,
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(_))
        }))
    )
}

fn http2(pool: &ConnectionPool) -> Http2ProtocolOptions {
    Http2ProtocolOptions {
        max_concurrent_streams: some(pool.max_concurrent_streams),
        connection_keepalive: pool.http2_keepalive.map(|keepalive| KeepaliveSettings {
            interval: keepalive.interval.map(duration),
            timeout: keepalive.timeout.map(duration),
            ..KeepaliveSettings::default()
        }),
        ..Http2ProtocolOptions::default()
    }
}

fn retry_budget(budget: &RetryBudget) -> WireRetryBudget {
    let or_default = |value: u32, default: u32| if value == 0 { default } else { value };
    WireRetryBudget {
        budget_percent: Some(Percent { value: budget.percent.unwrap_or(20.0) }),
        budget_interval: budget.interval.map(duration),
        min_retry_concurrency: Some(or_default(budget.min_retry_concurrency, 3)),
    }
}

fn limit(
    cluster: &mut Cluster,
    pool: &ConnectionPool,
    budget: Option<&RetryBudget>,
    http: &mut Option<HttpProtocolOptions>,
) {
    let limit = |value: u32| Some(if value == 0 { u32::MAX } else { value });
    let thresholds = Thresholds {
        max_connections: limit(pool.max_connections),
        max_pending_requests: limit(pool.max_pending_requests),
        max_requests: limit(pool.max_requests),
        max_retries: limit(pool.max_retries),
        retry_budget: budget.map(retry_budget),
        ..Thresholds::default()
    };
    cluster.circuit_breakers = Some(CircuitBreakers { thresholds: vec![thresholds], ..CircuitBreakers::default() });
    cluster.connect_timeout = Some(duration(pool.connect_timeout.unwrap_or(CONNECT_TIMEOUT)));
    cluster.upstream_connection_options = pool.keepalive.map(|keepalive| UpstreamConnectionOptions {
        tcp_keepalive: Some(TcpKeepalive {
            keepalive_probes: some(keepalive.probes),
            keepalive_time: keepalive.time.map(whole_seconds),
            keepalive_interval: keepalive.interval.map(whole_seconds),
        }),
        ..UpstreamConnectionOptions::default()
    });
    let common = CommonHttpOptions {
        idle_timeout: pool.http_idle_timeout.or(pool.tcp_idle_timeout).map(duration),
        max_requests_per_connection: some(pool.max_requests_per_connection),
        max_connection_duration: pool.max_connection_duration.map(duration),
        ..CommonHttpOptions::default()
    };
    let asks_for_common =
        common != CommonHttpOptions::default() || pool.max_concurrent_streams > 0 || pool.http2_keepalive.is_some();
    if asks_for_common {
        http.get_or_insert_default().common_http_protocol_options = Some(common);
    }
    if pool.use_client_protocol {
        let config = UseDownstreamHttpConfig {
            http_protocol_options: Some(Http1ProtocolOptions::default()),
            http2_protocol_options: Some(Http2ProtocolOptions::default()),
            ..UseDownstreamHttpConfig::default()
        };
        http.get_or_insert_default().upstream_protocol_options =
            Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(config));
    }
}

fn outlier_detection(outlier: &OutlierDetection) -> WireOutlierDetection {
    let enforced = |count: Option<u32>| count.map(|count| if count > 0 { 100 } else { 0 });
    let mut detection = WireOutlierDetection {
        consecutive_5xx: outlier.consecutive_5xx,
        enforcing_consecutive_5xx: enforced(outlier.consecutive_5xx),
        consecutive_gateway_failure: outlier.consecutive_gateway,
        enforcing_consecutive_gateway_failure: enforced(outlier.consecutive_gateway),
        interval: outlier.interval.map(duration),
        base_ejection_time: outlier.base_ejection_time.map(duration),
        max_ejection_percent: some(outlier.max_ejection_percent),
        enforcing_success_rate: Some(0),
        ..WireOutlierDetection::default()
    };
    if outlier.split_local_origin {
        let failures = outlier.consecutive_local_origin.filter(|count| *count > 0);
        detection.split_external_local_origin_errors = true;
        detection.consecutive_local_origin_failure = failures;
        detection.enforcing_consecutive_local_origin_failure = enforced(failures);
        detection.enforcing_local_origin_success_rate = Some(0);
    }
    detection
}

/// 0 is how Istio's fields say nothing.
fn some(value: u32) -> Option<u32> {
    (value > 0).then_some(value)
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
