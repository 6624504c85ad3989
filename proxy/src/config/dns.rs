//! Endpoints given by name: looked up on control, so that workers only ever see addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use rand::Rng as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use xds_model::cluster::{Dns, DnsFamily};
use xds_model::endpoint::{ClusterLoadAssignment, EndpointAddress};

/// Time before a failed look-up is tried again at first; doubled up to the refresh rate.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// No record is looked up more often than this, whatever its TTL says.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// The addresses of one DNS cluster.
#[derive(Debug)]
pub struct Resolved {
    /// Name of the cluster.
    pub cluster: Arc<str>,
    /// The assignment with addresses in place of names. After failures it is the last good one; empty if there was none.
    pub assignment: ClusterLoadAssignment,
}

/// Looks the names of DNS clusters up, again and again.
#[derive(Debug)]
pub struct DnsResolver {
    resolver: TokioResolver,
    results: mpsc::Sender<Resolved>,
}

impl DnsResolver {
    /// With the system's name servers and hosts file. Results go to `results`.
    ///
    /// # Errors
    /// The system's resolver configuration cannot be read.
    pub fn new(results: mpsc::Sender<Resolved>) -> Result<Self, String> {
        let resolver = TokioResolver::builder_tokio()
            .and_then(|builder| builder.build())
            .map_err(|error| format!("resolver configuration of the system: {error}"))?;
        Ok(Self { resolver, results })
    }

    /// Starts looking up a cluster's names; dropping the result stops it.
    pub fn watch(&self, cluster: Arc<str>, dns: Dns, first_address_only: bool) -> DnsTask {
        let lookup = Lookup {
            resolver: self.resolver.clone(),
            results: self.results.clone(),
            cluster,
            dns,
            first_address_only,
            known: BTreeMap::new(),
        };
        DnsTask(tokio::spawn(lookup.run()))
    }
}

/// A running look-up.
#[derive(Debug)]
pub struct DnsTask(JoinHandle<()>);

impl Drop for DnsTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Lookup {
    resolver: TokioResolver,
    results: mpsc::Sender<Resolved>,
    cluster: Arc<str>,
    dns: Dns,
    /// LOGICAL_DNS: only the first address counts.
    first_address_only: bool,
    /// The last good answer for each name.
    known: BTreeMap<String, Vec<IpAddr>>,
}

impl Lookup {
    async fn run(mut self) {
        let mut retry = FIRST_RETRY;
        let mut last = None;
        loop {
            let outcome = self.look_up_all().await;
            let assignment = self.assignment();
            if last.as_ref() != Some(&assignment) {
                last = Some(assignment.clone());
                if self.results.send(Resolved { cluster: self.cluster.clone(), assignment }).await.is_err() {
                    return;
                }
            }
            let pause = match outcome {
                Ok(ttl) => {
                    retry = FIRST_RETRY;
                    ttl.filter(|_| self.dns.respect_ttl).unwrap_or(self.dns.refresh_rate).max(SHORTEST_REFRESH)
                }
                Err(name_and_reason) => {
                    tracing::warn!(cluster = %self.cluster, "{name_and_reason}");
                    let pause = retry;
                    retry = (retry * 2).min(self.dns.refresh_rate);
                    pause
                }
            };
            let jitter = Duration::from_millis(rand::rng().random_range(0..100));
            tokio::time::sleep(pause + jitter).await;
        }
    }

    /// The shortest time to live of all answers (`None` without names), or the first name that could not be resolved.
    async fn look_up_all(&mut self) -> Result<Option<Duration>, String> {
        let mut shortest: Option<Duration> = None;
        let mut failure = None;
        for name in names(&self.dns.endpoints) {
            match self.look_up(&name).await {
                Ok((addresses, ttl)) => {
                    shortest = Some(shortest.map_or(ttl, |found| found.min(ttl)));
                    self.known.insert(name, addresses);
                }
                Err(reason) => failure = failure.or(Some(format!("name `{name}`: {reason}"))),
            }
        }
        failure.map_or(Ok(shortest), Err)
    }

    async fn look_up(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        let answer = self.resolver.lookup_ip(name).await.map_err(|error| error.to_string())?;
        let ttl = answer.valid_until().saturating_duration_since(Instant::now());
        let addresses = of_family(answer.iter().collect(), self.dns.family);
        Ok((if self.first_address_only { first(addresses)? } else { in_order(addresses) }, ttl))
    }

    fn assignment(&self) -> ClusterLoadAssignment {
        let mut assignment = self.dns.endpoints.clone();
        for locality in &mut assignment.localities {
            locality.endpoints = locality
                .endpoints
                .iter()
                .flat_map(|endpoint| {
                    resolve_address(&endpoint.address, &self.known).into_iter().map(|address| {
                        let mut resolved = endpoint.clone();
                        resolved.address = EndpointAddress::Socket(address);
                        resolved
                    })
                })
                .collect();
        }
        assignment
    }
}

fn names(assignment: &ClusterLoadAssignment) -> Vec<String> {
    let mut names: Vec<String> = assignment
        .localities
        .iter()
        .flat_map(|locality| &locality.endpoints)
        .filter_map(|endpoint| match &endpoint.address {
            EndpointAddress::Name(name, _) => Some(name.clone()),
            EndpointAddress::Socket(_) | EndpointAddress::Unix(_) => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn resolve_address(address: &EndpointAddress, known: &BTreeMap<String, Vec<IpAddr>>) -> Vec<SocketAddr> {
    match address {
        EndpointAddress::Socket(address) => vec![*address],
        EndpointAddress::Name(name, port) => {
            known.get(name).into_iter().flatten().map(|ip| SocketAddr::new(*ip, *port)).collect()
        }
        EndpointAddress::Unix(_) => Vec::new(),
    }
}

/// As in Envoy: the first of each answer, so that servers that rotate theirs spread the gateways, and an answer without any is no
/// reason to let the address go (`logical_dns_cluster.cc`).
fn first(mut addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, String> {
    addresses.truncate(1);
    if addresses.is_empty() {
        return Err("no address of the family that is asked for".to_owned());
    }
    Ok(addresses)
}

/// An order of our own: servers rotate their answers, and that is no change.
fn in_order(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_unstable();
    addresses
}

/// `DnsLookupFamily` applied to an answer that holds both families.
fn of_family(addresses: Vec<IpAddr>, family: DnsFamily) -> Vec<IpAddr> {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    match family {
        DnsFamily::V4Only => v4,
        DnsFamily::V6Only => v6,
        DnsFamily::V4Preferred if !v4.is_empty() => v4,
        DnsFamily::V4Preferred => v6,
        DnsFamily::Auto if !v6.is_empty() => v6,
        DnsFamily::Auto => v4,
        DnsFamily::All => v4.into_iter().chain(v6).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn logical_dns_takes_the_first_address_and_strict_dns_all() {
        let answer = || [7, 1, 4].map(|host| IpAddr::from([10, 0, 0, host])).to_vec();
        assert_eq!(first(answer()).unwrap(), [IpAddr::from([10, 0, 0, 7])]);
        assert!(first(Vec::new()).is_err());
        assert_eq!(in_order(answer()), [1, 4, 7].map(|host| IpAddr::from([10, 0, 0, host])));
    }
}
