use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use kube::api::DynamicObject;
use overlay::catalogue::{Port, Protocol};
use serde_json::{Value, json};

use super::super::super::config::TrafficDistribution;
use super::super::super::import::ImportedEndpoint;
use super::super::objects;
use super::super::write::{Identity, difference};
use super::*;

const HOST: &str = "ratings.shop.global";

#[derive(Default)]
struct State {
    services: BTreeMap<Key, Arc<KubernetesService>>,
    entries: BTreeMap<Key, Arc<Entry>>,
    rules: BTreeMap<Key, Arc<Rule>>,
}

impl State {
    fn plan(&self, imports: &[Import], style: &Style) -> Plan {
        let Self { services, entries, rules } = self;
        plan(imports, &Cluster { services, entries, rules, domain: "cluster.local" }, style)
    }

    /// Does what is planned, at a time.
    fn perform(&mut self, plan: &Plan, time: &str) {
        for action in &plan.actions {
            match action {
                Action::Apply(object) => self.put(object.manifest(), time),
                Action::Remove(Kind::ServiceEntry, key) => drop(self.entries.remove(key)),
                Action::Remove(Kind::DestinationRule, key) => drop(self.rules.remove(key)),
            }
        }
    }

    fn put(&mut self, mut manifest: Value, time: &str) {
        let text = |field: &str| manifest["metadata"][field].as_str().unwrap().to_owned();
        let key = (text("namespace"), text("name"));
        manifest["metadata"]["creationTimestamp"] = json!(time);
        match manifest["kind"].as_str().unwrap() {
            "Service" => {
                let service: Service = serde_json::from_value(manifest).unwrap();
                self.services.insert(key, Arc::new(objects::service(service).unwrap()));
            }
            "ServiceEntry" => drop(self.entries.insert(key, Arc::new(objects::entry(object(manifest)).unwrap()))),
            _ => drop(self.rules.insert(key, Arc::new(objects::rule(object(manifest)).unwrap()))),
        }
    }
}

fn object(manifest: Value) -> DynamicObject {
    serde_json::from_value(manifest).unwrap()
}

fn import(host: &str, edges: &[&str]) -> Import {
    let endpoint = |(at, edge): (usize, &&str)| ImportedEndpoint {
        edge: String::from(*edge),
        address: Ipv4Addr::new(127, 98, 0, 1 + at as u8),
        locality: format!("eu/{edge}"),
        weight: 2,
    };
    Import {
        host: host.to_owned(),
        namespace: "shop".to_owned(),
        ports: vec![(Port { number: 80, name: "http".to_owned(), protocol: Protocol::Http }, 20_001)],
        endpoints: edges.iter().enumerate().map(endpoint).collect(),
        merges_with_local: false,
    }
}

fn style() -> Style {
    Style {
        owner: "a".to_owned(),
        gateway_namespace: "edge".to_owned(),
        namespace: "edge".to_owned(),
        traffic_distribution: None,
        presents: None,
    }
}

fn presenting() -> Style {
    let identity = Identity { trust_domain: "cluster.local".to_owned(), service_account: "selvedge".to_owned() };
    Style { presents: Some(identity), ..style() }
}

fn entry(namespace: &str, name: &str, host: &str) -> Value {
    json!({"kind": "ServiceEntry", "metadata": {"namespace": namespace, "name": name}, "spec": {"hosts": [host]}})
}

fn rule(namespace: &str, host: &str, policy: Value) -> Value {
    let spec = json!({"host": host, "trafficPolicy": policy});
    json!({"kind": "DestinationRule", "metadata": {"namespace": namespace, "name": "of-a-user"}, "spec": spec})
}

fn targets(plan: &Plan) -> Vec<String> {
    let text = |action: &Action| {
        let (kind, (namespace, name)) = action.target();
        let sign = if matches!(action, Action::Apply(_)) { '+' } else { '-' };
        format!("{sign}{} {namespace}/{name}", kind.name())
    };
    plan.actions.iter().map(text).collect()
}

