//! Which route of a virtual host a request takes, and what it says about the request.

use std::time::Duration;

use crate::support::{
    Request, adds, equals, exact, forward, found, host, prefix, regex, reply, route, separated, table, weighted,
};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use selvedge_route::{Action, RouteTable};
use xds_model::matcher::{FullRegex, HeaderCondition, HeaderMatcher, QueryCondition, QueryMatcher};
use xds_model::matcher::{StringMatcher, StringPattern};
use xds_model::route::{PathMatch, RetryOn, RetryPolicy, Route, RouteAction};

fn compile(routes: Vec<Route>) -> RouteTable {
    RouteTable::compile(&table(vec![host("h", &["*"], routes)])).unwrap()
}

fn takes(route: Route, request: &Request) -> bool {
    found(&compile(vec![route]), request).is_some()
}

#[test]
fn paths() {
    let cases = [
        (prefix("/a"), "/a", true),
        (prefix("/a"), "/ab?x", true),
        (prefix("/a"), "/A", false),
        (prefix("/a?"), "/a?", false),
        (exact("/a"), "/a", true),
        (exact("/a"), "/a?b=c", true),
        (exact("/a"), "/a/", false),
        (exact("/a"), "/ab", false),
        (separated("/a"), "/a", true),
        (separated("/a"), "/a?q", true),
        (separated("/a"), "/a/b", true),
        (separated("/a"), "/ab", false),
        (regex("/a[0-9]"), "/a1", true),
        (regex("/a[0-9]"), "/a1?b", true),
        (regex("/a[0-9]"), "/a12", false),
        (regex("/a|/b"), "/bc", false),
        (regex(".*\\?.*"), "/a?b", false),
    ];
    for (matches, path, expected) in cases {
        let label = format!("{matches:?} on {path}");
        assert_eq!(takes(reply("r", matches), &Request::get("h", path)), expected, "{label}");
    }
}

#[test]
fn case_counts_only_where_it_should() {
    let cases = [
        (prefix("/Ab"), "/aBc", true),
        (exact("/Ab"), "/aB", true),
        (separated("/Ab"), "/aB/c", true),
        (separated("/Ab"), "/aBc", false),
        (regex("/Ab"), "/ab", false),
    ];
    for (matches, path, expected) in cases {
        let mut route = reply("r", matches);
        route.matches.case_sensitive = false;
        assert_eq!(takes(route, &Request::get("h", path)), expected, "{path}");
    }
}

fn header(name: &str, condition: HeaderCondition) -> HeaderMatcher {
    HeaderMatcher { name: name.into(), condition, invert: false, treat_missing_as_empty: false }
}

#[test]
fn headers() {
    let value = |text: &str| HeaderCondition::Value(equals(text));
    let range = HeaderCondition::Range { start: -10, end: 0 };
    let present = HeaderCondition::Present(true);
    let absent = HeaderCondition::Present(false);
    let request = Request::get("Host.com:80", "/p?q").with("a", "1").with("two", "x").with("two", "y").with("n", "-1");
    let mut request = request.with("zero", "0").with("empty", "");
    request.scheme = "https".into();
    // condition, holds, holds inverted, holds inverted with a missing one taken as empty
    let cases = [
        (header("a", value("1")), true, false, false),
        (header("a", value("2")), false, true, true),
        // Each line of a repeated header is looked at, and a list of them is no value.
        (header("two", value("x,y")), false, true, true),
        (header("two", value("x")), true, false, false),
        (header("two", value("y")), true, false, false),
        (header("none", value("x")), false, false, true),
        (header("none", value("")), false, false, false),
        (header("a", present.clone()), true, false, false),
        (header("empty", present.clone()), true, false, false),
        (header("none", present), false, true, false),
        (header("a", absent.clone()), false, true, true),
        (header("none", absent), true, false, true),
        (header("n", range.clone()), true, false, false),
        (header("zero", range.clone()), false, true, true),
        (header("two", range.clone()), false, true, true),
        (header("none", range), false, false, true),
        (header(":method", value("GET")), true, false, false),
        (header(":path", value("/p?q")), true, false, false),
        (header(":scheme", value("https")), true, false, false),
        (header(":authority", value("Host.com:80")), true, false, false),
        (header("host", value("Host.com:80")), true, false, false),
    ];
    for (matcher, plain, inverted, inverted_as_empty) in cases {
        for (invert, treat_missing_as_empty, expected) in
            [(false, false, plain), (true, false, inverted), (true, true, inverted_as_empty)]
        {
            let mut route = reply("r", prefix("/"));
            route.matches.headers = vec![HeaderMatcher { invert, treat_missing_as_empty, ..matcher.clone() }];
            let label = format!("{:?}", route.matches.headers);
            assert_eq!(takes(route, &request), expected, "{label}");
        }
    }
}

