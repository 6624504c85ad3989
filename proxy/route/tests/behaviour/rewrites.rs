//! What becomes of paths and locations.

use crate::support::{Request, exact, forward, host, prefix, regex, reply, route, separated, table};
use selvedge_route::RouteTable;
use xds_model::matcher::FullRegex;
use xds_model::route::{PathMatch, PathRewrite, Redirect, RedirectPath, RouteAction};

fn rewritten(matches: PathMatch, rewrite: PathRewrite, path: &str) -> String {
    let mut action = forward(&[("a", 1)]);
    action.path_rewrite = Some(rewrite);
    let mut changed = route("r", matches, RouteAction::Forward(Box::new(action)));
    changed.matches.case_sensitive = !path.contains('S');
    let table = RouteTable::compile(&table(vec![host("h", &["*"], vec![changed])])).unwrap();
    let found = table.find(table.virtual_host(b"h").unwrap(), &Request::get("h", path)).expect(path);
    let mut out = b"old".to_vec();
    assert!(found.rewrite_path(path.as_bytes(), &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn prefixes() {
    let cases = [
        (prefix("/s2"), "/", "/s2/a", "//a"),
        (prefix("/s2"), "/", "/s2", "/"),
        (prefix("/s2/"), "/", "/s2/a?q=/s2/", "/a?q=/s2/"),
        (prefix("/s2"), "/new", "/s2x", "/newx"),
        (prefix("/s2"), "/new", "/S2x", "/newx"),
        (separated("/s2"), "/", "/s2/a", "//a"),
        (separated("/s2"), "/new", "/s2?x", "/new?x"),
        (exact("/s2"), "/new", "/s2?x", "/new?x"),
        (regex("/s[0-9]/.*"), "/new", "/s2/a?x", "/new?x"),
        (prefix("/"), "/new", "/a", "/newa"),
        (prefix("/a"), " ", "/a", " "),
    ];
    for (matches, replacement, path, expected) in cases {
        assert_eq!(rewritten(matches, PathRewrite::Prefix(replacement.into()), path), expected, "{path}");
    }
}

#[test]
fn regular_expressions() {
    let cases = [
        ("^/service/([^/]+)(/.*)$", r"\2/instance/\1", "/service/foo/v1/api", "/v1/api/instance/foo"),
        ("one", "two", "/xxx/one/yyy/one/zzz?one", "/xxx/two/yyy/two/zzz?one"),
        ("^(.*?)one(.*)$", r"\1two\2", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/one/zzz"),
        ("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"),
        ("^/a(/?)(.*)", r"/\2", "/a/b", "/b"),
        ("nothing", "x", "/a?b", "/a?b"),
        ("a", r"\0\\\0", "/a", r"/a\a"),
        ("a", r"\3", "/a", "/a"),
        ("a", r"x\1", "/a", "/a"),
        ("a", r"x\qy", "/ab", "/xb"),
        ("(b)|a", r"[\1]", "/ab", "/[][b]"),
        ("b*", "-", "/abc", "-/-a-c-"),
        ("^.*$", "bare", "/a?q", "bare?q"),
    ];
    for (pattern, substitution, path, expected) in cases {
        let rewrite =
            PathRewrite::Regex { pattern: FullRegex::new(pattern).unwrap(), substitution: substitution.into() };
        assert_eq!(rewritten(prefix("/"), rewrite, path), expected, "{pattern} on {path}");
    }
}

#[test]
fn an_expression_that_leaves_no_path_rewrites_nothing() {
    let mut action = forward(&[("a", 1)]);
    let pattern = FullRegex::new("/gone").unwrap();
    action.path_rewrite = Some(PathRewrite::Regex { pattern, substitution: String::new() });
    let routes = vec![route("r", prefix("/"), RouteAction::Forward(Box::new(action)))];
    let table = RouteTable::compile(&table(vec![host("h", &["*"], routes)])).unwrap();
    let mut out = Vec::new();
    for (path, rewrites) in [("/gone", false), ("/gone?a=b", false), ("/gone/a", true)] {
        let found = table.find(table.virtual_host(b"h").unwrap(), &Request::get("h", path)).unwrap();
        assert_eq!(found.rewrite_path(path.as_bytes(), &mut out), rewrites, "{path}");
    }
}

#[test]
fn without_a_rewrite_nothing_is_written() {
    let action = RouteAction::Forward(Box::new(forward(&[("a", 1)])));
    let routes = vec![route("r", prefix("/a"), action), reply("d", prefix("/"))];
    let table = RouteTable::compile(&table(vec![host("h", &["*"], routes)])).unwrap();
    let mut out = b"old".to_vec();
    for path in ["/a", "/b"] {
        let request = Request::get("h", path);
        let found = table.find(table.virtual_host(b"h").unwrap(), &request).unwrap();
        assert!(!found.rewrite_path(path.as_bytes(), &mut out));
        assert!(!found.location(&request, &mut out));
    }
    assert_eq!(out, b"old");
}

fn location(redirect: Redirect, request: &Request) -> String {
    let routes = vec![route("r", prefix("/old"), RouteAction::Redirect(Box::new(redirect)))];
    let table = RouteTable::compile(&table(vec![host("h", &["*"], routes)])).unwrap();
    let found = table.find(table.virtual_host(b"h").unwrap(), request).unwrap();
    let mut out = Vec::new();
    assert!(found.location(request, &mut out));
    String::from_utf8(out).unwrap()
}

const KEEP: Redirect = Redirect { scheme: None, host: None, port: None, path: None, strip_query: false, status: 301 };

#[test]
fn redirects_choose_scheme_host_and_port() {
    let https = || Redirect { scheme: Some("https".into()), ..KEEP };
    let port = |port| Redirect { port: Some(port), ..KEEP };
    let other = || Redirect { host: Some("b.com".into()), ..KEEP };
    // redirect, scheme of the request, authority, location
    let cases = [
        (KEEP, "http", "a.com", "http://a.com/old"),
        (KEEP, "http", "a.com:80", "http://a.com:80/old"),
        (KEEP, "http", "a.com:8080", "http://a.com:8080/old"),
        (https(), "http", "a.com:80", "https://a.com/old"),
        (https(), "http", "a.com:443", "https://a.com:443/old"),
        (https(), "http", "a.com:8080", "https://a.com:8080/old"),
        (https(), "https", "a.com:443", "https://a.com:443/old"),
        (Redirect { scheme: Some("http".into()), ..KEEP }, "https", "a.com:443", "http://a.com/old"),
        (port(8443), "http", "a.com:80", "http://a.com:8443/old"),
        (port(8443), "http", "a.com", "http://a.com:8443/old"),
        (port(8443), "http", "[::1]:80", "http://[::1]:8443/old"),
        (port(8443), "http", "[::1]", "http://[::1]:8443/old"),
        (https(), "http", "[::1]:80", "https://[::1]/old"),
        (other(), "http", "a.com:8080", "http://b.com/old"),
        (Redirect { port: Some(81), ..other() }, "http", "a.com:8080", "http://b.com:81/old"),
    ];
    for (redirect, scheme, authority, expected) in cases {
        let mut request = Request::get(authority, "/old").with("x-forwarded-proto", scheme);
        request.scheme = scheme.into();
        assert_eq!(location(redirect, &request), expected);
    }
}

#[test]
fn redirects_change_paths() {
    let full = |path: &str| Some(RedirectPath::Full(path.into()));
    let swap = |prefix: &str| Some(RedirectPath::Prefix(prefix.into()));
    let pattern = FullRegex::new("^/old/(.*)$").unwrap();
    let by_regex = Some(RedirectPath::Regex { pattern, substitution: r"/new/\1".into() });
    // path of the redirect, strip_query, target of the request, target of the location
    let cases = [
        (None, false, "/old?q=1", "/old?q=1"),
        (None, true, "/old?q=1", "/old"),
        (full("/new"), false, "/old?q=1", "/new?q=1"),
        (full("/new"), false, "/old", "/new"),
        (full("/new"), true, "/old?q=1", "/new"),
        (full("new"), false, "/old?q=1", "/new?q=1"),
        (full("/new?own"), false, "/old?q=1", "/new?own"),
        (full("/new?own"), true, "/old?q=1", "/new?own"),
        (swap("/new"), false, "/old/a?q=1", "/new/a?q=1"),
        (swap("/new"), true, "/old/a?q=1", "/new/a"),
        (by_regex.clone(), false, "/old/a?q=1", "/new/a?q=1"),
        (by_regex, true, "/old/a?q=1", "/new/a"),
    ];
    for (path, strip_query, target, expected) in cases {
        let label = format!("{path:?} {strip_query} {target}");
        let redirect = Redirect { path, strip_query, ..KEEP };
        assert_eq!(location(redirect, &Request::get("a.com", target)), format!("http://a.com{expected}"), "{label}");
    }
}
