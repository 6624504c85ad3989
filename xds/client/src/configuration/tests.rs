mod extensions;

use std::time::{Duration, Instant};

use super::*;
use crate::testing::{
    bad_cluster, certificate, cluster, cluster_with, endpoints, http_listener, https_listener, route, summary,
    tcp_listener,
};

use ResourceType::{Cluster, Endpoints, Listener, Route, Secret};

/// A configuration, and a server that answers nothing by itself.
struct Fixture {
    configuration: Configuration,
    now: Instant,
}

impl Fixture {
    fn new() -> Self {
        Self { configuration: Configuration::default(), now: Instant::now() }
    }

    fn apply(&mut self, kind: ResourceType, resources: &[Received], removed: &[&str]) -> Vec<String> {
        let removed: Vec<Name> = removed.iter().map(|name| Name::from(*name)).collect();
        let refused = self.configuration.apply(kind, resources, &removed, self.now);
        assert_eq!(refused, [], "{kind}");
        self.events()
    }

    fn events(&mut self) -> Vec<String> {
        summary(&self.configuration.take_events())
    }

    fn subscriptions(&mut self) -> Vec<String> {
        let text = |change: &Change| {
            let sign = if change.needed { '+' } else { '-' };
            format!("{sign}{:?} {}", change.target.0, change.target.1)
        };
        self.configuration.take_subscriptions().iter().map(text).collect()
    }

    fn after(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.configuration.tick(self.now);
        self.events()
    }

    /// A listener with one route to cluster `a`, in force.
    fn serving() -> Self {
        let mut fixture = Self::new();
        fixture.apply(Cluster, &[cluster("a"), cluster("b")], &[]);
        fixture.apply(Listener, &[http_listener("l", "r")], &[]);
        fixture.apply(Route, &[route("r", &["a"])], &[]);
        fixture.apply(Endpoints, &[endpoints("a", &[1])], &[]);
        fixture.subscriptions();
        fixture
    }
}

#[test]
fn nothing_is_told_before_all_it_refers_to() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.apply(Cluster, &[cluster("a"), cluster("b")], &[]), ["synced Cluster"], "known, but not needed");
    assert!(fixture.apply(Listener, &[http_listener("l", "r")], &[]).is_empty());
    assert_eq!(fixture.subscriptions(), ["+Route r"]);
    assert!(fixture.apply(Route, &[route("r", &["a", "unknown"])], &[]).is_empty());
    assert_eq!(fixture.subscriptions(), ["+Endpoints a"]);
    let waiting: Vec<_> = fixture.configuration.waiting().map(|(key, missing)| (key.0, missing.0)).collect();
    assert_eq!(waiting, [(Cluster, Endpoints), (Listener, Route), (Route, Cluster)]);
    assert_eq!(
        fixture.apply(Endpoints, &[endpoints("a", &[1])], &[]),
        ["+Endpoints a", "+Cluster a", "+Route r", "+Listener l", "synced Listener"]
    );
}

#[test]
fn what_is_sent_again_is_no_event() {
    let mut fixture = Fixture::serving();
    assert!(fixture.apply(Listener, &[http_listener("l", "r")], &[]).is_empty());
    assert!(fixture.apply(Cluster, &[cluster("a"), cluster("b")], &[]).is_empty());
    // Other bytes, same content: protobuf takes the last of several values of a field.
    let mut listener = http_listener("l", "r");
    listener.body = [&listener.body[..], &listener.body[..3]].concat().into();
    assert_eq!(&listener.body[..3], [0x0a, 1, b'l']);
    assert!(fixture.apply(Listener, &[listener], &[]).is_empty());
    assert_eq!(fixture.apply(Cluster, &[cluster_with("a", "3s"), cluster_with("b", "3s")], &[]), ["+Cluster a"]);
}

