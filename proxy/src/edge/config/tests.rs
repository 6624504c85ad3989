use overlay::node::Limits;

use std::net::Ipv4Addr;

use super::*;

const ALONE: Setting = Setting { has_control_plane: false, workers: 4 };
const IN_CLUSTER: Setting = Setting { has_control_plane: true, workers: 4 };

#[test]
fn a_file_says_what_is_selected() {
    let text = "
        export: [{namespaces: [shop], labels: {offered: 'yes'}}]
        import: [{hosts: ['*.shop.global', db.example], edges: [b]}]
        importAddresses: 127.0.2.0/24
    ";
    let config = EdgeConfig::parse(text).unwrap();
    let labels = BTreeMap::from([("offered".to_owned(), "yes".to_owned())]);
    let service = Candidate { host: "ratings.shop.global", namespace: "shop", labels: &labels, edge: "b" };
    assert!(config.export[0].selects(&service) && config.import[0].selects(&service));
    assert!(!config.export[0].selects(&Candidate { labels: &BTreeMap::new(), ..service }));
    assert!(!config.export[0].selects(&Candidate { namespace: "bank", ..service }));
    assert!(!config.import[0].selects(&Candidate { host: "ratings.bank.global", ..service }));
    assert!(!config.import[0].selects(&Candidate { edge: "c", ..service }));
    assert_eq!(config.import_addresses.address(0), Some(Ipv4Addr::new(127, 0, 2, 1)));
    assert_eq!(config.import_addresses.address(254), None, "the last one is that of the whole range");
}

#[test]
fn without_a_word_nothing_is_selected() {
    assert_eq!(EdgeConfig::parse(" \n"), Ok(EdgeConfig::default()));
    assert!(EdgeConfig::default().export.is_empty() && EdgeConfig::default().import.is_empty());
}

#[test]
fn what_an_edge_without_control_plane_cannot_have_is_named() {
    for (text, problem) in [
        ("kubernetes: {namespace: imports}", "kubernetes: "),
        ("import: [{hosts: ['*'], mergeWithLocal: true}]", "import[].mergeWithLocal: "),
        ("terminate: {}", "terminate: "),
    ] {
        let config = EdgeConfig::parse(text).unwrap();
        assert!(config.check_for(&ALONE).unwrap_err().starts_with(problem), "{text}");
        assert_eq!(config.check_for(&IN_CLUSTER), Ok(()));
    }
    let config = EdgeConfig::parse("terminate: {certificate: c.pem, key: k.pem, authorities: a.pem}").unwrap();
    assert_eq!(config.check_for(&ALONE), Ok(()));
}

#[test]
fn no_worker_is_left_without_the_links_that_hubs_have_no_room_for() {
    assert!(2 * MOST_LINKS <= Limits::default().links_per_peer, "those of two processes, one of which takes over");
    let one = EdgeConfig::parse("uplinks: [10.0.0.1]").unwrap();
    let two = EdgeConfig::parse("uplinks: [10.0.0.1, 10.0.1.1]").unwrap();
    let check = |config: &EdgeConfig, workers| config.check_for(&Setting { workers, ..IN_CLUSTER });
    for (config, most) in [(&EdgeConfig::default(), 64), (&one, 64), (&two, 32)] {
        assert_eq!(check(config, most), Ok(()));
        assert!(check(config, most + 1).is_err());
    }
    let reason = check(&two, 35).unwrap_err();
    let words = "35 workers (--concurrency) with 2 addresses each (uplinks) are 70 links to every hub: there may be 64";
    assert_eq!(reason, words);
}

#[test]
fn everything_but_the_addresses_may_change() {
    let all = "
        export: [{hosts: ['*']}]
        import: [{hosts: ['*']}]
        datagrams: [{host: a, port: 53, listen: '127.0.0.1:53'}]
        uplinks: [10.0.0.1]
        trustDomain: mesh.example
        callers: []
        terminate: {}
        kubernetes: {namespace: imports}
        importAddresses: 127.98.0.0/16
    ";
    let (before, after) = (EdgeConfig::default(), EdgeConfig::parse(all).unwrap());
    assert_eq!(after.check_after(&before), Ok(()));
    let moved = EdgeConfig::parse("importAddresses: 127.99.0.0/16").unwrap();
    assert!(moved.check_after(&before).unwrap_err().starts_with("importAddresses: "));
}

#[test]
fn what_cannot_be_is_named() {
    for (text, problem) in [
        ("exports: []", "exports"),
        ("export: [{}]", "export[0] says nothing"),
        ("export: [{edges: [b]}]", "export[0] says nothing of services"),
        ("import: [{mergeWithLocal: true}]", "import[0] says nothing"),
        ("export: [{hosts: ['*'], mergeWithLocal: true}]", "export[0].mergeWithLocal"),
        ("kubernetes: {trafficDistribution: Any}", "PreferClose"),
        ("importAddresses: 127.0.2.1/24", "127.0.2.1/24"),
        ("importAddresses: 127.0.2.0/31", "127.0.2.0/31"),
        ("uplinks: [wan0]", "uplinks[0]"),
        ("uplinks: [10.0.0.1, 10.0.0.2, 10.0.0.1]", "uplinks[2]: 10.0.0.1"),
        ("uplinks: ['::1', '::2', '::3', '::4', '::5', '::6', '::7', '::8', '::9']", "there may be 8"),
        ("datagrams: [{host: '*', port: 53, listen: '127.0.0.1:53'}]", "datagrams[0].host"),
        ("datagrams: [{host: a, port: 53, listen: '127.0.0.1:0'}]", "datagrams[0]: a port is 0"),
        ("datagrams: [{host: a, port: 53, listen: localhost}]", "datagrams[0]"),
        (
            "datagrams: [{host: a, port: 1, listen: '[::1]:53'}, {host: b, port: 1, listen: '[::1]:53'}]",
            "datagrams[1].listen: [::1]:53",
        ),
        ("trustDomain: A.example", "A.example"),
        ("callers: [{trustDomain: 'spiffe://b'}]", "spiffe://b"),
        ("callers: [{edges: [b]}]", "trustDomain"),
        ("terminate: {certificate: tls.crt}", "certificate, key and authorities"),
    ] {
        let error = EdgeConfig::parse(text).unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[test]
fn a_file_of_brackets_is_refused_without_being_read() {
    for open in ["[", "{", "[{", "? ["] {
        let error = EdgeConfig::parse(&open.repeat(500_000)).unwrap_err();
        assert!(error.contains("nested deeper than 64"), "{open}: {error}");
    }
    assert!(EdgeConfig::parse(&"- {hosts: [a]}\n".repeat(100)).is_err_and(|error| !error.contains("nested")));
}
