use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use xds_model::listener::first_overlap;

use super::*;

fn protocols(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn facts(destination: &str) -> ConnectionFacts<'static> {
    ConnectionFacts {
        destination: destination.parse().unwrap(),
        server_name: None,
        transport: TransportProtocol::RawBuffer,
        application_protocols: &[],
        source: "192.0.2.1".parse().unwrap(),
    }
}

fn named(names: &[&str]) -> FilterChainMatch {
    FilterChainMatch { server_names: names.iter().map(|name| (*name).into()).collect(), ..Default::default() }
}

#[test]
fn server_names() {
    let names = ["a.example.com", "*.example.com", "*.com", "*.b.example.com"];
    let mut chains: Vec<FilterChainMatch> = names.iter().map(|name| named(&[name])).collect();
    let find = |chains: &[FilterChainMatch], name| {
        let table = FilterChainTable::compile(chains);
        table.find(&ConnectionFacts { server_name: name, ..facts("10.0.0.1:443") })
    };
    let cases = [
        (Some("a.example.com"), Some(0)),
        (Some("A.EXAMPLE.com"), Some(0)),
        (Some("x.example.com"), Some(1)),
        (Some("x.a.example.com"), Some(1)),
        (Some("x.b.example.com"), Some(3)),
        (Some("b.example.com"), Some(1)),
        (Some("example.com"), Some(2)),
        (Some(".com"), None),
        (Some("com"), None),
        (Some("a.example.org"), None),
        (Some(""), None),
        (None, None),
    ];
    for (name, expected) in cases {
        assert_eq!(find(&chains, name), expected, "{name:?}");
    }
    chains.push(named(&[]));
    for (name, expected) in cases {
        assert_eq!(find(&chains, name), expected.or(Some(4)), "{name:?}");
    }
}

#[test]
fn a_level_that_matched_is_not_left_again() {
    let tls =
        |matches: FilterChainMatch| FilterChainMatch { transport_protocol: Some(TransportProtocol::Tls), ..matches };
    let port = |port| FilterChainMatch { destination_port: Some(port), ..named(&["x.com"]) };
    let range =
        |range: &str| FilterChainMatch { destination_ranges: vec![range.parse().unwrap()], ..named(&["x.com"]) };
    let connection = facts("10.0.0.1:443");
    let cases = [
        // The exact name has a chain for TLS alone: the catch-all does not get its clear text.
        (vec![tls(named(&["x.com"])), named(&[])], Some("x.com"), None),
        (vec![tls(named(&["*.com"])), named(&[])], Some("x.com"), None),
        (vec![port(443), named(&[])], Some("y.com"), None),
        (vec![port(444), named(&[])], Some("y.com"), Some(1)),
        (vec![range("10.0.0.0/8"), named(&[])], Some("y.com"), None),
        (vec![range("10.0.0.0/24"), range("10.0.0.0/8"), named(&[])], Some("x.com"), Some(0)),
        (vec![range("11.0.0.0/8"), named(&[])], Some("y.com"), Some(1)),
    ];
    for (chains, server_name, expected) in cases {
        let table = FilterChainTable::compile(&chains);
        assert_eq!(table.find(&ConnectionFacts { server_name, ..connection }), expected, "{chains:?}");
    }
}

#[test]
fn application_protocols_follow_the_clients_order() {
    let chain = |names: &[&str]| FilterChainMatch {
        application_protocols: names.iter().map(|name| (*name).into()).collect(),
        ..Default::default()
    };
    let chains = [chain(&["h2", "istio"]), chain(&["http/1.1"]), chain(&[])];
    let table = FilterChainTable::compile(&chains);
    let cases = [
        (&["http/1.1", "h2"][..], Some(1)),
        (&["h2", "http/1.1"], Some(0)),
        (&["spdy", "istio"], Some(0)),
        (&["spdy"], Some(2)),
        (&[], Some(2)),
    ];
    for (offered, expected) in cases {
        let application_protocols = &protocols(offered)[..];
        assert_eq!(table.find(&ConnectionFacts { application_protocols, ..facts("10.0.0.1:1") }), expected);
    }
    let table = FilterChainTable::compile(&chains[..2]);
    assert_eq!(table.find(&facts("10.0.0.1:1")), None);
}

#[test]
fn the_longest_source_range_wins() {
    let chain = |ranges: &[&str]| FilterChainMatch {
        source_ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        ..Default::default()
    };
    let chains = [chain(&["10.0.0.0/8", "fd00::/8"]), chain(&["10.1.0.0/16"]), chain(&["0.0.0.0/0"]), chain(&[])];
    let table = FilterChainTable::compile(&chains);
    for (source, expected) in [("10.2.0.1", 0), ("10.1.0.1", 1), ("::ffff:10.1.0.1", 1), ("9.9.9.9", 2), ("::1", 3)] {
        let source = source.parse().unwrap();
        assert_eq!(table.find(&ConnectionFacts { source, ..facts("[::]:1") }), Some(expected), "{source}");
    }
}

