//! What ten thousand routes cost: memory, allocations while serving, and time (printed, never asserted). One test, because it counts the
//! allocations of the whole process.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selvedge_route::{ConnectionFacts, FilterChainTable, RequestView, RouteTable};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use xds_model::listener::{FilterChainMatch, TransportProtocol};
use xds_model::matcher::{HeaderCondition, HeaderMatcher, StringMatcher, StringPattern};
use xds_model::route::{
    ConnectMode, Forward, PathMatch, RetryOn, RetryPolicy, Route, RouteAction, RouteConfiguration, RouteHeaders,
    RouteMatch, VirtualHost, WeightedCluster,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNT: usize = 10_000;

struct Request {
    authority: String,
    path: String,
}

impl RequestView for Request {
    fn method(&self) -> &[u8] {
        b"GET"
    }
    fn authority(&self) -> &[u8] {
        self.authority.as_bytes()
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn scheme(&self) -> &[u8] {
        b"http"
    }
    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        [("version", "1"), ("version", "2")]
            .into_iter()
            .filter(move |(known, _)| *known == name)
            .map(|(_, v)| v.as_bytes())
    }
}

/// A route as istiod writes it.
fn route(number: usize, path: PathMatch) -> Route {
    let retry = RetryPolicy {
        num_retries: 2,
        retry_on: RetryOn { connect_failure: true, refused_stream: true, ..RetryOn::default() },
        retriable_status_codes: vec![503],
        per_try_timeout: None,
        back_off_base: Duration::from_millis(25),
        back_off_max: Duration::from_millis(250),
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        leave_priorities_after: None,
    };
    let cluster = WeightedCluster {
        name: format!("outbound|80||service-{number}.namespace.svc.cluster.local"),
        weight: 1,
        headers: RouteHeaders::default(),
        host_rewrite: None,
    };
    let forward = Forward {
        clusters: vec![cluster],
        cluster_not_found_status: 503,
        timeout: None,
        idle_timeout: None,
        grpc_timeout: None,
        max_stream_duration: None,
        retry: Some(retry),
        path_rewrite: None,
        host_rewrite: None,
        append_x_forwarded_host: false,
        connect: ConnectMode::Inherited,
        hash_policies: Vec::new(),
    };
    let version = HeaderMatcher {
        name: "version".into(),
        condition: HeaderCondition::Value(StringMatcher {
            pattern: StringPattern::Exact("1".into()),
            ignore_case: false,
        }),
        invert: false,
        treat_missing_as_empty: false,
    };
    Route {
        name: "default".into(),
        matches: RouteMatch {
            path,
            case_sensitive: true,
            headers: if number.is_multiple_of(10) { vec![version] } else { Vec::new() },
            query: Vec::new(),
        },
        action: RouteAction::Forward(Box::new(forward)),
        headers: RouteHeaders::default(),
        decorator_operation: Some(format!("service-{number}.namespace.svc.cluster.local:80/*")),
        istio_config: Some(format!("/apis/networking.istio.io/v1/namespaces/n/virtual-service/service-{number}")),
    }
}

fn host(name: String, domain: String, routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        name,
        domains: vec![domain],
        routes,
        require_tls: false,
        include_request_attempt_count: true,
        retry: None,
        headers: RouteHeaders::default(),
    }
}

fn configuration(virtual_hosts: Vec<VirtualHost>) -> RouteConfiguration {
    RouteConfiguration {
        name: "http.8080".into(),
        virtual_hosts: virtual_hosts.into_iter().map(Arc::new).collect(),
        ignore_port_in_host_matching: true,
        headers: RouteHeaders::default(),
    }
}

fn many_hosts() -> RouteConfiguration {
    let hosts = (0..COUNT).map(|number| {
        let domain = if number.is_multiple_of(4) {
            format!("*.h{number}.example.com")
        } else {
            format!("h{number}.example.com")
        };
        host(format!("{domain}:80"), domain, vec![route(number, PathMatch::Prefix("/".into()))])
    });
    configuration(hosts.collect())
}

fn many_routes() -> RouteConfiguration {
    let path = |number: usize| match number % 3 {
        0 => PathMatch::Exact(format!("/service-{number}/list")),
        1 => PathMatch::PathSeparatedPrefix(format!("/service-{number}")),
        _ => PathMatch::Prefix(format!("/service-{number}/")),
    };
    let mut routes: Vec<Route> = (0..COUNT).map(|number| route(number, path(number))).collect();
    routes.push(route(COUNT, PathMatch::Prefix("/".into())));
    configuration(vec![host("all:80".into(), "*".into(), routes)])
}

