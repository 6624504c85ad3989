use super::*;

const LIMITS: Limits = Limits {
    edges: 4,
    edges_per_tenant: 3,
    services_per_tenant: 5,
    announcement: 100,
    announced_per_tenant: 150,
    under_way_per_tenant: 0,
    announced: 180,
    edges_in_any_case: 0,
    announced_in_any_case: 0,
    lifetime: Duration::from_secs(60),
    memory: Duration::from_secs(600),
};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stamp(epoch: u64, sequence: u64) -> Stamp {
    Stamp { epoch, sequence }
}

/// A catalogue, and what is announced to it by edges of one tenant.
struct Known(Catalogue<&'static str>);

impl Known {
    fn new() -> Self {
        Self(Catalogue::new(LIMITS))
    }

    fn hears(&mut self, edge: &str, stamp: Stamp, value: &'static str, size: usize, now: u64) -> Merge {
        self.0.merge(edge, "acme", stamp, Announced { value, size, services: 1 }, at(now))
    }

    fn hears_of(&mut self, tenant: &str, edge: &str, size: usize, services: usize) -> Merge {
        self.0.merge(edge, tenant, stamp(1, 1), Announced { value: "", size, services }, at(0))
    }

    /// Edge, and whether it was announced.
    fn changes(&self, number: u64, tenant: Option<&str>) -> Vec<(String, bool)> {
        let changes = self.0.changes_after(number, tenant);
        changes.map(|change| (change.edge.to_string(), change.announced_at > number)).collect()
    }
}

#[test]
fn the_newest_of_an_edge_counts_whatever_comes_last() {
    let mut known = Known::new();
    assert_eq!(known.hears("a", stamp(1, 5), "old", 10, 0), Merge::New);
    assert_eq!(known.hears("a", stamp(1, 4), "older", 10, 0), Merge::Old);
    assert_eq!(known.hears("a", stamp(1, 5), "replayed", 10, 0), Merge::Known);
    assert_eq!(known.hears("a", stamp(2, 0), "restarted", 10, 0), Merge::New);
    let catalogue = known.0;
    assert!(!catalogue.is_new("a", stamp(1, 6)) && catalogue.is_new("a", stamp(2, 1)));
    assert_eq!(catalogue.get("a"), Some((stamp(2, 0), &"restarted")));
}

#[test]
fn what_is_not_confirmed_is_forgotten_but_nothing_older_is_believed_afterwards() {
    let mut known = Known::new();
    known.hears("a", stamp(1, 1), "a", 10, 0);
    known.hears("b", stamp(1, 1), "b", 10, 0);
    let mut confirm = |stamp| known.0.confirm("a", stamp, at(30), |value| *value = "confirmed");
    assert_eq!([confirm(stamp(1, 1)), confirm(stamp(1, 0))], [Merge::Known, Merge::Old]);
    assert_eq!((known.0.get("a"), known.0.deadline()), (Some((stamp(1, 1), &"confirmed")), Some(at(60))));
    assert_eq!(known.0.expire(at(60)), ["b".into()]);
    assert_eq!((known.0.get("a").is_some(), known.0.get("b").is_some()), (true, false));
    assert_eq!(known.hears("b", stamp(1, 0), "replayed", 10, 61), Merge::Old);
    // The same may come back: it was not heard for a while.
    assert_eq!(known.hears("b", stamp(1, 1), "again", 10, 61), Merge::New);
    assert_eq!(known.0.expire(at(121)), ["a".into(), "b".into()]);
    assert_eq!(known.0.expire(at(721)), []);
    let Catalogue { entries, used, tenants, changes, deadlines, .. } = known.0;
    assert_eq!((entries.len(), used, tenants.len(), changes.len()), (0, Used::default(), 0, 0));
    assert!(deadlines.is_empty());
}

#[test]
fn there_is_room_for_so_much() {
    let too_long = Merge::NoRoom("it is too long");
    let too_much = Merge::NoRoom("its tenant announces too much");
    let mut known = Known::new();
    assert_eq!(known.hears("a", stamp(1, 1), "", 101, 0), too_long);
    assert_eq!(known.hears("a", stamp(1, 1), "", 100, 0), Merge::New);
    assert_eq!(known.hears("b", stamp(1, 1), "", 60, 0), too_much);
    assert_eq!(known.hears("a", stamp(1, 2), "", 60, 0), Merge::New);
    assert_eq!(known.hears("b", stamp(1, 1), "", 60, 0), Merge::New);
    assert_eq!(known.hears("c", stamp(1, 1), "", 10, 0), Merge::New);
    assert_eq!(known.hears("d", stamp(1, 1), "", 10, 0), Merge::NoRoom("too many edges of its tenant"));
    assert_eq!(known.0.iter().count(), 3);
}

#[test]
fn a_tenant_cannot_take_the_room_of_others() {
    let mut known = Known::new();
    assert_eq!(known.hears_of("greedy", "a", 100, 5), Merge::New);
    assert_eq!(known.hears_of("greedy", "b", 1, 1), Merge::NoRoom("too many services of its tenant"));
    assert_eq!(known.hears_of("greedy", "b", 50, 0), Merge::New);
    assert_eq!(known.hears_of("greedy", "c", 0, 0), Merge::New);
    assert_eq!(known.hears_of("other", "x", 31, 5), Merge::NoRoom("all edges announce too much"));
    assert_eq!(known.hears_of("other", "x", 30, 5), Merge::New);
    assert_eq!(known.hears_of("third", "y", 0, 0), Merge::NoRoom("too many edges"));
    // Whoever takes less makes room.
    assert!(known.0.withdraw("a", at(0)) && !known.0.withdraw("a", at(0)));
    assert_eq!(known.hears_of("greedy", "b", 0, 0), Merge::Known);
    assert_eq!(known.hears("x", stamp(1, 2), "", 100, 0), Merge::New);
    assert_eq!(known.0.tenants.len(), 2);
}

#[test]
fn a_tenant_has_some_room_whatever_others_have() {
    let limits = Limits { edges_in_any_case: 1, announced_in_any_case: 20, ..LIMITS };
    let mut known = Known(Catalogue::new(limits));
    for (tenant, edge, size) in [("greedy", "a", 100), ("greedy", "b", 50), ("other", "x", 30), ("other", "y", 0)] {
        assert_eq!(known.hears_of(tenant, edge, size, 0), Merge::New);
    }
    assert_eq!(known.hears_of("third", "m", 21, 0), Merge::NoRoom("all edges announce too much"));
    assert_eq!(known.hears_of("third", "m", 20, 0), Merge::New);
    assert_eq!(known.hears_of("third", "n", 0, 0), Merge::NoRoom("too many edges"));
}

#[test]
fn what_has_changed_since_is_shown_and_nothing_else() {
    let mut known = Known::new();
    for (tenant, edge) in [("acme", "a"), ("acme", "b"), ("other", "x")] {
        known.hears_of(tenant, edge, 10, 1);
    }
    let shown = |edges: &[(&str, bool)]| edges.iter().map(|(edge, new)| ((*edge).to_owned(), *new)).collect::<Vec<_>>();
    assert_eq!(known.changes(0, None), shown(&[("a", true), ("b", true), ("x", true)]));
    assert_eq!(known.changes(0, Some("acme")), shown(&[("a", true), ("b", true)]));
    let seen = known.0.last_change();
    assert_eq!((known.changes(seen, None), known.changes(seen, Some("nobody"))), (vec![], vec![]));
    for (edge, now) in [("a", 1), ("x", 1), ("a", 2)] {
        assert_eq!(known.0.confirm(edge, stamp(1, 1), at(now), |_| {}), Merge::Known);
    }
    assert_eq!(known.changes(seen, None), shown(&[("x", false), ("a", false)]));
    assert_eq!(known.changes(seen, Some("acme")), shown(&[("a", false)]));
    // Who comes later hears of the whole.
    assert_eq!(known.changes(0, Some("acme")), shown(&[("b", true), ("a", true)]));
    known.hears("a", stamp(1, 2), "newer", 10, 2);
    known.0.withdraw("x", at(2));
    assert_eq!(known.changes(seen, None), shown(&[("a", true)]));
}

#[test]
fn what_is_hidden_is_known_again_when_it_is_confirmed_and_makes_room_for_others() {
    let mut known = Known::new();
    known.hears("a", stamp(1, 1), "a", 60, 0);
    known.hears("b", stamp(1, 1), "b", 60, 0);
    assert_eq!(known.0.expire(at(60)), ["a".into(), "b".into()]);
    assert_eq!((known.changes(0, None), known.0.iter().count(), known.0.heard("a")), (Vec::new(), 0, None));
    let mut confirm = |stamp| known.0.confirm("a", stamp, at(70), |value| *value = "confirmed");
    assert_eq!([confirm(stamp(1, 0)), confirm(stamp(1, 1))], [Merge::Old, Merge::New]);
    // Whoever came meanwhile has not heard of it.
    assert_eq!(known.changes(2, None), [("a".to_owned(), true)]);
    assert_eq!((known.0.get("a"), known.0.deadline()), (Some((stamp(1, 1), &"confirmed")), Some(at(130))));

    assert_eq!(known.hears("c", stamp(1, 1), "c", 60, 70), Merge::New);
    assert_eq!(known.0.kept("b"), None);
    assert!(!known.0.is_missing("b", "acme", stamp(1, 1), at(70)), "there is no room for it");
    assert!(known.0.withdraw("c", at(70)) && known.0.is_missing("b", "acme", stamp(1, 1), at(70)));
    assert_eq!(known.hears("b", stamp(1, 1), "b", 60, 70), Merge::New);
}

#[test]
fn what_was_not_taken_is_missing_when_it_would_be_taken() {
    let mut known = Known::new();
    known.hears("a", stamp(1, 1), "a", 60, 0);
    known.hears("b", stamp(1, 1), "b", 60, 0);
    assert_eq!(known.hears("a", stamp(1, 2), "more", 100, 0), Merge::NoRoom("its tenant announces too much"));
    assert!(!known.0.is_missing("a", "acme", stamp(1, 2), at(0)));
    // What is known stays so for as long as the edge confirms what there is no room for.
    assert_eq!(known.0.confirm("a", stamp(1, 2), at(50), |_| {}), Merge::Known);
    assert_eq!((known.0.expire(at(60)), known.0.get("a")), (vec!["b".into()], Some((stamp(1, 1), &"a"))));
    assert!(known.0.is_missing("a", "acme", stamp(1, 2), at(60)), "nobody is shown what b has announced");
    assert!(!known.0.is_missing("a", "acme", stamp(1, 1), at(60)));
    assert_eq!(known.hears("a", stamp(1, 2), "more", 100, 60), Merge::New);
    assert!(!known.0.is_missing("a", "acme", stamp(1, 2), at(60)));
    // Nobody has told what is newer than that: there was no room where it came from.
    assert!(!known.0.is_missing("a", "acme", stamp(1, 3), at(60)));

    known.0.refuse("a", "acme", stamp(1, 3), Refusal::ForNow, at(60));
    assert!(known.0.is_missing("a", "acme", stamp(1, 3), at(60)));
    known.0.asked("a");
    assert!(!known.0.is_missing("a", "acme", stamp(1, 3), at(60)));
    assert!(known.0.is_missing("x", "acme", stamp(1, 1), at(60)), "nothing is known of it");
    known.0.refuse("x", "acme", stamp(1, 1), Refusal::ForGood, at(60));
    // For as long as it confirms that.
    for now in [600, 1100] {
        known.0.expire(at(now));
        assert!(!known.0.is_missing("x", "acme", stamp(1, 1), at(now)));
    }
    known.0.expire(at(1700));
    assert!(known.0.is_missing("x", "acme", stamp(1, 1), at(1700)));
}
