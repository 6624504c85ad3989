//! Which virtual host an authority belongs to.

use std::sync::Arc;

use crate::support::{Request, forward, found, host, prefix, reply, route, table};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use selvedge_route::{Action, CompileError, RouteTable};
use xds_model::route::{RouteAction, RouteConfiguration, VirtualHost};

fn with_domains(domains: &[&str]) -> RouteConfiguration {
    table(domains.iter().map(|domain| host(domain, &[domain], vec![reply(domain, prefix("/"))])).collect())
}

#[test]
fn the_most_specific_domain_wins() {
    let domains = ["a.example.com", "*.example.com", "*.com", "*-x.example.com", "a.*", "a.example.*", "[::1]", "*"];
    let table = RouteTable::compile(&with_domains(&domains)).unwrap();
    let cases = [
        ("a.example.com", "a.example.com"),
        ("A.Example.COM", "a.example.com"),
        ("a.example.com:8080", "a.example.com"),
        ("a.example.com:", "a.example.com"),
        ("a.example.com:abc", "a.example.com"),
        ("b.example.com", "*.example.com"),
        ("b.c.example.com", "*.example.com"),
        ("b-x.example.com", "*-x.example.com"),
        ("example.com", "*.com"),
        (".example.com", "*.com"),
        (".com", "*"),
        ("a.example.org", "a.example.*"),
        ("a.org", "a.*"),
        ("a.", "*"),
        ("a.example.com.", "a.example.*"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
        ("b.org", "*"),
        ("", "*"),
    ];
    for (authority, expected) in cases {
        assert_eq!(found(&table, &Request::get(authority, "/")), Some(expected), "{authority}");
    }
}

#[test]
fn nothing_matches_without_a_catch_all() {
    let table = RouteTable::compile(&with_domains(&["a.com", "*.b.com"])).unwrap();
    for authority in ["b.com", ".b.com", "a.com.", "x.a.com", "", "a.b.com."] {
        assert_eq!(table.virtual_host(authority.as_bytes()), None, "{authority}");
    }
}

#[test]
fn a_port_counts_unless_it_is_ignored() {
    let mut configuration = with_domains(&["a.com", "a.com:8080"]);
    configuration.ignore_port_in_host_matching = false;
    let table = RouteTable::compile(&configuration).unwrap();
    assert_eq!(found(&table, &Request::get("a.com", "/")), Some("a.com"));
    assert_eq!(found(&table, &Request::get("a.com:8080", "/")), Some("a.com:8080"));
    assert_eq!(found(&table, &Request::get("a.com:80", "/")), None);
}

#[test]
fn a_long_authority_is_compared_whole() {
    let long = format!("{}.a.com", "X".repeat(400));
    let table = RouteTable::compile(&with_domains(&["*.a.com"])).unwrap();
    assert_eq!(found(&table, &Request::get(&long, "/")), Some("*.a.com"));
}

#[test]
fn a_domain_may_occur_once() {
    let error = RouteTable::compile(&with_domains(&["a.com", "*", "a.com"])).unwrap_err();
    let CompileError::DuplicateDomain { domain, first, second, .. } = error;
    assert_eq!((domain.as_str(), first.as_str(), second.as_str()), ("a.com", "a.com", "a.com"));
}

/// The definition, domain by domain.
fn slow_find<'a>(domains: &'a [String], authority: &str) -> Option<&'a str> {
    let authority = authority.to_ascii_lowercase();
    let rank = |domain: &str| match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
        _ if domain == authority => Some((3, 0)),
        _ if domain == "*" => Some((0, 0)),
        (Some(suffix), _) if authority.len() > suffix.len() && authority.ends_with(suffix) => Some((2, suffix.len())),
        (None, Some(prefix)) if authority.len() > prefix.len() && authority.starts_with(prefix) => {
            Some((1, prefix.len()))
        }
        _ => None,
    };
    let ranked = domains.iter().filter_map(|domain| Some((rank(domain)?, domain.as_str())));
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, domain)| domain)
}

#[test]
fn random_domains_are_found_as_defined() {
    let mut random = SmallRng::seed_from_u64(3);
    let labels = ["a", "b", "ab", "com", "x-y"];
    let name = |random: &mut SmallRng| {
        let count = random.random_range(1..5);
        (0..count).map(|_| *labels.choose(random).unwrap()).collect::<Vec<_>>().join(".")
    };
    let mut hits = 0;
    for _ in 0..300 {
        let mut domains: Vec<String> = (0..random.random_range(1..25))
            .map(|_| match random.random_range(0..8) {
                0 => "*".into(),
                1..4 => format!("*.{}", name(&mut random)),
                4 => format!("{}.*", name(&mut random)),
                5 => format!("*{}", name(&mut random)),
                _ => name(&mut random),
            })
            .collect();
        domains.sort();
        domains.dedup();
        let borrowed: Vec<&str> = domains.iter().map(String::as_str).collect();
        let table = RouteTable::compile(&with_domains(&borrowed)).unwrap();
        for _ in 0..50 {
            let mut authority = name(&mut random);
            if random.random_bool(0.3) {
                authority.make_ascii_uppercase();
            }
            let expected = slow_find(&domains, &authority);
            hits += usize::from(expected.is_some());
            assert_eq!(found(&table, &Request::get(&authority, "/")), expected, "{authority} in {domains:?}");
        }
    }
    assert!(hits > 3_000, "{hits}");
}

