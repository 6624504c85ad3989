//! What is read with the help of the version before is what is read without it.

use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::*;
use crate::examples::{parse, routes, with};
use crate::route::RouteAction;

const EDITS: usize = 2000;

fn encoded(wire: &route::RouteConfiguration) -> Bytes {
    wire.encode_to_vec().into()
}

fn wire(value: &Value) -> route::RouteConfiguration {
    parse(value)
}

/// What the conversion of the whole table comes to.
fn whole(body: &Bytes) -> Result<(RouteConfiguration, Report), Refusal> {
    let mut report = Report::default();
    match crate::resource::decode(xds_api::type_url::ROUTE, body, &mut report)? {
        crate::resource::Resource::RouteConfiguration(table) => Ok((*table, report)),
        other => panic!("{other:?}"),
    }
}

/// Reads both ways, compares, and returns the new version if there is one.
fn both(body: &Bytes, before: Option<&SectionedTable>) -> Result<SectionedTable, String> {
    let whole = whole(body);
    match SectionedTable::decode(body, before) {
        Ok((table, report)) => {
            assert_eq!(whole, Ok((RouteConfiguration::clone(table.table()), report)));
            Ok(table)
        }
        Err(refusal) => {
            assert_eq!(whole, Err(refusal.clone()));
            Err(refusal.to_string())
        }
    }
}

/// How many virtual hosts were taken over.
fn shared(before: &SectionedTable, after: &SectionedTable) -> usize {
    let known = |host: &&Arc<VirtualHost>| before.table.virtual_hosts.iter().any(|old| Arc::ptr_eq(old, host));
    after.table.virtual_hosts.iter().filter(known).count()
}

/// A virtual host; what is odd about some of them depends on the number.
fn host(random: &mut SmallRng) -> route::VirtualHost {
    let number = random.random_range(0..12);
    let mut route = json!({"name": format!("route {}", random.random_range(0..3)), "match": {"prefix": "/"},
        "route": {"cluster": format!("c{}", random.random_range(0..5)), "hash_policy": [{"terminal": true}]}});
    match random.random_range(0..8) {
        0 => route["request_headers_to_add"] = json!([{"header": {"key": "x", "value": "%NONSENSE("}}]),
        1 => route["match"] = json!({"safe_regex": {"regex": "("}}),
        2 => {
            route = json!({"match": {"path": "/a"}, "direct_response": {"status": 200, "body": {"inline_string": "x".repeat(8)}}})
        }
        _ => {}
    }
    let mut table = json!({"name": "t", "virtual_hosts": [
        {"name": format!("h{number}"), "domains": [format!("H{number}.test")], "routes": [route]},
    ]});
    if random.random_ratio(1, 10) {
        table["virtual_hosts"][0]["rate_limits"] = json!([{"actions": [{"remote_address": {}}]}]);
    }
    if random.random_ratio(1, 30) {
        table["virtual_hosts"][0]["domains"] = json!([]);
    }
    wire(&table).virtual_hosts.remove(0)
}

fn edit(table: &mut route::RouteConfiguration, random: &mut SmallRng) {
    let position = random.random_range(0..=table.virtual_hosts.len());
    let other = random.random_range(0..=table.virtual_hosts.len());
    let taken = |table: &route::RouteConfiguration, host: &route::VirtualHost| {
        // Mostly a table without repetition, or nothing else would be tried.
        table.virtual_hosts.iter().any(|old| old.domains == host.domains)
    };
    match random.random_range(0..12) {
        0..4 => {
            let host = host(random);
            if !taken(table, &host) || random.random_ratio(1, 8) {
                table.virtual_hosts.insert(position, host);
            }
        }
        4..7 if position < table.virtual_hosts.len() => {
            let mut host = host(random);
            host.domains.clone_from(&table.virtual_hosts[position].domains);
            table.virtual_hosts[position] = host;
        }
        7..9 if position < table.virtual_hosts.len() => drop(table.virtual_hosts.remove(position)),
        9 if position.max(other) < table.virtual_hosts.len() => table.virtual_hosts.swap(position, other),
        10 => table.ignore_port_in_host_matching ^= true,
        11 => table.max_direct_response_body_size_bytes = Some(random.random_range(4..12)),
        _ => {}
    }
}

