//! Extension configurations (ECDS): unlike what else a listener refers to, they may be missing for good.

use std::time::Duration;

use super::Fixture;
use crate::ResourceType::{Cluster, Endpoints, ExtensionConfig, Listener, Route};
use crate::configuration::Configuration;
use crate::delta::Received;
use crate::snapshot::State;
use crate::testing::{
    bad_extension, cluster, endpoints, extension, filtered_listener, http_listener, patient_listener,
};

fn waiting() -> Received {
    filtered_listener("l", "r", "guard", false)
}

/// In force with the filter.
fn guarded() -> Fixture {
    let mut fixture = Fixture::serving();
    assert!(fixture.apply(Listener, &[waiting()], &[]).is_empty(), "the version before serves");
    assert_eq!(fixture.subscriptions(), ["+ExtensionConfig guard"]);
    let events = fixture.apply(ExtensionConfig, &[extension("guard", "one")], &[]);
    assert_eq!(events, ["+ExtensionConfig guard", "+Listener l"]);
    fixture
}

#[test]
fn a_listener_waits_for_its_filter_and_lets_go_of_it() {
    let mut fixture = guarded();
    assert_eq!(fixture.apply(ExtensionConfig, &[extension("guard", "two")], &[]), Vec::<String>::new(), "same content");
    let events = fixture.apply(Listener, &[http_listener("l", "r")], &[]);
    assert_eq!(events, ["+Listener l", "-ExtensionConfig guard"]);
    assert_eq!(fixture.subscriptions(), ["-ExtensionConfig guard"]);
    assert!(fixture.configuration.cache().accepted(ExtensionConfig, "guard").is_none());
}

#[test]
fn a_default_that_needs_no_warming_serves_at_once() {
    let mut fixture = Fixture::serving();
    let events = fixture.apply(Listener, &[filtered_listener("l", "r", "guard", true)], &[]);
    assert_eq!(events, ["+Listener l"]);
    assert_eq!(fixture.subscriptions(), ["+ExtensionConfig guard"]);
    assert_eq!(fixture.apply(ExtensionConfig, &[extension("guard", "one")], &[]), ["+ExtensionConfig guard"]);
}

#[test]
fn a_refusal_ends_the_wait_and_a_later_one_keeps_the_last_good_version() {
    let mut fixture = Fixture::serving();
    fixture.apply(Listener, &[waiting()], &[]);
    let refused = fixture.configuration.apply(ExtensionConfig, &[bad_extension("guard")], &[], fixture.now);
    assert_eq!(&*refused[0].name, "guard");
    assert!(
        refused[0].reason.starts_with("typed_config: HTTP filter envoy.extensions.filters.http.lua"),
        "{refused:?}"
    );
    assert_eq!(fixture.events(), ["+Listener l"]);
    let events = fixture.apply(ExtensionConfig, &[extension("guard", "one")], &[]);
    assert_eq!(events, ["+ExtensionConfig guard"]);
    assert_eq!(fixture.configuration.apply(ExtensionConfig, &[bad_extension("guard")], &[], fixture.now).len(), 1);
    assert!(fixture.events().is_empty());
    assert!(fixture.configuration.cache().accepted(ExtensionConfig, "guard").is_some());
}

#[test]
fn a_removal_is_told_although_a_listener_refers_to_it() {
    let mut fixture = guarded();
    assert_eq!(fixture.apply(ExtensionConfig, &[], &["guard"]), ["-ExtensionConfig guard"]);
    assert_eq!(fixture.subscriptions(), Vec::<String>::new());
    // What is known to be missing holds up nothing.
    let mut changed = waiting();
    let listener_filters_timeout = b"\x7a\x02\x08\x07";
    changed.body = [&changed.body[..], listener_filters_timeout].concat().into();
    assert_eq!(fixture.apply(Listener, &[changed], &[]), ["+Listener l"]);
    let events = fixture.apply(ExtensionConfig, &[extension("guard", "one")], &[]);
    assert_eq!(events, ["+ExtensionConfig guard"]);
}

#[test]
fn waiting_for_a_filter_has_an_end_and_is_not_repeated() {
    let mut fixture = Fixture::serving();
    fixture.apply(Listener, &[waiting()], &[]);
    assert!(fixture.after(Duration::from_secs(14)).is_empty());
    assert_eq!(fixture.after(Duration::from_secs(1)), ["+Listener l"]);
    assert_eq!(fixture.apply(Listener, &[filtered_listener("l", "other", "guard", false)], &[]), Vec::<String>::new());
    let waiting: Vec<_> = fixture.configuration.waiting().map(|(_, missing)| missing.0).collect();
    assert_eq!(waiting, [Route], "not for the filter again");
}

#[test]
fn each_filter_is_waited_for_as_long_as_its_source_says() {
    for (timeout, millis) in [("1s", 1000), ("0.250s", 250), ("40s", 40_000), ("0s", 15_000)] {
        let mut fixture = Fixture::serving();
        fixture.apply(Listener, &[patient_listener("l", "r", "guard", timeout)], &[]);
        assert!(fixture.after(Duration::from_millis(millis - 1)).is_empty(), "{timeout}");
        assert_eq!(fixture.configuration.next_deadline(), Some(fixture.now + Duration::from_millis(1)), "{timeout}");
        assert_eq!(fixture.after(Duration::from_millis(1)), ["+Listener l"], "{timeout}");
    }
}

#[test]
fn what_was_kept_holds_the_filter() {
    let mut fixture = guarded();
    fixture.apply(Cluster, &[cluster("a")], &[]);
    fixture.apply(Endpoints, &[endpoints("a", &[1])], &[]);
    let kept = State::of(&fixture.configuration).resources;
    let mut restored = Fixture { configuration: Configuration::default(), now: fixture.now };
    restored.configuration.restore(kept, restored.now);
    let mut events = restored.events();
    events.sort();
    assert_eq!(events, ["+Cluster a", "+Endpoints a", "+ExtensionConfig guard", "+Listener l", "+Route r"]);
}
