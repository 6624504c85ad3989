//! Choices that do not show in the comparison with istiod, or that istiod leaves to the API server.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::fs;

use prost::{Message, Name};
use serde_json::Value;
use xds_api::envoy::config::cluster::v3::Cluster;
use xds_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
use xds_api::envoy::config::listener::v3::Listener;
use xds_api::envoy::config::route::v3::RouteConfiguration;
use xds_local::{Generated, LocalControlPlane, Options};

fn load(yaml: &str, options: Options) -> Generated {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), yaml).unwrap();
    LocalControlPlane::new(folder.path(), options).load().unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn labelled(key: &str, value: &str) -> Options {
    Options { labels: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])), ..Options::default() }
}

/// A resource as JSON; null if there is none.
fn resource<T: Message + Name>(generated: &Generated, name: &str) -> Value {
    let url = T::type_url();
    let found = generated.resources.iter().find(|resource| resource.type_url == url && resource.name == name);
    found.map_or(Value::Null, |found| xds_api::json::to_json(&found.type_url, &found.message).unwrap())
}

fn listeners(generated: &Generated) -> Vec<&str> {
    generated.summary.listeners.iter().map(|listener| listener.name.as_str()).collect()
}

fn warnings(generated: &Generated) -> Vec<String> {
    generated.warnings.iter().map(ToString::to_string).collect()
}

const TWO_GATEWAYS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: one, namespace: edge}
spec:
  selector: {istio: one}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: two, namespace: other}
spec:
  selector: {istio: two}
  servers: [{port: {number: 90, name: http, protocol: HTTP}, hosts: ['*']}]
---
apiVersion: v1
kind: Service
metadata: {name: one, namespace: edge}
spec: {selector: {istio: one}, ports: [{name: http, port: 80, targetPort: 8080}]}
";

#[test]
fn every_gateway_is_served_on_its_own_ports_without_labels() {
    let generated = load(TWO_GATEWAYS, Options::default());
    assert_eq!(listeners(&generated), ["0.0.0.0_80", "0.0.0.0_90"]);
    assert_eq!(
        warnings(&generated),
        ["a.yaml:9: warning: Gateways are in the namespaces edge and other: secrets are looked for in edge alone"]
    );
}

#[test]
fn labels_select_gateways_and_the_service_in_front_translates_ports() {
    let generated = load(TWO_GATEWAYS, labelled("istio", "one"));
    assert_eq!(listeners(&generated), ["0.0.0.0_8080"]);
    assert!(warnings(&generated).is_empty(), "{:?}", generated.warnings);
    assert_eq!(listeners(&load(TWO_GATEWAYS, labelled("istio", "three"))), [""; 0]);
}

const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: edge}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: edge}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: echo, namespace: edge}
spec:
  parentRefs: [{name: web}]
  rules:
";

fn routes(rules: &str) -> Vec<Value> {
    let generated = load(&format!("{ROUTE}{rules}"), Options::default());
    let table = resource::<RouteConfiguration>(&generated, "http.80");
    table["virtual_hosts"][0]["routes"].as_array().unwrap().clone()
}

#[test]
fn the_gateway_api_has_defaults_that_the_api_server_fills_in() {
    let routes = routes(
        "
  - {matches: [{headers: [{name: a, value: b}]}], backendRefs: [{name: echo, port: 80}]}
  - {matches: [{path: {}, method: GET}], filters: [{type: RequestRedirect, requestRedirect: {hostname: x.test}}]}
  - {backendRefs: [{name: echo, port: 80}]}
",
    );
    assert_eq!(routes[0]["redirect"]["response_code"], "FOUND", "{routes:?}");
    assert_eq!(routes[0]["match"]["prefix"], "/");
    assert_eq!(routes[1]["match"]["headers"][0]["name"], "a");
    assert_eq!(routes[2]["match"], serde_json::json!({"prefix": "/", "case_sensitive": true}));
}

#[test]
fn a_backend_that_has_no_share_answers_500() {
    let routes = routes("  - {backendRefs: [{name: echo, port: 80, weight: 0}]}\n");
    assert_eq!(routes[0]["direct_response"]["status"], 500);
}

const SAME_HOST: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: entry, namespace: edge, creationTimestamp: '2020-01-01T00:00:00Z'}
spec:
  hosts: [echo.edge.svc.cluster.local]
  resolution: STATIC
  ports: [{number: 81, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.9}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: first, namespace: edge}
spec:
  hosts: [merged.example.org]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: second, namespace: edge}
spec:
  hosts: [merged.example.org]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]
  endpoints: [{address: 127.0.0.2}]
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: edge}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: echo, namespace: edge, labels: {kubernetes.io/service-name: echo}}
addressType: IPv4
endpoints:
- {addresses: [127.0.0.3], conditions: {ready: false, terminating: true}}
- {addresses: [127.0.0.4], conditions: {ready: false, terminating: false}}
- {addresses: [127.0.0.5], conditions: {ready: false}}
ports: [{name: http, port: 9000}]
";

