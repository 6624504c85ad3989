use super::*;

const CLUSTER: &str = ResourceType::Cluster.type_url();
const ENDPOINTS: &str = ResourceType::Endpoints.type_url();

fn name(text: &str) -> Name {
    text.into()
}

fn received(text: &str, body: &'static [u8]) -> Received {
    Received { name: name(text), body: Bytes::from_static(body), ..Received::default() }
}

fn nothing_held(_: ResourceType) -> Vec<Held> {
    Vec::new()
}

fn response(type_url: &str, nonce: &str, resources: Vec<Received>) -> Response {
    Response { type_url: type_url.into(), nonce: nonce.into(), resources, removed: Vec::new() }
}

#[test]
fn a_stream_opens_with_clusters_and_listeners_and_one_node() {
    let mut protocol = Protocol::default();
    let requests = protocol.open(nothing_held);
    let urls: Vec<_> = requests.iter().map(|request| (request.type_url, request.with_node)).collect();
    assert_eq!(urls, [(CLUSTER, true), (ResourceType::Listener.type_url(), false)]);
    assert!(requests.iter().all(|request| request.subscribe.is_empty() && request.nonce.is_empty()));
}

#[test]
fn types_are_asked_for_in_order_and_named_ones_by_name() {
    let mut protocol = Protocol::default();
    protocol.subscribe(ResourceType::Secret, &name("kubernetes://a"));
    protocol.subscribe(ResourceType::Route, &name("http.80"));
    protocol.subscribe(ResourceType::Endpoints, &name("a"));
    let requests = protocol.open(nothing_held);
    let urls: Vec<_> = requests.iter().map(|request| request.type_url).collect();
    let order = [
        ResourceType::Cluster,
        ResourceType::Endpoints,
        ResourceType::Listener,
        ResourceType::Route,
        ResourceType::Secret,
    ];
    assert_eq!(urls, order.map(ResourceType::type_url));
    assert_eq!(requests[1].subscribe, [name("a")]);
}

#[test]
fn a_reconnect_lists_what_is_held_but_for_the_refused() {
    let mut protocol = Protocol::default();
    protocol.subscribe(ResourceType::Endpoints, &name("a"));
    protocol.subscribe(ResourceType::Endpoints, &name("b"));
    let held = |kind| {
        let item = |text: &str, refused| Held { name: name(text), version: "7".into(), refused };
        match kind {
            ResourceType::Cluster => vec![item("x", false), item("y", true)],
            ResourceType::Endpoints => vec![item("a", false), item("b", true), item("not wanted", false)],
            _ => Vec::new(),
        }
    };
    let requests = protocol.open(held);
    assert_eq!(requests[0].initial_versions, [(name("x"), "7".into())]);
    assert_eq!(requests[1].initial_versions, [(name("a"), "7".into())]);
    assert_eq!(requests[1].subscribe, [name("a"), name("b")]);

    // The server was not told of `y`: had it still been there, it would have come.
    let delivery = protocol.receive(response(CLUSTER, "1", vec![received("x", b"1")])).unwrap();
    assert_eq!(delivery.removed, [name("y")]);
    let delivery = protocol.receive(response(CLUSTER, "2", vec![])).unwrap();
    assert!(delivery.removed.is_empty(), "only the first response tells");
}

#[test]
fn an_ack_carries_the_nonce_and_nothing_else() {
    let mut protocol = Protocol::default();
    let _ = protocol.open(nothing_held);
    let delivery = protocol.receive(response(CLUSTER, "n1", vec![received("x", b"1")])).unwrap();
    protocol.subscribe(ResourceType::Endpoints, &name("x"));
    let ack = protocol.conclude(delivery.receipt, 1, &[]).unwrap();
    assert_eq!(ack, Request { type_url: CLUSTER, nonce: "n1".into(), ..Request::default() });
    let asked = protocol.flush();
    assert_eq!(asked, [Request { type_url: ENDPOINTS, subscribe: vec![name("x")], ..Request::default() }]);
    assert!(protocol.flush().is_empty(), "nothing is asked for twice");
}