#[test]
fn a_bad_resource_is_refused_alone_and_the_last_good_one_stays() {
    let mut fixture = Fixture::serving();
    for attempt in 0..2 {
        let resources = [bad_cluster("a"), cluster_with("b", "4s"), Received::default()];
        let refused = fixture.configuration.apply(Cluster, &resources, &[], fixture.now);
        assert_eq!(refused.len(), 2, "attempt {attempt}: {refused:?}");
        assert_eq!(&*refused[0].name, "a");
        assert!(refused[0].reason.starts_with("health_checks: "), "{}", refused[0].reason);
        assert_eq!(refused[1].reason, "name: is missing");
        assert!(fixture.events().is_empty());
    }
    assert_eq!(fixture.configuration.cache().accepted(Cluster, "a").unwrap().body, cluster("a").body);
    assert_eq!(fixture.configuration.cache().accepted(Cluster, "b").unwrap().body, cluster_with("b", "4s").body);
    let held = fixture.configuration.cache().held(Cluster);
    assert!(held.iter().any(|held| &*held.name == "a" && held.refused));
    assert_eq!(fixture.apply(Cluster, &[cluster_with("a", "5s")], &[]), ["+Cluster a"]);
}

#[test]
fn a_name_that_is_not_the_resources_own_is_refused() {
    let mut fixture = Fixture::new();
    let mut misnamed = cluster("a");
    misnamed.name = "b".into();
    let refused = fixture.configuration.apply(Cluster, &[misnamed], &[], fixture.now);
    assert_eq!(refused[0].reason, "name: is \"a\" in the resource itself");
    let garbage = Received { name: "c".into(), version: "".into(), body: "\u{1}garbage".into() };
    assert_eq!(fixture.configuration.apply(Cluster, &[garbage], &[], fixture.now).len(), 1);
}

#[test]
fn a_route_moves_to_a_new_cluster_without_a_gap() {
    let mut fixture = Fixture::serving();
    assert!(fixture.apply(Route, &[route("r", &["b"])], &[]).is_empty(), "b has no endpoints yet, a serves");
    assert_eq!(fixture.subscriptions(), ["+Endpoints b"]);
    // A full resend of what is in force changes nothing.
    assert!(fixture.apply(Listener, &[http_listener("l", "r")], &[]).is_empty());
    assert_eq!(
        fixture.apply(Endpoints, &[endpoints("b", &[2])], &[]),
        ["+Endpoints b", "+Cluster b", "+Route r", "-Cluster a", "-Endpoints a"]
    );
    assert_eq!(fixture.subscriptions(), ["-Endpoints a"]);
    assert!(fixture.configuration.cache().accepted(Cluster, "a").is_some(), "it stays known");
    assert!(fixture.configuration.cache().accepted(Endpoints, "a").is_none());
}

#[test]
fn a_route_that_moves_back_meanwhile_loses_nothing() {
    let mut fixture = Fixture::serving();
    fixture.apply(Route, &[route("r", &["b"])], &[]);
    assert_eq!(fixture.apply(Route, &[route("r", &["a"])], &[]), ["+Route r"]);
    assert_eq!(fixture.subscriptions(), ["+Endpoints b", "-Endpoints b"]);
    assert_eq!(fixture.after(Duration::from_secs(60)), Vec::<String>::new());
}

#[test]
fn waiting_has_an_end() {
    let mut fixture = Fixture::serving();
    fixture.apply(Route, &[route("r", &["b"])], &[]);
    assert!(fixture.after(Duration::from_secs(14)).is_empty());
    let deadline = fixture.configuration.next_deadline().unwrap();
    assert!(deadline > fixture.now);
    assert_eq!(fixture.after(Duration::from_secs(1)), ["+Cluster b", "+Route r", "-Cluster a", "-Endpoints a"]);
    assert_eq!(fixture.configuration.next_deadline(), None);
}