#[test]
fn string_conditions_of_headers() {
    let request = Request::get("h", "/").with("a", "Hello");
    let pattern = |pattern, ignore_case| StringMatcher { pattern, ignore_case };
    let cases = [
        (pattern(StringPattern::Prefix("Hel".into()), false), true),
        (pattern(StringPattern::Prefix("hel".into()), false), false),
        (pattern(StringPattern::Prefix("hel".into()), true), true),
        (pattern(StringPattern::Suffix("llo".into()), false), true),
        (pattern(StringPattern::Contains("ELL".into()), true), true),
        (pattern(StringPattern::Regex(FullRegex::new("H.*o").unwrap()), false), true),
        (pattern(StringPattern::Regex(FullRegex::new("H.*l").unwrap()), false), false),
    ];
    for (matcher, expected) in cases {
        let mut route = reply("r", prefix("/"));
        route.matches.headers = vec![header("a", HeaderCondition::Value(matcher))];
        let label = format!("{:?}", route.matches.headers);
        assert_eq!(takes(route, &request), expected, "{label}");
    }
}

#[test]
fn query_parameters() {
    let value = |text: &str| QueryCondition::Value(equals(text));
    let cases = [
        ("/?a=1", "a", value("1"), true),
        ("/?b=2&a=1", "a", value("1"), true),
        ("/?a=2&a=1", "a", value("1"), false),
        ("/?a=%31", "a", value("1"), false),
        ("/?A=1", "a", value("1"), false),
        ("/?aa=1", "a", value("1"), false),
        ("/?a", "a", value(""), true),
        ("/?a=1=2", "a", value("1=2"), true),
        ("/?a", "a", QueryCondition::Present(true), true),
        ("/", "a", QueryCondition::Present(true), false),
        ("/", "a", QueryCondition::Present(false), true),
        ("/?a=", "a", QueryCondition::Present(false), false),
        ("/", "a", value(""), false),
        ("/?", "", QueryCondition::Present(true), false),
    ];
    for (path, name, condition, expected) in cases {
        let mut route = reply("r", prefix("/"));
        route.matches.query = vec![QueryMatcher { name: name.into(), condition }];
        let label = format!("{:?} on {path}", route.matches.query);
        assert_eq!(takes(route, &Request::get("h", path)), expected, "{label}");
    }
}

#[test]
fn all_conditions_must_hold_and_the_first_route_wins() {
    let mut both = reply("both", prefix("/a"));
    both.matches.headers = vec![header("x", HeaderCondition::Present(true))];
    both.matches.query = vec![QueryMatcher { name: "q".into(), condition: QueryCondition::Present(true) }];
    let table =
        compile(vec![both, reply("first", prefix("/a")), reply("second", prefix("/a")), reply("last", prefix("/"))]);
    assert_eq!(found(&table, &Request::get("h", "/a?q").with("x", "1")), Some("both"));
    assert_eq!(found(&table, &Request::get("h", "/a").with("x", "1")), Some("first"));
    assert_eq!(found(&table, &Request::get("h", "/b")), Some("last"));
    assert_eq!(found(&table, &Request::get("h", "*")), None);
}

#[test]
fn a_position_finds_the_route_again() {
    let table = compile(vec![reply("a", exact("/a")), reply("b", exact("/b"))]);
    let host = table.virtual_host(b"h").unwrap();
    let position = table.find(host, &Request::get("h", "/b")).unwrap().position();
    assert_eq!(&*table.at(position).unwrap().route.name, "b");
    let smaller = compile(vec![reply("a", exact("/a"))]);
    assert!(smaller.at(position).is_none(), "a position of another table is no panic");
}