#[test]
fn an_import_becomes_an_entry_and_a_rule_and_goes_with_them() {
    let mut state = State::default();
    let first = state.plan(&[import(HOST, &["b", "c"])], &style());
    assert_eq!(
        targets(&first),
        ["+ServiceEntry edge/ratings.shop.global", "+DestinationRule edge/ratings.shop.global"]
    );
    let Action::Apply(entry) = &first.actions[0] else { panic!("{first:?}") };
    let endpoint = |edge: &str, address: &str| json!({"address": address, "weight": 2, "locality": format!("eu/{edge}"), "labels": {"edge": edge}});
    let expected = json!({
        "hosts": [HOST], "location": "MESH_INTERNAL", "resolution": "STATIC", "exportTo": ["."],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 20_001}],
        "endpoints": [endpoint("b", "127.98.0.1"), endpoint("c", "127.98.0.2")],
    });
    assert_eq!(entry.spec, expected);
    state.perform(&first, "2026-01-01T00:00:00Z");
    assert_eq!(state.plan(&[import(HOST, &["b", "c"])], &style()), Plan::default(), "it is so already");
    assert_eq!(targets(&state.plan(&[import(HOST, &["b"])], &style())).len(), 2);
    let gone = state.plan(&[], &style());
    assert_eq!(targets(&gone), ["-ServiceEntry edge/ratings.shop.global", "-DestinationRule edge/ratings.shop.global"]);
    let other = Style { owner: "z".to_owned(), ..style() };
    assert_eq!(state.plan(&[], &other), Plan::default(), "it is that of another edge");
}

#[test]
fn other_clients_are_told_how_they_are_met() {
    let near = Style { traffic_distribution: Some(TrafficDistribution::PreferClose), ..presenting() };
    let plan = State::default().plan(&[import(HOST, &["b"])], &near);
    let Action::Apply(entry) = &plan.actions[0] else { panic!("{plan:?}") };
    assert_eq!(entry.labels["networking.istio.io/tunnel"], "http");
    assert_eq!(entry.annotations["networking.istio.io/traffic-distribution"], "PreferClose");
    assert_eq!(entry.spec["subjectAltNames"], json!(["spiffe://cluster.local/ns/edge/sa/selvedge"]));
    assert_eq!(entry.spec.get("exportTo"), None);
    let endpoint = &entry.spec["endpoints"][0];
    assert_eq!(endpoint["serviceAccount"], "selvedge");
    let labels = json!({"edge": "b", "security.istio.io/tlsMode": "istio", "networking.istio.io/tunnel": "http"});
    assert_eq!(endpoint["labels"], labels);
    let elsewhere = Style { namespace: "imports".to_owned(), ..presenting() };
    let plan = State::default().plan(&[import(HOST, &["b"])], &elsewhere);
    let Action::Apply(entry) = &plan.actions[0] else { panic!("{plan:?}") };
    assert_eq!(entry.spec["endpoints"][0].get("serviceAccount"), None, "there is none of that name");
    assert_eq!(entry.spec["subjectAltNames"], json!(["spiffe://cluster.local/ns/edge/sa/selvedge"]));
}

#[test]
fn what_moves_to_another_namespace_is_there_before_it_is_gone_here() {
    let (mut state, imports) = (State::default(), [import(HOST, &["b"])]);
    state.perform(&state.plan(&imports, &style()), "2026-01-01T00:00:00Z");
    let elsewhere = Style { namespace: "imports".to_owned(), ..style() };
    let there = state.plan(&imports, &elsewhere);
    assert_eq!(
        targets(&there),
        ["+ServiceEntry imports/ratings.shop.global", "+DestinationRule imports/ratings.shop.global"]
    );
    assert!(there.conflicts.is_empty());
    state.perform(&there, "2026-01-02T00:00:00Z");
    let gone = state.plan(&imports, &elsewhere);
    assert_eq!(targets(&gone), ["-ServiceEntry edge/ratings.shop.global", "-DestinationRule edge/ratings.shop.global"]);
    state.perform(&gone, "2026-01-02T00:00:01Z");
    assert_eq!(state.plan(&imports, &elsewhere), Plan::default());
}

