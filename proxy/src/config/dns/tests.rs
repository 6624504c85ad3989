use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use xds_model::cluster::DnsFamily;
use xds_model::endpoint::{Endpoint, Health, Locality, LocalityEndpoints};

use super::name::of_family;
use super::*;

const REFRESH: Duration = Duration::from_secs(60);

/// Answers for each name, one for each look-up, the last for ever. A name without any is a black hole.
#[derive(Clone, Default)]
struct Servers(Arc<Mutex<HashMap<String, Answers>>>);

type Answers = Vec<Result<Vec<IpAddr>, String>>;

impl Servers {
    fn answer(self, name: &str, answers: &[&[u8]]) -> Self {
        let answers = answers.iter().map(|hosts| Ok(hosts.iter().map(|host| ip(*host)).collect())).collect();
        self.0.lock().unwrap().insert(name.to_owned(), answers);
        self
    }

    fn fail(self, name: &str) -> Self {
        self.0.lock().unwrap().insert(name.to_owned(), vec![Err("refused".to_owned())]);
        self
    }
}

impl NameServers for Servers {
    async fn look_up(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        let answer = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get_mut(name) {
                None => None,
                Some(answers) if answers.len() > 1 => Some(answers.remove(0)),
                Some(answers) => answers.first().cloned(),
            }
        };
        match answer {
            Some(answer) => answer.map(|addresses| (addresses, REFRESH)),
            None => std::future::pending().await,
        }
    }
}

fn ip(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

fn watch(servers: Servers, names: &[&str], first_address_only: bool) -> (DnsTask, mpsc::Receiver<Resolved>) {
    let endpoint = |name: &&str| Endpoint {
        address: EndpointAddress::Name((*name).to_owned(), 80),
        additional_addresses: Vec::new(),
        weight: 1,
        health: Health::Healthy,
        transport_match: Vec::new(),
        workload: None,
    };
    let locality = LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: 1,
        endpoints: names.iter().map(endpoint).collect(),
    };
    let endpoints = ClusterLoadAssignment { localities: vec![locality], ..ClusterLoadAssignment::default() };
    let (results, resolved) = mpsc::channel(8);
    let lookup = Lookup {
        number: 1,
        servers,
        places: Arc::new(Semaphore::new(MOST_AT_ONCE)),
        results,
        cluster: "cluster".into(),
        dns: Dns { endpoints, family: DnsFamily::All, refresh_rate: REFRESH, respect_ttl: false },
        first_address_only,
    };
    (DnsTask { task: tokio::spawn(lookup.run()), number: 1 }, resolved)
}

/// The last part of each published address; `None` if nothing is published for much longer than a refresh takes.
async fn published(resolved: &mut mpsc::Receiver<Resolved>) -> Option<Vec<u8>> {
    let update = tokio::time::timeout(REFRESH * 10, resolved.recv()).await.ok()??;
    let hosts = update.assignment.localities.iter().flat_map(|locality| &locality.endpoints);
    let host = |endpoint: &Endpoint| match &endpoint.address {
        EndpointAddress::Socket(SocketAddr::V4(address)) => address.ip().octets()[3],
        other => panic!("not resolved: {other:?}"),
    };
    Some(hosts.map(host).collect())
}

#[tokio::test(start_paused = true)]
async fn a_name_without_an_answer_does_not_hold_up_the_others() {
    let servers = Servers::default().answer("b", &[&[2], &[2], &[3]]);
    let (_task, mut resolved) = watch(servers, &["a-black-hole", "b"], false);
    assert_eq!(published(&mut resolved).await, Some(vec![2]));
    assert_eq!(published(&mut resolved).await, Some(vec![3]), "it is refreshed, too");
}

#[tokio::test(start_paused = true)]
async fn no_endpoint_is_published_only_when_every_name_has_failed() {
    let (_task, mut resolved) = watch(Servers::default().fail("a"), &["a", "black-hole"], false);
    assert_eq!(published(&mut resolved).await, None);
    let (_task, mut resolved) = watch(Servers::default().fail("a").fail("b"), &["a", "b"], false);
    assert_eq!(published(&mut resolved).await, Some(vec![]));
}

#[tokio::test(start_paused = true)]
async fn logical_dns_goes_by_the_first_address_of_each_answer() {
    let servers = Servers::default().answer("a", &[&[7, 1, 4], &[7, 4, 1], &[4, 1, 7], &[], &[1, 4, 7]]);
    let (_task, mut resolved) = watch(servers, &["a"], true);
    for first in [7, 4, 1] {
        assert_eq!(published(&mut resolved).await, Some(vec![first]));
    }
    assert_eq!(published(&mut resolved).await, None);
}

#[tokio::test(start_paused = true)]
async fn strict_dns_takes_all_and_a_rotated_answer_is_no_change() {
    let (_task, mut resolved) = watch(Servers::default().answer("a", &[&[7, 1, 4], &[4, 7, 1]]), &["a"], false);
    assert_eq!(published(&mut resolved).await, Some(vec![1, 4, 7]));
    assert_eq!(published(&mut resolved).await, None);
}

#[test]
fn families_are_chosen_as_configured() {
    let both = || vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    let only_v4 = || vec![IpAddr::from([127, 0, 0, 1])];
    assert_eq!(of_family(both(), DnsFamily::V4Only), only_v4());
    assert_eq!(of_family(both(), DnsFamily::Auto).len(), 1);
    assert!(of_family(both(), DnsFamily::Auto).iter().all(IpAddr::is_ipv6));
    assert_eq!(of_family(only_v4(), DnsFamily::Auto), only_v4());
    assert_eq!(of_family(only_v4(), DnsFamily::V6Only), Vec::<IpAddr>::new());
    assert_eq!(of_family(both(), DnsFamily::All).len(), 2);
}