#[test]
fn connect_has_no_path_and_matches_nothing_but_its_own_routes() {
    let any = || regex(".*");
    let connect = Request { method: "CONNECT".to_owned(), ..Request::get("h", "") };
    let table = compile(vec![
        reply("empty", PathMatch::Prefix(String::new())),
        reply("any", any()),
        reply("connect", PathMatch::Connect),
    ]);
    assert_eq!(found(&table, &connect), Some("connect"));
    let table = compile(vec![reply("connect", PathMatch::Connect), reply("any", any())]);
    assert_eq!(found(&table, &Request::get("h", "/")), Some("any"));
    let many = (0..30).map(|number| reply(&number.to_string(), exact(&format!("/{number}"))));
    let table = compile(many.chain([reply("connect", PathMatch::Connect)]).collect());
    assert_eq!(found(&table, &connect), Some("connect"));
}

/// Whether a path condition of the random test holds, by definition.
fn slow_match(route: &Route, path: &str) -> bool {
    let fold = |text: &str| if route.matches.case_sensitive { text.to_owned() } else { text.to_ascii_lowercase() };
    let folded = fold(path);
    match &route.matches.path {
        PathMatch::Prefix(text) => folded.starts_with(&fold(text)),
        PathMatch::Exact(text) => folded == fold(text),
        PathMatch::PathSeparatedPrefix(text) => {
            folded.strip_prefix(&fold(text)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        PathMatch::Regex(regex) => regex.is_match(path.as_bytes()),
        PathMatch::Connect => path.is_empty(),
    }
}

#[test]
fn many_routes_are_found_in_order() {
    let mut random = SmallRng::seed_from_u64(11);
    let segments = ["", "a", "ab", "b", "B", "a-b", "c.d"];
    let path = |random: &mut SmallRng| {
        let count = random.random_range(0..4);
        let text: String = (0..count).map(|_| format!("/{}", segments.choose(random).unwrap())).collect();
        if text.is_empty() { "/".to_owned() } else { text }
    };
    let mut hits = 0;
    for _ in 0..200 {
        let count = random.random_range(1..120);
        let routes: Vec<Route> = (0..count)
            .map(|number| {
                let text = path(&mut random);
                let matches = match random.random_range(0..10) {
                    0..3 => prefix(&text),
                    3..6 => exact(&text),
                    6..9 => separated(if text.ends_with('/') { "/a" } else { &text }),
                    _ => regex(&format!("{}.*", text.replace('.', "\\."))),
                };
                let mut route = reply(&number.to_string(), matches);
                route.matches.case_sensitive = random.random_bool(0.9);
                if random.random_bool(0.4) {
                    let wanted = random.random_range(0..3).to_string();
                    route.matches.headers = vec![header("v", HeaderCondition::Value(equals(&wanted)))];
                }
                route
            })
            .collect();
        let table = compile(routes.clone());
        for _ in 0..60 {
            let path = path(&mut random);
            let version = random.random_range(0..4).to_string();
            let holds = |route: &&Route| match route.matches.headers.first().map(|header| &header.condition) {
                Some(condition) => *condition == HeaderCondition::Value(equals(&version)),
                None => true,
            };
            let expected = routes.iter().filter(holds).find(|route| slow_match(route, &path));
            hits += usize::from(expected.is_some());
            let request = Request::get("h", &format!("{path}?q=1")).with("v", &version);
            assert_eq!(found(&table, &request), expected.map(|route| route.name.as_str()), "{path} in {routes:?}");
        }
    }
    assert!(hits > 4_000, "{hits}");
}

#[test]
fn weights_divide_random_numbers() {
    let mut targets = forward(&[("a", 10), ("b", 0), ("c", 30)]);
    targets.clusters.push(weighted("a", 60));
    let table = compile(vec![route("r", prefix("/"), RouteAction::Forward(Box::new(targets)))]);
    let found = table.find(table.virtual_host(b"h").unwrap(), &Request::get("h", "/")).unwrap();
    let Action::Forward(forward) = &found.route.action else { panic!("{found:?}") };
    let picked = |random| &*table.clusters()[forward.targets.pick(random).unwrap().cluster.index()];
    assert_eq!([0, 9, 10, 39, 40, 99, 100, 110].map(picked), ["a", "a", "c", "c", "a", "a", "a", "c"]);
    assert_eq!(table.clusters().len(), 3, "a cluster has one number");
}

#[test]
fn no_weight_means_no_target() {
    for clusters in [&[][..], &[("a", 0)]] {
        let table = compile(vec![route("r", prefix("/"), RouteAction::Forward(Box::new(forward(clusters))))]);
        let found = table.find(table.virtual_host(b"h").unwrap(), &Request::get("h", "/")).unwrap();
        let Action::Forward(forward) = &found.route.action else { panic!("{found:?}") };
        assert!(forward.targets.pick(7).is_none());
        assert_eq!(forward.cluster_not_found_status, 503);
    }
}

#[test]
fn header_changes_go_from_target_to_table() {
    let mut action = forward(&[("a", 1)]);
    action.clusters[0].headers = adds("target");
    let mut changed = route("r", prefix("/"), RouteAction::Forward(Box::new(action)));
    changed.headers = adds("route");
    let mut hosts = host("h", &["*"], vec![changed, reply("plain", prefix("/"))]);
    hosts.headers = adds("host");
    let mut configuration = table(vec![hosts]);
    configuration.headers = adds("table");
    let table = RouteTable::compile(&configuration).unwrap();
    let found = table.find(table.virtual_host(b"h").unwrap(), &Request::get("h", "/")).unwrap();
    let Action::Forward(forward) = &found.route.action else { panic!("{found:?}") };
    let target = forward.targets.pick(0);
    let request: Vec<&str> = found.request_headers(target).map(|mutations| mutations.add[0].name.as_str()).collect();
    assert_eq!(request, ["target", "route", "host", "table"]);
    let response: Vec<&str> = found.response_headers(None).map(|mutations| mutations.add[0].name.as_str()).collect();
    assert_eq!(response, ["route", "host", "table"]);
}

#[test]
fn the_routes_authority_wins_over_the_targets() {
    let mut action = forward(&[("a", 1), ("b", 1)]);
    action.clusters[0].host_rewrite = Some("target".into());
    for (own, expected) in [(None, [Some("target"), None]), (Some("route"), [Some("route"), Some("route")])] {
        action.host_rewrite = own.map(Into::into);
        let table = compile(vec![route("r", prefix("/"), RouteAction::Forward(Box::new(action.clone())))]);
        let found = table.find(table.virtual_host(b"h").unwrap(), &Request::get("h", "/")).unwrap();
        let Action::Forward(forward) = &found.route.action else { panic!("{found:?}") };
        let rewrites: Vec<_> = forward.targets.iter().map(|target| forward.host_rewrite(target)).collect();
        assert_eq!(rewrites, expected);
    }
}

fn retries(num_retries: u32) -> RetryPolicy {
    RetryPolicy {
        num_retries,
        retry_on: RetryOn::default(),
        retriable_status_codes: Vec::new(),
        per_try_timeout: None,
        back_off_base: Duration::from_millis(25),
        back_off_max: Duration::from_millis(250),
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        leave_priorities_after: None,
    }
}

#[test]
fn a_host_lends_its_retry_policy() {
    let mut own = forward(&[("a", 1)]);
    own.retry = Some(retries(1));
    let routes = vec![
        route("own", prefix("/own"), RouteAction::Forward(Box::new(own))),
        route("lent", prefix("/"), RouteAction::Forward(Box::new(forward(&[("a", 1)])))),
    ];
    let mut lending = host("h", &["*"], routes);
    lending.retry = Some(retries(9));
    let table = RouteTable::compile(&table(vec![lending])).unwrap();
    let tries: Vec<_> = table.virtual_hosts()[0]
        .routes()
        .iter()
        .map(|route| match &route.action {
            Action::Forward(forward) => forward.retry.as_ref().map(|policy| policy.num_retries),
            _ => None,
        })
        .collect();
    assert_eq!(tries, [Some(1), Some(9)]);
}

#[test]
fn a_host_that_requires_tls_redirects_clear_text() {
    let mut strict = host("h", &["*"], vec![reply("r", prefix("/"))]);
    strict.require_tls = true;
    strict.headers = adds("host");
    let table = RouteTable::compile(&table(vec![strict])).unwrap();
    let index = table.virtual_host(b"h").unwrap();
    let clear = Request::get("a.com:80", "/x?y").with("x-forwarded-proto", "http");
    let redirect = table.find(index, &clear).unwrap();
    let mut location = Vec::new();
    assert!(redirect.location(&clear, &mut location));
    assert_eq!(location, b"https://a.com/x?y");
    assert_eq!(redirect.response_headers(None).count(), 0, "Envoy adds nothing to it");
    assert!(
        matches!(&table.at(redirect.position()).unwrap().route.action, Action::Redirect(found) if found.status == 301)
    );
    let secure = Request::get("a.com", "/").with("x-forwarded-proto", "https");
    assert_eq!(found(&table, &secure), Some("r"));
}