#[test]
fn what_is_changed_by_hand_comes_back() {
    let mut state = State::default();
    let first = state.plan(&[import(HOST, &["b"])], &style());
    for change in [
        |manifest: &mut Value| manifest["spec"]["endpoints"][0]["weight"] = json!(9),
        |manifest: &mut Value| manifest["spec"]["workloadSelector"] = json!({}),
        |manifest: &mut Value| manifest["metadata"]["labels"]["networking.istio.io/tunnel"] = json!("http"),
    ] {
        state.perform(&first, "2026-01-01T00:00:00Z");
        let Action::Apply(entry) = &first.actions[0] else { panic!("{first:?}") };
        let mut manifest = entry.manifest();
        change(&mut manifest);
        state.put(manifest, "2026-01-01T00:00:00Z");
        let again = state.plan(&[import(HOST, &["b"])], &style());
        assert_eq!(again.actions, first.actions[..1]);
    }
    state.perform(&first, "2026-01-01T00:00:00Z");
    state.entries.clear();
    assert_eq!(state.plan(&[import(HOST, &["b"])], &style()).actions, first.actions[..1]);
    let from = json!({"a": 1, "b": {"c": [1], "d": 2}, "e": 3});
    assert_eq!(difference(&from, &json!({"a": 1, "b": {"c": [2]}})), json!({"b": {"c": [2], "d": null}, "e": null}));
}

#[test]
fn rules_of_others_take_the_place_of_ours() {
    for (namespace, host, ours) in [
        ("edge", HOST, false),
        ("istio-system", "*.shop.global", false),
        ("shop", HOST, true),
        ("edge", "other.shop.global", true),
        ("edge", "ratings", true),
    ] {
        let mut state = State::default();
        state.perform(&state.plan(&[import(HOST, &["b"])], &style()), "2026-01-01T00:00:00Z");
        state.put(rule(namespace, host, json!({})), "2026-01-01T00:00:00Z");
        let plan = state.plan(&[import(HOST, &["b"])], &style());
        let expected: &[&str] = if ours { &[] } else { &["-DestinationRule edge/ratings.shop.global"] };
        assert_eq!(targets(&plan), expected, "{namespace} {host}");
    }
}

#[test]
fn a_host_that_is_somebody_elses_is_not_taken() {
    let service =
        json!({"kind": "Service", "metadata": {"namespace": "shop", "name": "ratings"}, "spec": {"ports": []}});
    let mut of_another = entry("edge", HOST, HOST);
    of_another["metadata"]["labels"] = json!({"selvedge.dev/imported": "true", "selvedge.dev/written-by": "z"});
    for (there, host, reason) in [
        (entry("edge", HOST, "x.test"), HOST, "ServiceEntry edge/ratings.shop.global is not ours"),
        (of_another, HOST, "ServiceEntry edge/ratings.shop.global is that of edge z"),
        (entry("shop", "mine", HOST), HOST, "it is the host of ServiceEntry shop/mine"),
        (service, "ratings.shop.svc.cluster.local", "it is the name of Service shop/ratings"),
    ] {
        let mut state = State::default();
        state.put(there, "2026-01-01T00:00:00Z");
        let plan = state.plan(&[import(host, &["b"])], &style());
        assert_eq!((plan.actions.len(), plan.conflicts[host].as_str()), (0, reason));
    }
    // One that comes later: what a person wants goes before what we want, but the first of two edges stays.
    for (written_by, expected) in [(None, 2), (Some("z"), 0)] {
        let mut state = State::default();
        state.perform(&state.plan(&[import(HOST, &["b"])], &style()), "2026-01-01T00:00:00Z");
        let mut later = entry("shop", "later", HOST);
        if let Some(edge) = written_by {
            later["metadata"]["labels"] = json!({"selvedge.dev/imported": "true", "selvedge.dev/written-by": edge});
        }
        state.put(later, "2026-01-02T00:00:00Z");
        assert_eq!(state.plan(&[import(HOST, &["b"])], &style()).actions.len(), expected);
    }
}