#[test]
fn a_nack_names_every_refused_resource_within_bounds() {
    let mut protocol = Protocol::default();
    let _ = protocol.open(nothing_held);
    let refused = |count: usize| -> Vec<Refused> {
        let one = |index| Refused { name: name(&format!("c{index}")), reason: "lb_policy: not served".into() };
        (0..count).map(one).collect()
    };
    let delivery = protocol.receive(response(CLUSTER, "n1", vec![])).unwrap();
    let error = protocol.conclude(delivery.receipt, 5, &refused(2)).unwrap().error.unwrap();
    assert_eq!(
        error,
        "2 of 5 cluster resources refused in whole or in part, the rest applied: \
         c0: lb_policy: not served; c1: lb_policy: not served"
    );

    let delivery = protocol.receive(response(CLUSTER, "n1b", vec![])).unwrap();
    let twice = [refused(1), refused(1)].concat();
    let error = protocol.conclude(delivery.receipt, 1, &twice).unwrap().error.unwrap();
    assert!(error.starts_with("1 of 1 cluster resource refused"), "{error}");

    let delivery = protocol.receive(response(CLUSTER, "n2", vec![])).unwrap();
    let error = protocol.conclude(delivery.receipt, 5000, &refused(5000)).unwrap().error.unwrap();
    assert!(error.len() <= 16 * 1024 && error.ends_with("more"), "{} bytes", error.len());
}

#[test]
fn an_answer_does_not_outlive_its_stream() {
    let mut protocol = Protocol::default();
    let _ = protocol.open(nothing_held);
    let old = protocol.receive(response(CLUSTER, "n1", vec![])).unwrap();
    protocol.close();
    let _ = protocol.open(nothing_held);
    assert_eq!(protocol.conclude(old.receipt, 0, &[]), None);
}

#[test]
fn only_net_changes_are_sent() {
    let mut protocol = Protocol::default();
    protocol.subscribe(ResourceType::Route, &name("kept"));
    let _ = protocol.open(nothing_held);
    protocol.subscribe(ResourceType::Route, &name("brief"));
    protocol.unsubscribe(ResourceType::Route, &name("brief"));
    assert!(protocol.flush().is_empty());

    // What was given up was forgotten: it has to come again, and istiod sends only what is new in a subscription.
    protocol.unsubscribe(ResourceType::Route, &name("kept"));
    protocol.subscribe(ResourceType::Route, &name("kept"));
    let [first, second] = protocol.flush().try_into().unwrap();
    assert_eq!((first.unsubscribe, second.subscribe), (vec![name("kept")], vec![name("kept")]));
    protocol.unsubscribe(ResourceType::Route, &name("kept"));
    assert_eq!(protocol.flush()[0].unsubscribe, [name("kept")]);
    // What was under way when we unsubscribed is answered, and dropped.
    let late = protocol.receive(response(ResourceType::Route.type_url(), "n", vec![received("kept", b"1")])).unwrap();
    assert_eq!((late.resources.len(), late.unwanted), (0, 1));
    assert!(protocol.conclude(late.receipt, 0, &[]).is_some());
}

#[test]
fn of_duplicates_the_last_counts_and_a_resource_beats_its_removal() {
    let mut protocol = Protocol::default();
    let _ = protocol.open(nothing_held);
    let mut twice = response(CLUSTER, "n", vec![received("x", b"1"), received("y", b"1"), received("x", b"2")]);
    twice.removed = vec!["x".into(), "z".into()];
    let delivery = protocol.receive(twice).unwrap();
    assert_eq!(delivery.resources, [received("y", b"1"), received("x", b"2")]);
    assert_eq!(delivery.removed, [name("z")]);
}

#[test]
fn a_type_that_was_never_asked_for_is_an_error() {
    let mut protocol = Protocol::default();
    let _ = protocol.open(nothing_held);
    for type_url in ["type.googleapis.com/istio.workload.Address", ENDPOINTS] {
        let error = protocol.receive(response(type_url, "n", vec![])).unwrap_err();
        assert_eq!(error, UnexpectedType(type_url.into()));
    }
}

#[test]
fn long_subscriptions_are_spread_over_requests_that_istiod_can_receive() {
    let mut protocol = Protocol::default();
    let names: Vec<Name> =
        (0..50_000).map(|index| name(&format!("outbound|8080||service-{index}.namespace.svc.cluster.local"))).collect();
    for name in &names {
        protocol.subscribe(ResourceType::Endpoints, name);
    }
    let requests = protocol.open(|_| {
        names
            .iter()
            .map(|name| Held { name: name.clone(), version: "2026-11-20T00:00:00Z/12".into(), refused: false })
            .collect()
    });
    let size = |request: &Request| -> usize {
        let names = request.subscribe.iter().map(|name| name.len() + 4);
        let versions = request.initial_versions.iter().map(|(name, version)| name.len() + version.len() + 10);
        names.chain(versions).sum()
    };
    assert!(
        requests.iter().all(|request| size(request) < 3 << 20),
        "{:?}",
        requests.iter().map(size).collect::<Vec<_>>()
    );
    let endpoints: Vec<_> = requests.iter().filter(|request| request.type_url == ENDPOINTS).collect();
    assert!(endpoints.len() > 1);
    assert_eq!(endpoints.iter().map(|request| request.subscribe.len()).sum::<usize>(), names.len());
    assert!(endpoints[1..].iter().all(|request| request.initial_versions.is_empty()));
}