#[test]
fn a_removed_cluster_stays_as_long_as_it_is_referred_to() {
    let mut fixture = Fixture::serving();
    assert!(fixture.apply(Cluster, &[], &["a", "b"]).is_empty());
    assert!(fixture.configuration.cache().accepted(Cluster, "b").is_none(), "nothing refers to b");
    assert!(fixture.configuration.cache().held(Cluster).is_empty(), "the server has neither");
    // It comes back as it was.
    assert!(fixture.apply(Cluster, &[cluster("a"), cluster("b")], &[]).is_empty());
    assert_eq!(fixture.configuration.cache().held(Cluster).len(), 2);
    // It goes again, and then the route lets go of it.
    fixture.apply(Cluster, &[], &["a"]);
    fixture.apply(Route, &[route("r", &["b"])], &[]);
    let events = fixture.apply(Endpoints, &[endpoints("b", &[2])], &[]);
    assert_eq!(events, ["+Endpoints b", "+Cluster b", "+Route r", "-Cluster a", "-Endpoints a"]);
    assert!(fixture.configuration.cache().accepted(Cluster, "a").is_none());
}

#[test]
fn a_removed_cluster_without_endpoints_is_gone() {
    for cluster_first in [true, false] {
        let mut fixture = Fixture::serving();
        let mut steps: [fn(&mut Fixture) -> Vec<String>; 2] = [
            |fixture| fixture.apply(Cluster, &[], &["a"]),
            |fixture| fixture.apply(Endpoints, &[endpoints("a", &[])], &[]),
        ];
        if !cluster_first {
            steps.reverse();
        }
        let mut events: Vec<String> = steps.iter().flat_map(|step| step(&mut fixture)).collect();
        events.sort();
        assert_eq!(events, ["+Endpoints a", "-Cluster a", "-Endpoints a"], "cluster first: {cluster_first}");
        // It comes back: everything is told again.
        assert!(fixture.apply(Cluster, &[cluster("a")], &[]).is_empty());
        assert_eq!(fixture.apply(Endpoints, &[endpoints("a", &[3])], &[]), ["+Endpoints a", "+Cluster a"]);
    }
}

#[test]
fn a_removed_listener_takes_everything_with_it() {
    let mut fixture = Fixture::serving();
    let events = fixture.apply(Listener, &[], &["l"]);
    assert_eq!(events, ["-Listener l", "-Route r", "-Cluster a", "-Endpoints a"]);
    assert_eq!(fixture.subscriptions(), ["-Route r", "-Endpoints a"]);
}

#[test]
fn route_configurations_and_secrets_that_the_server_removes_stay_while_they_are_needed() {
    let mut fixture = Fixture::serving();
    fixture.apply(Listener, &[https_listener("l", "r", "kubernetes://web")], &[]);
    assert_eq!(
        fixture.apply(Secret, &[certificate("kubernetes://web")], &[]),
        ["+Secret kubernetes://web", "+Listener l"]
    );
    assert!(fixture.apply(Route, &[], &["r"]).is_empty());
    assert!(fixture.apply(Secret, &[], &["kubernetes://web"]).is_empty());
    assert_eq!(fixture.apply(Listener, &[http_listener("l", "r")], &[]), ["+Listener l", "-Secret kubernetes://web"]);
}

#[test]
fn a_missing_secret_holds_up_a_listener_for_a_moment() {
    let mut fixture = Fixture::serving();
    assert!(fixture.apply(Listener, &[https_listener("l", "r", "kubernetes://missing")], &[]).is_empty());
    assert_eq!(fixture.subscriptions(), ["+Secret kubernetes://missing"]);
    assert!(fixture.after(Duration::from_millis(1900)).is_empty());
    assert_eq!(fixture.after(Duration::from_millis(100)), ["+Listener l"], "its chain waits alone");
    assert_eq!(fixture.apply(Secret, &[certificate("kubernetes://missing")], &[]), ["+Secret kubernetes://missing"]);
}

