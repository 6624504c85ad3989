use std::net::IpAddr;
use std::time::Duration;

use selvedge_route::{cookie_value, hash, hash_of_address, set_cookie};
use xds_model::hash_policy::{HashCookie, HashPolicy, HashSource};

use crate::support::Request;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn policy(source: HashSource) -> HashPolicy {
    HashPolicy { source, is_terminal: false }
}

fn header(name: &str) -> HashPolicy {
    policy(HashSource::Header(name.into()))
}

fn query(name: &str) -> HashPolicy {
    policy(HashSource::QueryParameter(name.into()))
}

fn session(lifetime: Option<Duration>) -> HashCookie {
    HashCookie { name: "session".into(), lifetime, path: "/a".into(), attributes: Vec::new() }
}

fn cookie(lifetime: Option<Duration>) -> HashPolicy {
    policy(HashSource::Cookie(session(lifetime)))
}

/// The hash of a request, where no cookie is to be made.
fn hash_by(policies: &[HashPolicy], request: &Request) -> Option<u64> {
    hash(policies, request, CLIENT, |cookie| panic!("{cookie:?} is made"))
}

fn of_header(value: &str) -> Option<u64> {
    hash_by(&[header("a")], &get("/").with("a", value))
}

fn get(path: &str) -> Request {
    Request::get("shop.example.com", path)
}

#[test]
fn hashes_are_those_of_xxh64() {
    // The values of the reference implementation (xxHash, `XXH64` with the seed 0).
    assert_eq!(of_header(""), Some(0xef46_db37_51d8_e999));
    assert_eq!(of_header("a"), Some(0xd24e_c4f1_a98c_6e5b));
    assert_eq!(of_header("abc"), Some(0x44bc_2cf5_ad77_0999));
}

#[test]
fn all_values_of_a_header_count_in_any_order() {
    let both = hash_by(&[header("a")], &get("/").with("a", "x").with("b", "z").with("a", "y"));
    assert_eq!(both, hash_by(&[header("a")], &get("/").with("a", "y").with("a", "x")));
    assert_eq!(both, of_header("xy"));
    assert_eq!(hash_by(&[header("a")], &get("/").with("b", "z")), None);
}

#[test]
fn pseudo_headers_and_host_are_headers() {
    let request = get("/a?b");
    for (name, value) in
        [(":authority", "shop.example.com"), ("host", "shop.example.com"), (":path", "/a?b"), (":method", "GET")]
    {
        assert_eq!(hash_by(&[header(name)], &request), of_header(value), "{name}");
    }
}

#[test]
fn the_first_parameter_of_the_query_counts_as_it_was_sent() {
    for (path, value) in [
        ("/?a=x", Some("x")),
        ("/?b=1&a=x&a=y", Some("x")),
        ("/?a=%78", Some("%78")),
        ("/?a", Some("")),
        ("/?ab=x", None),
        ("/", None),
        ("/a=x", None),
    ] {
        assert_eq!(hash_by(&[query("a")], &get(path)), value.and_then(of_header), "{path}");
    }
}

#[test]
fn a_cookie_is_found_among_others() {
    for (headers, value) in [
        (&["session=x"][..], Some("x")),
        (&["a=b; session=x; c=d"], Some("x")),
        (&["a=b", "session=x"], Some("x")),
        (&["session=\"x\""], Some("x")),
        (&["session=\"x"], Some("\"x")),
        (&["session=\""], Some("\"")),
        (&["session=x=y"], Some("x=y")),
        (&["session=x; session=y"], Some("x")),
        (&["  session=x"], Some("x")),
        (&["Session=x; sessions=y; session"], None),
        (&["session="], None),
        (&["session=\"\""], None),
        (&[], None),
    ] {
        let request = headers.iter().fold(get("/"), |request, value| request.with("cookie", value));
        assert_eq!(hash_by(&[cookie(None)], &request), value.and_then(of_header), "{headers:?}");
    }
}

#[test]
fn a_cookie_that_is_missing_is_made() {
    let policies = [cookie(Some(Duration::ZERO))];
    let mut made = Vec::new();
    let found = hash(&policies, &get("/"), CLIENT, |cookie| {
        made.push(cookie.clone());
        "abc".into()
    });
    assert_eq!(found, of_header("abc"));
    assert_eq!(made, [session(Some(Duration::ZERO))]);
    assert_eq!(hash_by(&policies, &get("/").with("cookie", "session=abc")), of_header("abc"));
}

#[test]
fn what_is_hashed_is_combined_in_order() {
    let request = get("/?q=y").with("a", "x").with("b", "x");
    let (x, y) = (of_header("x").unwrap(), of_header("y").unwrap());
    let terminal = |policy| HashPolicy { is_terminal: true, ..policy };
    for (policies, expected) in [
        (vec![], None),
        (vec![header("a"), query("q")], Some(x.rotate_left(1) ^ y)),
        (vec![header("a"), header("b")], Some(x.rotate_left(1) ^ x)),
        (vec![header("none"), query("q")], Some(y)),
        (vec![terminal(header("a")), query("q")], Some(x)),
        (vec![terminal(header("none")), query("q")], Some(y)),
        (vec![header("a"), terminal(header("none")), query("q")], Some(x)),
        (vec![policy(HashSource::SourceIp)], of_header("192.0.2.7")),
    ] {
        assert_eq!(hash_by(&policies, &request), expected, "{policies:?}");
    }
}

#[test]
fn addresses_are_hashed_as_they_are_written() {
    for address in ["192.0.2.7", "2001:db8::1", "::1"] {
        assert_eq!(Some(hash_of_address(address.parse().unwrap())), of_header(address));
    }
}

#[test]
fn what_a_cookie_says() {
    let value = cookie_value("abc");
    assert_eq!(value, "44bc2cf5ad770999");
    let minute = Some(Duration::from_secs(60));
    assert_eq!(set_cookie(&session(minute), &value), "session=\"44bc2cf5ad770999\"; Max-Age=60; Path=/a; HttpOnly");
    let attributes = vec![("SameSite".into(), "Lax".into()), ("Secure".into(), String::new())];
    let cookie = HashCookie { path: String::new(), attributes, ..session(Some(Duration::ZERO)) };
    assert_eq!(set_cookie(&cookie, "v"), "session=\"v\"; SameSite=Lax; Secure; HttpOnly");
}
