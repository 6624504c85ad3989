use xds_model::route::{RouteHeaders, VirtualHost};

use super::*;

fn control() -> Control {
    let (resolved, _) = mpsc::channel(1);
    Control::new(ControlOptions {
        publisher: Publisher::new([]),
        sockets: SocketTable::default(),
        workers: 1,
        logs: AccessLogSinks::start().unwrap(),
        tickets: SessionTickets::new().unwrap(),
        resolver: DnsResolver::new(resolved).unwrap(),
        agent_secrets: watch::Sender::new(BTreeSet::new()),
    })
}

/// A table with one domain in as many virtual hosts.
fn table(hosts: usize) -> Resource {
    let host = |number: usize| VirtualHost {
        name: format!("host {number}"),
        domains: vec!["a.test".to_owned()],
        routes: Vec::new(),
        require_tls: false,
        include_request_attempt_count: false,
        retry: None,
        headers: RouteHeaders::default(),
    };
    Resource::Route(Arc::new(RouteConfiguration {
        name: "same".to_owned(),
        virtual_hosts: (0..hosts).map(host).map(Arc::new).collect(),
        ignore_port_in_host_matching: false,
        headers: RouteHeaders::default(),
    }))
}

#[tokio::test]
async fn problems_of_two_kinds_with_one_name_are_both_shown() {
    let mut control = control();
    let kinds = |control: &Control| control.status().problems.iter().map(|problem| problem.kind).collect::<Vec<_>>();
    control.apply(vec![Event::Upsert(table(2))]).await;
    control.agent_secret(SecretUpdate { name: "same".to_owned(), content: Err("not there".to_owned()) });
    assert_eq!(kinds(&control), [ResourceType::Route, ResourceType::Secret]);
    control.apply(vec![Event::Remove { kind: ResourceType::Cluster, name: "same".into() }]).await;
    assert_eq!(kinds(&control), [ResourceType::Route, ResourceType::Secret]);
    control.apply(vec![Event::Upsert(table(1))]).await;
    assert_eq!(kinds(&control), [ResourceType::Secret]);
}
