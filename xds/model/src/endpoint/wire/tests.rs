use serde_json::{Value, json};

use crate::endpoint::{ClusterLoadAssignment, EndpointAddress, Health, Locality};
use crate::examples::{endpoints, parse, with};
use crate::fate::Report;

fn convert(value: &Value) -> Result<(ClusterLoadAssignment, Report), String> {
    let mut report = Report::default();
    match ClusterLoadAssignment::from_wire(&parse(value), &mut report) {
        Ok(assignment) => Ok((assignment, report)),
        Err(refusal) => Err(refusal.to_string()),
    }
}

#[test]
fn endpoints_of_istiod() {
    let (assignment, _) = convert(&endpoints()).unwrap();
    assert_eq!(assignment.overprovisioning_factor, 140);
    let [group] = assignment.localities.as_slice() else { panic!("not one group") };
    let place = Locality { region: "eu".to_owned(), zone: "eu-1".to_owned(), sub_zone: "a".to_owned() };
    assert_eq!((&group.locality, group.priority, group.weight), (&place, 1, 3));
    let endpoint = &group.endpoints[0];
    assert_eq!(endpoint.address, EndpointAddress::Socket("10.0.0.1:8080".parse().unwrap()));
    assert_eq!(endpoint.additional_addresses, [EndpointAddress::Socket("[fd00::1]:8080".parse().unwrap())]);
    assert_eq!((endpoint.health, endpoint.weight), (Health::Draining, 3));
    assert_eq!(endpoint.transport_match, [("tlsMode".to_owned(), "istio".to_owned())]);
    assert_eq!(endpoint.workload.as_deref(), Some("shop;default;shop;v1;Kubernetes"));
    assert_eq!(group.endpoints[1].address, EndpointAddress::Unix("/run/shop.sock".to_owned()));
    assert_eq!((group.endpoints[1].health, group.endpoints[1].weight), (Health::Healthy, 1));
}

#[test]
fn endpoints_that_cannot_be_reached_are_left_out_and_named() {
    let (assignment, report) = convert(&endpoints()).unwrap();
    assert_eq!(assignment.localities[0].endpoints.len(), 2);
    let fields: Vec<_> = report.refusals.iter().map(|refusal| refusal.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "endpoints[0].lb_endpoints[2].endpoint.address.envoy_internal_address",
            "endpoints[0].lb_endpoints[3].endpoint.address",
            "endpoints[0].lb_endpoints[4].metadata",
        ]
    );
}

#[test]
fn health() {
    let cases = [
        ("UNKNOWN", Health::Healthy),
        ("HEALTHY", Health::Healthy),
        ("UNHEALTHY", Health::Unhealthy),
        ("TIMEOUT", Health::Unhealthy),
        ("DEGRADED", Health::Degraded),
    ];
    for (status, expected) in cases {
        let value = with(endpoints(), "/endpoints/0/lb_endpoints/0/health_status", json!(status));
        assert_eq!(convert(&value).unwrap().0.localities[0].endpoints[0].health, expected, "{status}");
    }
}

#[test]
fn no_endpoints_are_legal() {
    let (assignment, report) = convert(&json!({"cluster_name": "x"})).unwrap();
    assert!(assignment.localities.is_empty() && report.refusals.is_empty());
}

#[test]
fn refusals_name_the_field() {
    let cases = [
        ("/endpoints/0/priority", json!(129), "endpoints[0].priority: 129 is more than 128"),
        (
            "/endpoints/0/lb_endpoints/0/load_balancing_weight",
            json!(0),
            "endpoints[0].lb_endpoints[0].load_balancing_weight: ",
        ),
        ("/endpoints/0/lb_endpoints/0", json!({}), "endpoints[0].lb_endpoints[0].endpoint: is missing"),
        ("/endpoints/0/lb_endpoints/0", json!({"endpoint_name": "x"}), "endpoints[0].lb_endpoints[0].endpoint_name: "),
        (
            "/endpoints/0/lb_endpoints/0/health_status",
            json!(50),
            "endpoints[0].lb_endpoints[0].health_status: 50 is not",
        ),
        ("/policy", json!({"overprovisioning_factor": 0}), "policy.overprovisioning_factor: "),
        ("/policy", json!({"drop_overloads": [{}]}), "policy.drop_overloads: "),
        ("/named_endpoints", json!({"x": {}}), "named_endpoints: "),
    ];
    for (pointer, change, expected) in cases {
        let refusal = convert(&with(endpoints(), pointer, change)).unwrap_err();
        assert!(
            refusal.starts_with(&format!("outbound|80||shop.default.svc.cluster.local: {expected}")),
            "{pointer}: {refusal}"
        );
    }
}