fn many_hosts(count: u32) -> RouteConfiguration {
    let hosts = (0..count).map(|number| {
        let name = format!("h{number}.example.com");
        let cluster = format!("outbound|80||{name}");
        let routes = vec![route("default", prefix("/"), RouteAction::Forward(Box::new(forward(&[(&cluster, 1)]))))];
        host(&format!("{name}:80"), &[&name], routes)
    });
    table(hosts.collect())
}

#[test]
fn an_update_shares_what_did_not_change() {
    let mut configuration = many_hosts(50);
    let old = RouteTable::compile(&configuration).unwrap();
    Arc::make_mut(&mut configuration.virtual_hosts[7]).routes[0].name = "changed".into();
    configuration.virtual_hosts.swap(20, 30);
    configuration.virtual_hosts.remove(40);
    let new = old.update(&configuration).unwrap();
    let shared = |new: &Arc<_>| old.virtual_hosts().iter().any(|old| Arc::ptr_eq(old, new));
    let fresh: Vec<&str> = new.virtual_hosts().iter().filter(|host| !shared(host)).map(|host| &*host.name).collect();
    assert_eq!(fresh, ["h7.example.com:80"]);
    assert!(new.continues(&old));
    assert_eq!(new.clusters(), old.clusters());
    assert_eq!(found(&new, &Request::get("h7.example.com", "/")), Some("changed"));
    assert_eq!(found(&new, &Request::get("h20.example.com", "/")), Some("default"));
    assert_eq!(found(&new, &Request::get("h40.example.com", "/")), None);
}

#[test]
fn clusters_are_numbered_anew_when_most_are_unused() {
    let old = RouteTable::compile(&many_hosts(500)).unwrap();
    let new = old.update(&many_hosts(100)).unwrap();
    assert!(!new.continues(&old));
    assert_eq!(new.clusters().len(), 100);
}

/// What a table says of a host: its route's name and the name of the cluster it leads to.
fn served<'a>(table: &'a RouteTable, authority: &str) -> Option<(&'a str, &'a str)> {
    let host = table.virtual_host(authority.as_bytes())?;
    let route = table.find(host, &Request::get(authority, "/"))?.route;
    let Action::Forward(forward) = &route.action else { return None };
    let target = forward.targets.iter().next()?;
    Some((&route.name, &table.clusters()[target.cluster.index()]))
}

#[test]
fn an_updated_table_serves_what_one_compiled_anew_does() {
    let mut random = SmallRng::seed_from_u64(3);
    let mut configuration = many_hosts(30);
    let mut updated = RouteTable::compile(&configuration).unwrap();
    let (mut shared, mut continued) = (0, 0);
    for step in 0..1000 {
        let good = configuration.clone();
        let hosts = &mut configuration.virtual_hosts;
        let (one, other) = (random.random_range(0..hosts.len()), random.random_range(0..hosts.len()));
        match random.random_range(0..7) {
            0 => Arc::make_mut(&mut hosts[one]).routes[0].name = format!("step {step}"),
            1 => hosts[one] = Arc::clone(&many_hosts(60).virtual_hosts[random.random_range(0..60)]),
            2 => hosts.swap(one, other),
            3 if hosts.len() > 20 => drop(hosts.remove(one)),
            4 => hosts.insert(one, Arc::clone(&many_hosts(60).virtual_hosts[random.random_range(0..60)])),
            5 => hosts[one] = Arc::new(VirtualHost::clone(&hosts[one])),
            _ => Arc::make_mut(&mut hosts[one]).domains.push(format!("s{}.example.com", step % 9)),
        }
        let next = updated.update(&configuration);
        let anew = match RouteTable::compile(&configuration) {
            Ok(anew) => anew,
            Err(error) => {
                assert_eq!(next.unwrap_err(), error);
                configuration = good;
                continue;
            }
        };
        let next = next.unwrap();
        for number in 0..60 {
            let authority = format!("h{number}.example.com");
            assert_eq!(served(&next, &authority), served(&anew, &authority), "step {step}");
            let authority = format!("s{}.example.com", number % 9);
            assert_eq!(served(&next, &authority), served(&anew, &authority), "step {step}");
        }
        assert!(next.clusters().len() <= 2 * anew.clusters().len() + 64, "step {step}");
        shared += next
            .virtual_hosts()
            .iter()
            .filter(|host| updated.virtual_hosts().iter().any(|old| Arc::ptr_eq(old, host)))
            .count();
        continued += usize::from(next.continues(&updated));
        updated = next;
    }
    assert!(shared > 10_000 && continued > 500, "{shared} {continued}");
}