fn ratings(extra: &Value) -> Value {
    let mut spec = json!({"ports": [{"name": "web", "port": 80, "appProtocol": "http"}, {"name": "old", "port": 81}]});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"kind": "Service", "metadata": {"namespace": "shop", "name": "ratings"}, "spec": spec})
}

fn merged(host: &str) -> Import {
    Import { merges_with_local: true, ..import(host, &["b"]) }
}

#[test]
fn nothing_is_merged_unless_its_own_pods_come_first() {
    let outliers = json!({"outlierDetection": {}});
    let near = json!({"trafficDistribution": "PreferClose"});
    let none = json!({});
    for (service, rule_of_user, host, style, reason) in [
        (ratings(&none), None, HOST, presenting(), "nothing says that its own pods come first"),
        (ratings(&none), Some(rule("shop", "ratings", json!({}))), HOST, presenting(), "nothing says"),
        (ratings(&none), Some(rule("shop", "ratings", outliers.clone())), HOST, presenting(), ""),
        (ratings(&near), None, HOST, presenting(), ""),
        (ratings(&near), None, HOST, style(), "terminate"),
        (ratings(&near), None, "details.shop.global", presenting(), "Service shop/details: there is none"),
        (ratings(&near), None, "db.example", presenting(), "<name>.<namespace>.global"),
        (
            ratings(&json!({"trafficDistribution": "PreferClose", "clusterIP": "None"})),
            None,
            HOST,
            presenting(),
            "headless",
        ),
    ] {
        let mut state = State::default();
        state.put(service, "2026-01-01T00:00:00Z");
        if let Some(rule) = rule_of_user {
            state.put(rule, "2026-01-01T00:00:00Z");
        }
        let plan = state.plan(&[merged(host)], &style);
        match reason {
            "" => assert_eq!(targets(&plan), ["+ServiceEntry shop/ratings.shop.svc.cluster.local"]),
            _ => assert!(plan.actions.is_empty() && plan.conflicts[host].contains(reason), "{plan:?}"),
        }
    }
}

#[test]
fn what_is_merged_has_the_ports_of_the_service_and_stays_younger() {
    let near = json!({"trafficDistribution": "PreferClose"});
    let mut state = State::default();
    state.put(ratings(&near), "2026-01-01T00:00:00Z");
    let first = state.plan(&[merged(HOST)], &presenting());
    let Action::Apply(entry) = &first.actions[0] else { panic!("{first:?}") };
    let ports = json!([{"number": 80, "name": "web", "protocol": "HTTP", "targetPort": 20_001}]);
    assert_eq!((&entry.spec["ports"], entry.spec.get("exportTo")), (&ports, None));
    state.perform(&first, "2026-01-01T00:00:00Z");
    assert_eq!(
        targets(&state.plan(&[merged(HOST)], &presenting())),
        ["-ServiceEntry shop/ratings.shop.svc.cluster.local"]
    );
    state.entries.clear();
    state.perform(&first, "2026-01-01T00:00:01Z");
    assert_eq!(state.plan(&[merged(HOST)], &presenting()), Plan::default());
    // The Service is made anew.
    state.put(ratings(&near), "2026-01-02T00:00:00Z");
    let again = state.plan(&[merged(HOST)], &presenting());
    assert_eq!(targets(&again), ["-ServiceEntry shop/ratings.shop.svc.cluster.local"]);
    state.perform(&again, "");
    assert_eq!(state.plan(&[merged(HOST)], &presenting()).actions, first.actions);
}