/// Envoy's levels, each by a scan over all chains that are left.
fn slow_find(chains: &[FilterChainMatch], facts: &ConnectionFacts<'_>) -> Option<usize> {
    let mut left: Vec<usize> = (0..chains.len()).collect();
    let mut keep = |rank: &dyn Fn(&FilterChainMatch) -> Option<usize>| {
        let best = left.iter().filter_map(|chain| rank(&chains[*chain])).max();
        left.retain(|chain| best.is_some() && rank(&chains[*chain]) == best);
    };
    let in_ranges = |ranges: &[IpNet], address: IpAddr| match ranges {
        [] => Some(0),
        _ => ranges.iter().filter(|range| range.contains(&address)).map(|range| range.prefix_len() as usize + 1).max(),
    };
    keep(&|chain| match chain.destination_port {
        Some(port) => (port == facts.destination.port()).then_some(1),
        None => Some(0),
    });
    keep(&|chain| in_ranges(&chain.destination_ranges, facts.destination.ip()));
    let name = facts.server_name.unwrap_or_default();
    keep(&|chain| {
        let rank = |wanted: &String| match wanted.strip_prefix('*') {
            Some(suffix) => (name.len() > suffix.len() && name.ends_with(suffix)).then_some(suffix.len()),
            None => (name == wanted).then_some(1000),
        };
        if chain.server_names.is_empty() { Some(0) } else { chain.server_names.iter().filter_map(rank).max() }
    });
    keep(&|chain| match chain.transport_protocol {
        Some(wanted) => (wanted == facts.transport).then_some(1),
        None => Some(0),
    });
    keep(&|chain| {
        let offered = facts.application_protocols;
        let takes = |protocol: &Vec<u8>| chain.application_protocols.iter().any(|known| known.as_bytes() == protocol);
        let rank = offered.iter().position(takes).map(|position| offered.len() - position);
        if chain.application_protocols.is_empty() { Some(0) } else { rank }
    });
    keep(&|chain| in_ranges(&chain.source_ranges, facts.source));
    left.first().copied()
}

#[test]
fn random_chains_are_found_as_defined() {
    let mut random = SmallRng::seed_from_u64(5);
    let names = ["a.com", "b.com", "x.a.com", "*.com", "*.a.com", "*.x.a.com"];
    let alpn = ["h2", "http/1.1", "istio"];
    let ranges = ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "0.0.0.0/0"];
    let addresses = ["10.1.1.1", "10.1.2.1", "10.2.2.2", "9.9.9.9"];
    let mut compared = 0;
    let mut found = 0;
    while compared < 20_000 {
        let some = |random: &mut SmallRng, values: &[&str]| -> Vec<String> {
            let count = if random.random_bool(0.6) { 0 } else { random.random_range(1..3) };
            values.choose_multiple(random, count).map(|value| (*value).to_owned()).collect()
        };
        let transports = [None, None, Some(TransportProtocol::Tls), Some(TransportProtocol::RawBuffer)];
        let mut chains = Vec::new();
        for _ in 0..random.random_range(1..12) {
            chains.push(FilterChainMatch {
                destination_port: [None, None, Some(1), Some(2)].choose(&mut random).copied().flatten(),
                destination_ranges: some(&mut random, &ranges).iter().map(|range| range.parse().unwrap()).collect(),
                server_names: some(&mut random, &names),
                transport_protocol: transports.choose(&mut random).copied().flatten(),
                application_protocols: some(&mut random, &alpn),
                source_ranges: some(&mut random, &ranges).iter().map(|range| range.parse().unwrap()).collect(),
            });
            if first_overlap(&chains).is_some() {
                chains.pop();
            }
        }
        let table = FilterChainTable::compile(&chains);
        for _ in 0..40 {
            let offered = protocols(&alpn.choose_multiple(&mut random, 2).copied().collect::<Vec<_>>());
            let facts = ConnectionFacts {
                destination: SocketAddr::new(
                    addresses.choose(&mut random).unwrap().parse().unwrap(),
                    random.random_range(1..4),
                ),
                server_name: ["a.com", "x.a.com", "y.x.a.com", "c.com", ""].choose(&mut random).copied(),
                transport: *[TransportProtocol::Tls, TransportProtocol::RawBuffer].choose(&mut random).unwrap(),
                application_protocols: &offered[..random.random_range(0..3)],
                source: addresses.choose(&mut random).unwrap().parse().unwrap(),
            };
            let expected = slow_find(&chains, &facts);
            assert_eq!(table.find(&facts), expected, "{facts:?} in {chains:?}");
            compared += 1;
            found += usize::from(expected.is_some());
        }
    }
    assert!(found > 5_000, "{found}");
}
