use std::fs;

use super::*;

fn sources(variables: &[(&str, &str)]) -> Sources {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut sources = Sources::of_gateway(variables, "edge.svc.cluster.local");
    sources.pod_info = "/does/not/exist".into();
    sources
}

#[test]
fn a_gateway_pod_is_described_as_istiods_template_sets_it_up() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("labels"), "app=\"web\"\nistio-locality=\"r1.z1\"\n").unwrap();
    fs::write(directory.path().join("annotations"), "note=\"x\"\n").unwrap();
    let mut sources = sources(&[
        ("POD_NAME", "web-1"),
        ("POD_NAMESPACE", "edge"),
        ("SERVICE_ACCOUNT", "web"),
        ("INSTANCE_IP", "10.1.2.3"),
        ("ISTIO_META_CLUSTER_ID", "c1"),
        ("ISTIO_META_WORKLOAD_NAME", "web"),
        ("ISTIO_META_UNPRIVILEGED_POD", "true"),
        ("ISTIO_METAJSON_LABELS", r#"{"static": "1", "app": "overridden"}"#),
        ("ISTIO_METAJSON_OTHER", r#"{"sidecar.istio.io/x": {"deep": [1, true, null]}}"#),
        ("PROXY_CONFIG", "gatewayTopology: {numTrustedProxies: 2}\n"),
        ("UNRELATED", "x"),
    ]);
    sources.pod_info = directory.path().to_owned();
    let node = Node::from_sources(&sources).unwrap();
    assert_eq!(node.id, "router~10.1.2.3~web-1.edge~edge.svc.cluster.local");
    assert_eq!(node.cluster, "web.edge");
    assert_eq!(node.owner(), "router~c1~edge~web~web");
    let expected = serde_json::json!({
        "NAME": "web-1", "NAMESPACE": "edge", "SERVICE_ACCOUNT": "web", "INSTANCE_IPS": "10.1.2.3", "CLUSTER_ID": "c1",
        "WORKLOAD_NAME": "web", "UNPRIVILEGED_POD": "true", "ISTIO_VERSION": "1.32.0",
        "LABELS": {"app": "web", "static": "1", "istio-locality": "r1.z1"},
        "STATIC_LABELS": {"static": "1", "app": "overridden"},
        "ANNOTATIONS": {"note": "x"},
        "PROXY_CONFIG": {"gatewayTopology": {"numTrustedProxies": 2}},
        "sidecar.istio.io/x": {"deep": [1, true, null]},
    });
    assert_eq!(Value::Object(node.metadata.clone()), expected);

    let message = node.message();
    let locality = message.locality.unwrap();
    assert_eq!((locality.region.as_str(), locality.zone.as_str(), locality.sub_zone.as_str()), ("r1", "z1", ""));
    assert_eq!(message.user_agent_name, "selvedge");
    assert_eq!(message.metadata.unwrap().fields.len(), expected.as_object().unwrap().len());
}

#[test]
fn little_is_enough() {
    let mut sources = sources(&[("PROXY_CONFIG", "{}")]);
    assert_eq!(Node::from_sources(&sources), Err(NodeError::NoAddress));
    sources.addresses = vec!["127.0.0.5".parse().unwrap(), "::1".parse().unwrap()];
    let node = Node::from_sources(&sources).unwrap();
    assert_eq!(node.id, "router~127.0.0.5~selvedge.default~edge.svc.cluster.local");
    assert_eq!((node.fact("INSTANCE_IPS"), node.fact("CLUSTER_ID")), (Some("127.0.0.5,::1"), Some("Kubernetes")));
    assert!(!node.metadata.contains_key("PROXY_CONFIG"), "an empty one would hide the mesh's own");
}

#[test]
fn what_is_wrong_is_named() {
    for (variables, expected) in [
        ([("INSTANCE_IP", "here")], "environment variable INSTANCE_IP: \"here\" is not an address"),
        ([("ISTIO_METAJSON_LABELS", "[]")], "environment variable ISTIO_METAJSON_LABELS: "),
        ([("PROXY_CONFIG", "- a")], "environment variable PROXY_CONFIG: is not an object"),
    ] {
        let error = Node::from_sources(&sources(&variables)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