#[test]
fn a_tcp_listener_refers_to_its_cluster() {
    let mut fixture = Fixture::new();
    fixture.apply(Cluster, &[cluster("db")], &[]);
    assert!(fixture.apply(Listener, &[tcp_listener("l", "db")], &[]).is_empty());
    let events = fixture.apply(Endpoints, &[endpoints("db", &[5432])], &[]);
    assert_eq!(events, ["+Endpoints db", "+Cluster db", "+Listener l", "synced Listener"]);
    // A cluster that is not known (yet) holds up nothing: connections to it fail as such.
    assert_eq!(fixture.apply(Listener, &[tcp_listener("m", "nowhere")], &[]), ["+Listener m"]);
    assert!(fixture.apply(Cluster, &[cluster("nowhere")], &[]).is_empty());
    assert_eq!(
        fixture.apply(Endpoints, &[endpoints("nowhere", &[1])], &[]),
        ["+Endpoints nowhere", "+Cluster nowhere"]
    );
}

#[test]
fn what_was_kept_is_told_at_once_and_unused_parts_are_dropped() {
    let kept = vec![
        (Cluster, cluster("a")),
        (Endpoints, endpoints("a", &[1])),
        (Endpoints, endpoints("unused", &[1])),
        (Listener, https_listener("l", "r", "kubernetes://web")),
        (Route, route("r", &["a"])),
        (Route, route("unused", &["bad"])),
        (Cluster, bad_cluster("bad")),
        (Listener, tcp_listener("m", "bad")),
        (Listener, bad_cluster("not a listener")),
    ];
    let mut fixture = Fixture::new();
    fixture.configuration.restore(kept, fixture.now);
    assert_eq!(fixture.events(), ["+Endpoints a", "+Cluster a", "+Listener m", "+Route r", "+Listener l"]);
    assert!(fixture.configuration.cache().held(Cluster).iter().all(|held| &*held.name == "a"));
    assert_eq!(fixture.configuration.cache().held(Listener).len(), 2);
    assert_eq!(fixture.subscriptions(), ["+Route r", "+Secret kubernetes://web", "+Endpoints a"]);
    assert!(fixture.configuration.cache().accepted(Endpoints, "unused").is_none());
    // Then the server sends the same.
    assert_eq!(fixture.apply(Cluster, &[cluster("a")], &[]), ["synced Cluster"]);
    let listeners = [https_listener("l", "r", "kubernetes://web"), tcp_listener("m", "bad")];
    assert_eq!(fixture.apply(Listener, &listeners, &[]), ["synced Listener"]);
}

#[test]
fn a_state_that_was_kept_incomplete_is_told_as_well() {
    let mut fixture = Fixture::new();
    fixture.configuration.restore(vec![(Cluster, cluster("a")), (Listener, tcp_listener("l", "a"))], fixture.now);
    assert_eq!(fixture.events(), ["+Cluster a", "+Listener l"]);
}

#[test]
fn a_whole_set_removes_what_is_not_in_it() {
    let mut fixture = Fixture::serving();
    assert!(fixture.configuration.replace(Listener, &[tcp_listener("m", "a")], fixture.now).is_empty());
    assert_eq!(fixture.events(), ["+Listener m", "-Listener l", "-Route r"]);
}

#[test]
fn ten_thousand_clusters_and_routes() {
    let names: Vec<String> =
        (0..10_000).map(|index| format!("outbound|80||service-{index}.test.svc.cluster.local")).collect();
    let mut fixture = Fixture::new();
    let clusters: Vec<Received> = names.iter().map(|name| cluster(name)).collect();
    fixture.apply(Cluster, &clusters, &[]);
    fixture.apply(Listener, &[http_listener("l", "r")], &[]);
    let targets: Vec<&str> = names.iter().map(String::as_str).collect();
    fixture.apply(Route, &[route("r", &targets)], &[]);
    let all: Vec<Received> = names.iter().map(|name| endpoints(name, &[1])).collect();
    assert_eq!(fixture.apply(Endpoints, &all, &[]).len(), 2 * names.len() + 3);
    fixture.subscriptions();
    // One route less is one cluster less, and no more.
    let events = fixture.apply(Route, &[route("r", &targets[1..])], &[]);
    assert_eq!(events, ["+Route r".to_owned(), format!("-Cluster {}", names[0]), format!("-Endpoints {}", names[0])]);
    assert_eq!(fixture.subscriptions(), [format!("-Endpoints {}", names[0])]);
}
