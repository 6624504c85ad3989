//! Endpoints given by name: looked up on control, so that workers only ever see addresses.

mod failures;
mod name;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hickory_resolver::TokioResolver;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use xds_model::cluster::Dns;
use xds_model::endpoint::{ClusterLoadAssignment, EndpointAddress};

use self::name::{Answer, Name, NameServers};

/// Names that are looked up at once, over all clusters.
const MOST_AT_ONCE: usize = 128;

/// Answers that wait until their cluster takes them in; then the names wait.
const QUEUE: usize = 64;

/// The addresses of one DNS cluster.
#[derive(Debug)]
pub struct Resolved {
    /// Name of the cluster.
    pub cluster: Arc<str>,
    /// Of the look-up that found it, see [`DnsTask::number`].
    pub number: u64,
    /// The assignment with addresses in place of names. After failures it is the last good one; empty if there was none.
    pub assignment: ClusterLoadAssignment,
}

/// Looks the names of DNS clusters up, again and again.
#[derive(Debug)]
pub struct DnsResolver {
    resolver: TokioResolver,
    places: Arc<Semaphore>,
    results: mpsc::Sender<Resolved>,
    last_number: AtomicU64,
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
        Ok(Self { resolver, places: Arc::new(Semaphore::new(MOST_AT_ONCE)), results, last_number: AtomicU64::new(0) })
    }

    /// Starts looking up a cluster's names; dropping the result stops it.
    pub fn watch(&self, cluster: Arc<str>, dns: Dns, first_address_only: bool) -> DnsTask {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let lookup = Lookup {
            number,
            servers: self.resolver.clone(),
            places: self.places.clone(),
            results: self.results.clone(),
            cluster,
            dns,
            first_address_only,
        };
        DnsTask { task: tokio::spawn(lookup.run()), number }
    }
}

/// A running look-up.
#[derive(Debug)]
pub struct DnsTask {
    task: JoinHandle<()>,
    number: u64,
}

impl DnsTask {
    /// Tells its results from those of an earlier look-up for a cluster of that name, which may still be on their way.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for DnsTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Lookup<Servers> {
    number: u64,
    servers: Servers,
    places: Arc<Semaphore>,
    results: mpsc::Sender<Resolved>,
    cluster: Arc<str>,
    dns: Dns,
    /// LOGICAL_DNS: only the first address counts.
    first_address_only: bool,
}

impl<Servers: NameServers> Lookup<Servers> {
    /// Each name is looked up on its own time, as in Envoy, and what is known is published whenever an answer changes it.
    async fn run(self) {
        let names = names(&self.dns.endpoints);
        let mut unanswered = names.len();
        let mut known: BTreeMap<Arc<str>, Option<Vec<IpAddr>>> = BTreeMap::new();
        let mut last = None;
        // The tasks end with this one.
        let (_tasks, mut answers) = self.look_up(names);
        loop {
            let assignment = self.assignment(&known);
            // No endpoint is a verdict: requests fail. It needs an answer, or a failure, of every name.
            let says_something =
                unanswered == 0 || assignment.localities.iter().any(|found| !found.endpoints.is_empty());
            if says_something && last.as_ref() != Some(&assignment) {
                last = Some(assignment.clone());
                if self
                    .results
                    .send(Resolved { cluster: self.cluster.clone(), number: self.number, assignment })
                    .await
                    .is_err()
                {
                    return;
                }
            }
            let mut arrived = Vec::new();
            if answers.recv_many(&mut arrived, QUEUE).await == 0 {
                return;
            }
            for Answer { name, addresses } in arrived {
                let before = known.entry(name).or_insert_with(|| {
                    unanswered = unanswered.saturating_sub(1);
                    None
                });
                // After a failure the last good answer stays.
                *before = addresses.or(before.take());
            }
        }
    }

    /// Starts looking up all names.
    fn look_up(&self, names: Vec<Arc<str>>) -> (JoinSet<()>, mpsc::Receiver<Answer>) {
        let (sender, answers) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        for name in names {
            let name = Name {
                name,
                servers: self.servers.clone(),
                places: self.places.clone(),
                answers: sender.clone(),
                cluster: self.cluster.clone(),
                family: self.dns.family,
                first_address_only: self.first_address_only,
                refresh_rate: self.dns.refresh_rate,
                respect_ttl: self.dns.respect_ttl,
            };
            tasks.spawn(name.run());
        }
        (tasks, answers)
    }

    fn assignment(&self, known: &BTreeMap<Arc<str>, Option<Vec<IpAddr>>>) -> ClusterLoadAssignment {
        let mut assignment = self.dns.endpoints.clone();
        for locality in &mut assignment.localities {
            locality.endpoints = locality
                .endpoints
                .iter()
                .flat_map(|endpoint| {
                    resolve_address(&endpoint.address, known).into_iter().map(|address| {
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

fn names(assignment: &ClusterLoadAssignment) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = assignment
        .localities
        .iter()
        .flat_map(|locality| &locality.endpoints)
        .filter_map(|endpoint| match &endpoint.address {
            EndpointAddress::Name(name, _) => Some(name.as_str().into()),
            EndpointAddress::Socket(_) | EndpointAddress::Unix(_) => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn resolve_address(address: &EndpointAddress, known: &BTreeMap<Arc<str>, Option<Vec<IpAddr>>>) -> Vec<SocketAddr> {
    match address {
        EndpointAddress::Socket(address) => vec![*address],
        EndpointAddress::Name(name, port) => {
            known.get(name.as_str()).into_iter().flatten().flatten().map(|ip| SocketAddr::new(*ip, *port)).collect()
        }
        EndpointAddress::Unix(_) => Vec::new(),
    }
}