fn addresses(assignment: &Value) -> Vec<(String, String)> {
    let endpoints = assignment["endpoints"][0]["lb_endpoints"].as_array().unwrap();
    let one = |endpoint: &Value| {
        let address = &endpoint["endpoint"]["address"]["socket_address"]["address"];
        (address.as_str().unwrap().to_owned(), endpoint["health_status"].as_str().unwrap_or("UNKNOWN").to_owned())
    };
    endpoints.iter().map(one).collect()
}

#[test]
fn services_of_one_host_come_together_and_those_of_kubernetes_come_first() {
    let generated = load(SAME_HOST, Options { namespace: Some("edge".into()), ..Options::default() });
    assert_eq!(resource::<Cluster>(&generated, "outbound|81||echo.edge.svc.cluster.local"), Value::Null);
    let cluster = resource::<Cluster>(&generated, "outbound|80||echo.edge.svc.cluster.local");
    assert_eq!(cluster["type"], "EDS");
    assert_ne!(resource::<Cluster>(&generated, "outbound|443||merged.example.org"), Value::Null);
    let merged = resource::<ClusterLoadAssignment>(&generated, "outbound|80||merged.example.org");
    let names: Vec<_> = addresses(&merged).into_iter().map(|(address, _)| address).collect();
    assert_eq!(names, ["127.0.0.1", "127.0.0.2"]);
}

#[test]
fn endpoints_that_are_going_are_left_out_and_those_that_are_not_ready_are_marked() {
    let generated = load(SAME_HOST, Options { namespace: Some("edge".into()), ..Options::default() });
    let assignment = resource::<ClusterLoadAssignment>(&generated, "outbound|80||echo.edge.svc.cluster.local");
    let shown = addresses(&assignment);
    assert!(shown.contains(&("127.0.0.4".into(), "UNHEALTHY".into())), "{shown:?}");
    assert!(!shown.iter().any(|(address, _)| address == "127.0.0.3" || address == "127.0.0.5"), "{shown:?}");
}

#[test]
fn private_objects_are_seen_from_their_own_namespace_alone() {
    let yaml = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: shop}
spec:
  hosts: [a.example.org]
  resolution: STATIC
  exportTo: ['.']
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: edge}
spec: {host: a.example.org, exportTo: ['.'], subsets: [{name: edge}]}
";
    let seen_from = |namespace: &str| {
        let generated = load(yaml, Options { namespace: Some(namespace.into()), ..Options::default() });
        let names = ["outbound|80||a.example.org", "outbound|80|edge|a.example.org"];
        names.map(|name| resource::<Cluster>(&generated, name) != Value::Null)
    };
    assert_eq!(seen_from("shop"), [true, false]);
    assert_eq!(seen_from("edge"), [false, false]);
    let public = yaml.replacen("  exportTo: ['.']\n", "", 1);
    let generated = load(&public, Options { namespace: Some("edge".into()), ..Options::default() });
    assert_ne!(resource::<Cluster>(&generated, "outbound|80|edge|a.example.org"), Value::Null);
}

#[test]
fn a_private_key_is_never_printed() {
    let secret = load(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\nspec: {servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [a]}]}\n",
        Options::default(),
    );
    let printed = format!("{:?}", secret.resources);
    assert!(printed.contains("Listener 0.0.0.0_80"), "{printed}");
    assert!(!printed.contains("message"), "{printed}");
}

