//! The HTTP filters of every gateway, in istiod's order.

use xds_api::Any;
use xds_api::envoy::extensions::filters::http::cors::v3::Cors;
use xds_api::envoy::extensions::filters::http::fault::v3::HttpFault;
use xds_api::envoy::extensions::filters::http::grpc_stats::v3::FilterConfig as GrpcStats;
use xds_api::envoy::extensions::filters::http::grpc_stats::v3::filter_config::PerMethodStatSpecifier;
use xds_api::envoy::extensions::filters::http::router::v3::Router;
use xds_api::envoy::extensions::filters::network::http_connection_manager::v3::{HttpFilter, http_filter};
use xds_api::istio::envoy::config::filter::http::alpn::v2alpha1::FilterConfig as Alpn;
use xds_api::istio::envoy::config::filter::http::alpn::v2alpha1::filter_config::{AlpnOverride, Protocol};

use super::wire::{list, object, structure, typed_struct};

/// Without metrics provider, policies and extensions.
pub(super) fn all() -> Vec<HttpFilter> {
    let grpc_stats = GrpcStats {
        emit_filter_state: true,
        per_method_stat_specifier: Some(PerMethodStatSpecifier::StatsForAllMethods(false)),
        ..GrpcStats::default()
    };
    vec![
        filter("istio.metadata_exchange", metadata_exchange()),
        filter("envoy.filters.http.grpc_stats", Any::pack(&grpc_stats)),
        filter("istio.alpn", Any::pack(&alpn())),
        filter("envoy.filters.http.fault", Any::pack(&HttpFault::default())),
        filter("envoy.filters.http.cors", Any::pack(&Cors::default())),
        filter("envoy.filters.http.router", Any::pack(&Router::default())),
    ]
}

fn filter(name: &str, config: Any) -> HttpFilter {
    let config_type = Some(http_filter::ConfigType::TypedConfig(config));
    HttpFilter { name: name.to_owned(), config_type, ..HttpFilter::default() }
}

fn metadata_exchange() -> Any {
    let named = |name| object(structure([(name, object(structure([])))]));
    let fields = [
        ("upstream_discovery", list(vec![named("istio_headers"), named("workload_discovery")])),
        ("upstream_propagation", list(vec![named("istio_headers")])),
    ];
    typed_struct("io.istio.http.peer_metadata.Config", structure(fields))
}

/// Which protocols a TLS connection to a workload of the mesh offers, by the HTTP version that it is for.
fn alpn() -> Alpn {
    let offer = |protocol: Protocol, first: &str, last: &str| AlpnOverride {
        upstream_protocol: protocol as i32,
        alpn_override: vec![first.to_owned(), "istio".to_owned(), last.to_owned()],
    };
    let alpn_override = vec![
        offer(Protocol::Http10, "istio-http/1.0", "http/1.0"),
        offer(Protocol::Http11, "istio-http/1.1", "http/1.1"),
        offer(Protocol::Http2, "istio-h2", "h2"),
    ];
    Alpn { alpn_override }
}