#[test]
fn with_and_without_the_version_before_the_outcome_is_the_same() {
    let mut random = SmallRng::seed_from_u64(7);
    let mut table = route::RouteConfiguration { name: "t".to_owned(), ..route::RouteConfiguration::default() };
    let mut before: Option<SectionedTable> = None;
    let (mut refused, mut reused, mut partly) = (0, 0, 0);
    for _ in 0..EDITS {
        let good = table.clone();
        for _ in 0..random.random_range(1..3) {
            edit(&mut table, &mut random);
        }
        match both(&encoded(&table), before.as_ref()) {
            Ok(after) => {
                assert!(after.sections.is_some());
                reused += before.as_ref().map_or(0, |before| shared(before, &after));
                let is_refused = |host: &&Arc<VirtualHost>| {
                    host.routes.iter().any(|route| matches!(route.action, RouteAction::Refused(_)))
                };
                partly += after.table.virtual_hosts.iter().filter(is_refused).count();
                before = Some(after);
            }
            Err(_) => {
                refused += 1;
                table = good;
            }
        }
    }
    assert!(refused > 50 && reused > EDITS && partly > EDITS / 4, "{refused} {reused} {partly}: too little happens");
}

#[test]
fn only_what_differs_is_read_again() {
    let mut table = wire(&routes());
    let first = both(&encoded(&table), None).unwrap();
    table.virtual_hosts[0].routes[0].name = "changed".to_owned();
    let second = both(&encoded(&table), Some(&first)).unwrap();
    assert_eq!(shared(&first, &second), 1);
    table.virtual_hosts.reverse();
    let third = both(&encoded(&table), Some(&second)).unwrap();
    assert_eq!(shared(&second, &third), 2);
    table.ignore_port_in_host_matching ^= true;
    let fourth = both(&encoded(&table), Some(&third)).unwrap();
    assert_eq!(shared(&third, &fourth), 0, "the settings have a say in every virtual host");
}

#[test]
fn a_refusal_names_the_position_that_the_host_has_now() {
    let mut odd = wire(&with(routes(), "/virtual_hosts/1/rate_limits", json!([{"actions": [{"remote_address": {}}]}])));
    let first = both(&encoded(&odd), None).unwrap();
    odd.virtual_hosts.reverse();
    let second = both(&encoded(&odd), Some(&first)).unwrap();
    assert_eq!(shared(&first, &second), 1);
    let RouteAction::Refused(reason) = &second.table.virtual_hosts[0].routes[0].action else { panic!("{second:?}") };
    assert!(reason.starts_with("virtual_hosts[0].rate_limits"), "{reason}");
}

#[test]
fn a_repeated_domain_is_refused_by_name_and_the_next_version_is_read_as_ever() {
    let mut table = wire(&routes());
    let first = both(&encoded(&table), None).unwrap();
    let twice = table.virtual_hosts[0].clone();
    table.virtual_hosts.push(route::VirtualHost { name: "twice".to_owned(), ..twice });
    let refused = both(&encoded(&table), Some(&first)).unwrap_err();
    assert!(refused.contains("domain \"shop.example.com\" occurs twice"), "{refused}");
    table.virtual_hosts.pop();
    assert_eq!(shared(&first, &both(&encoded(&table), Some(&first)).unwrap()), 2);
}

#[test]
fn bytes_that_are_no_table_are_refused_as_the_whole_is() {
    let good = encoded(&wire(&routes()));
    let first = both(&good, None).unwrap();
    let mut random = SmallRng::seed_from_u64(11);
    let mut refused = 0;
    for _ in 0..EDITS {
        let mut bytes = good.to_vec();
        for _ in 0..random.random_range(1..4) {
            let position = random.random_range(0..bytes.len());
            match random.random_range(0..3) {
                0 => bytes[position] = random.random_range(0..=255),
                1 => bytes.truncate(position),
                _ => drop(bytes.remove(position)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        refused += usize::from(both(&bytes.into(), Some(&first)).is_err());
    }
    assert!(refused > EDITS / 2, "{refused}");
    for group in [&[0x0b_u8, 0x0c][..], &[0x13, 0x14], &[0xff; 12], &[0x12, 0xff]] {
        let bytes: Vec<u8> = good.iter().chain(group).copied().collect();
        assert!(both(&bytes.into(), Some(&first)).is_err(), "{group:?}");
    }
    let unknown: Vec<u8> = good.iter().copied().chain([0xb8, 0x3e, 1, 0xb1, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8]).collect();
    assert_eq!(shared(&first, &both(&unknown.into(), Some(&first)).unwrap()), 0);
}