const DATAGRAMS: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns, namespace: shop}
spec:
  hosts: [dns.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 53, name: dns, protocol: UDP}, {number: 853, name: tls-dns, protocol: TLS}]
  endpoints: [{address: 10.0.0.2, ports: {dns: 5353}}, {address: 10.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: named, namespace: shop}
spec:
  hosts: [named.example]
  location: MESH_INTERNAL
  resolution: DNS
  ports: [{number: 53, name: dns, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: syslog, namespace: shop}
spec: {selector: {app: syslog}, ports: [{name: log, port: 514, protocol: UDP}, {name: tcp-log, port: 514}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: syslog-1, namespace: shop, labels: {kubernetes.io/service-name: syslog}}
addressType: IPv4
ports: [{name: log, port: 5514, protocol: UDP}, {name: tcp-log, port: 5515}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}}
- {addresses: [10.1.0.2], conditions: {ready: false, terminating: false}}
---
";

#[test]
fn ports_of_udp_are_apart_and_have_the_addresses_that_are_ready() {
    let generated = load(&[DATAGRAMS, TWO_GATEWAYS].concat(), labelled("istio", "one"));
    let found: Vec<_> = generated.services.iter().filter(|service| !service.datagrams.is_empty()).collect();
    let ports = |at: usize| -> Vec<_> { found[at].ports.iter().map(|port| (port.number, &*port.protocol)).collect() };
    let datagrams = |at: usize| -> Vec<_> {
        let ports = found[at].datagrams.iter();
        ports.map(|port| (port.number, port.name.as_str(), format!("{:?}", port.endpoints))).collect()
    };
    let hosts: Vec<_> = found.iter().map(|service| service.host.as_str()).collect();
    assert_eq!(hosts, ["dns.example", "named.example", "syslog.shop.svc.cluster.local"]);
    assert_eq!((ports(0), ports(1), ports(2)), (vec![(853, "TLS")], vec![], vec![(514, "TCP")]));
    assert_eq!(datagrams(0), [(53, "dns", "[10.0.0.1:53, 10.0.0.2:5353]".to_owned())]);
    assert_eq!(datagrams(1), [(53, "dns", "[]".to_owned())], "names are not looked up");
    assert_eq!(datagrams(2), [(514, "log", "[10.1.0.1:5514]".to_owned())]);
}

const ONE_GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: one, namespace: edge}
spec:
  selector: {istio: one}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
";

/// The mesh configuration as `kubectl get configmap -n istio-system istio -o yaml` shows it.
fn mesh_config(mesh: &str) -> String {
    let mesh: String = mesh.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "{ONE_GATEWAY}apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |-\n{mesh}"
    )
}

/// The access logs of requests, and of connections that get no further than the listener.
fn access_logs(generated: &Generated) -> (Value, Value) {
    let listener = resource::<Listener>(generated, "0.0.0.0_80");
    let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
    (manager["access_log"].clone(), listener["access_log"].clone())
}

#[test]
fn the_mesh_configuration_says_where_requests_are_logged() {
    assert_eq!(access_logs(&load(ONE_GATEWAY, Options::default())), (Value::Null, Value::Null));

    let generated = load(&mesh_config("accessLogFile: /dev/stdout"), Options::default());
    let (requests, connections) = access_logs(&generated);
    let file = &requests[0]["typed_config"];
    assert_eq!(file["path"], "/dev/stdout");
    let format = file["log_format"]["text_format_source"]["inline_string"].as_str().unwrap();
    assert!(format.contains("%UPSTREAM_TRANSPORT_FAILURE_REASON%") && format.ends_with("%ROUTE_NAME%\n"), "{format}");
    assert_eq!(connections[0]["filter"]["response_flag_filter"]["flags"][0], "NR");
    assert_eq!(warnings(&generated), [""; 0]);

    let own = "accessLogFile: /tmp/a.log\naccessLogFormat: '%RESPONSE_FLAGS%'";
    let (requests, _) = access_logs(&load(&mesh_config(own), Options::default()));
    assert_eq!(requests[0]["typed_config"]["log_format"]["text_format_source"]["inline_string"], "%RESPONSE_FLAGS%\n");

    let json = "accessLogFile: /tmp/a.log\naccessLogEncoding: JSON";
    let (requests, _) = access_logs(&load(&mesh_config(json), Options::default()));
    assert_eq!(requests[0]["typed_config"]["json_format"]["response_flags"], "%RESPONSE_FLAGS%");
    let own = format!(
        "{json}\naccessLogFormat: |\n  {{\"flags\": \"%RESPONSE_FLAGS%\", \"of\": {{\"path\": \"%REQ(:PATH)%\"}}}}"
    );
    let (requests, _) = access_logs(&load(&mesh_config(&own), Options::default()));
    let expected = serde_json::json!({"flags": "%RESPONSE_FLAGS%", "of": {"path": "%REQ(:PATH)%"}});
    assert_eq!(requests[0]["typed_config"]["json_format"], expected);
}

#[test]
fn of_the_mesh_configuration_what_is_wrong_or_without_effect_is_named_with_its_line() {
    let generated = load(&mesh_config("accessLogFile: /dev/stdout\nrootNamespace: istio-system"), Options::default());
    let expected = "a.yaml:16: warning: data.mesh: of the mesh configuration a gateway from a folder heeds nothing but the access log: rootNamespace";
    assert_eq!(warnings(&generated), [expected]);

    let complaint = |mesh: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), mesh_config(mesh)).unwrap();
        let problems = LocalControlPlane::new(folder.path(), Options::default()).load().unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let encoding = complaint("accessLogFile: /dev/stdout\naccessLogEncoding: XML");
    assert!(encoding.starts_with("a.yaml:16: data.mesh.accessLogEncoding: XML is not one of"), "{encoding}");
    let format = complaint("accessLogFile: /dev/stdout\naccessLogFormat: '%NO_SUCH_THING%'");
    assert!(format.contains("NO_SUCH_THING"), "{format}");
}