/// Compiles, and tells the bytes kept.
fn measure(label: &str, configuration: &RouteConfiguration, limit: usize) -> RouteTable {
    let region = Region::new(ALLOCATOR);
    let start = Instant::now();
    let table = RouteTable::compile(configuration).unwrap();
    let elapsed = start.elapsed();
    let change = region.change();
    let bytes = change.bytes_allocated - change.bytes_deallocated;
    println!("{label}: compiled in {elapsed:?}, {} bytes a route", bytes / COUNT);
    assert!(bytes / COUNT < limit, "{label}: {} bytes a route", bytes / COUNT);
    table
}

/// Sends all requests through, and asserts that nothing is allocated.
fn serve(label: &str, table: &RouteTable, requests: &[Request]) {
    let region = Region::new(ALLOCATOR);
    let start = Instant::now();
    for request in requests {
        let host = table.virtual_host(request.authority.as_bytes()).unwrap();
        let found = table.find(host, request).unwrap();
        assert!(found.request_headers(None).next().is_none());
        black_box(found);
    }
    let elapsed = start.elapsed();
    let change = region.change();
    println!("{label}: {:?} a request", elapsed / requests.len() as u32);
    assert_eq!(change.allocations + change.reallocations, 0, "{label}");
}

#[test]
fn ten_thousand() {
    let mut hosts = many_hosts();
    let table = measure("10,000 hosts", &hosts, 800);
    let request = |number: usize| Request { authority: format!("X.h{number}.example.com:80"), path: "/a?b".into() };
    serve("10,000 hosts", &table, &(0..COUNT).step_by(4).map(request).collect::<Vec<_>>());

    Arc::make_mut(&mut hosts.virtual_hosts[77]).routes[0].name = "changed".into();
    let start = Instant::now();
    let updated = table.update(&hosts).unwrap();
    println!("10,000 hosts: updated in {:?}", start.elapsed());
    drop(table);
    assert_eq!(updated.virtual_hosts().len(), COUNT);

    let table = measure("10,000 routes in a host", &many_routes(), 660);
    let request = |number| Request { authority: "a.com".into(), path: format!("/service-{number}/list?q=1") };
    serve("10,000 routes in a host", &table, &(0..COUNT).map(request).collect::<Vec<_>>());
    let request = |_| Request { authority: "a.com".into(), path: "/none".into() };
    serve("10,000 routes in a host, the last", &table, &(0..COUNT).map(request).collect::<Vec<_>>());

    chains();
}

/// The chains of an AUTO_PASSTHROUGH listener.
fn chains() {
    let protocols = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];
    let name = |number| format!("outbound_.80_._.service-{number}.namespace.svc.cluster.local");
    let chain = |number| FilterChainMatch {
        server_names: vec![name(number)],
        application_protocols: protocols.map(String::from).to_vec(),
        ..FilterChainMatch::default()
    };
    let matches: Vec<FilterChainMatch> = (0..COUNT).map(chain).collect();
    let names: Vec<String> = (0..COUNT).map(|number| name(number).to_ascii_uppercase()).collect();
    let offered = [b"istio".to_vec()];
    let region = Region::new(ALLOCATOR);
    let start = Instant::now();
    let table = FilterChainTable::compile(&matches);
    let elapsed = start.elapsed();
    let change = region.change();
    let bytes = change.bytes_allocated - change.bytes_deallocated;
    println!("10,000 chains: compiled in {elapsed:?}, {} bytes a chain", bytes / COUNT);
    assert!(bytes / COUNT < 300);
    let region = Region::new(ALLOCATOR);
    let start = Instant::now();
    for (position, name) in names.iter().enumerate() {
        let facts = ConnectionFacts {
            destination: ([10, 0, 0, 1], 15443).into(),
            server_name: Some(name),
            transport: TransportProtocol::Tls,
            application_protocols: &offered,
            source: [10, 0, 0, 2].into(),
        };
        assert_eq!(table.find(&facts), Some(position));
    }
    println!("10,000 chains: {:?} a connection", start.elapsed() / COUNT as u32);
    assert_eq!(region.change().allocations, 0);
}
