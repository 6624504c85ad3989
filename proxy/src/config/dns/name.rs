//! One name, looked up again and again.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use rand::Rng as _;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use xds_model::cluster::DnsFamily;

use super::failures::Failures;

/// Time before a failed look-up is tried again at first; doubled up to the refresh rate.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// No record is looked up more often than this, whatever its TTL says.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// Who knows addresses.
pub(super) trait NameServers: Clone + Send + Sync + 'static {
    /// The addresses of a name in the order of the answer, and how long they hold.
    fn look_up(&self, name: &str) -> impl Future<Output = Result<(Vec<IpAddr>, Duration), String>> + Send;
}

impl NameServers for TokioResolver {
    async fn look_up(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        let answer = self.lookup_ip(name).await.map_err(|error| error.to_string())?;
        let ttl = answer.valid_until().saturating_duration_since(std::time::Instant::now());
        Ok((answer.iter().collect(), ttl))
    }
}

/// What a look-up has found; `None` if it failed.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) name: Arc<str>,
    pub(super) addresses: Option<Vec<IpAddr>>,
}

pub(super) struct Name<Servers> {
    pub(super) name: Arc<str>,
    pub(super) servers: Servers,
    pub(super) places: Arc<Semaphore>,
    pub(super) answers: mpsc::Sender<Answer>,
    pub(super) cluster: Arc<str>,
    pub(super) family: DnsFamily,
    pub(super) first_address_only: bool,
    pub(super) refresh_rate: Duration,
    pub(super) respect_ttl: bool,
}

impl<Servers: NameServers> Name<Servers> {
    pub(super) async fn run(self) {
        let mut retry = FIRST_RETRY;
        let mut failures = Failures::default();
        loop {
            let outcome = self.look_up().await;
            self.log(&mut failures, outcome.as_ref().err());
            let (addresses, pause) = match outcome {
                Ok((addresses, ttl)) => {
                    retry = FIRST_RETRY;
                    let pause = if self.respect_ttl { ttl } else { self.refresh_rate };
                    (Some(addresses), pause.max(SHORTEST_REFRESH))
                }
                Err(_) => {
                    let pause = retry;
                    retry = (retry * 2).min(self.refresh_rate.max(SHORTEST_REFRESH));
                    (None, pause)
                }
            };
            if self.answers.send(Answer { name: self.name.clone(), addresses }).await.is_err() {
                return;
            }
            let jitter = Duration::from_millis(rand::rng().random_range(0..100));
            tokio::time::sleep(pause + jitter).await;
        }
    }

    async fn look_up(&self) -> Result<(Vec<IpAddr>, Duration), String> {
        // Nobody closes these: an error does not happen.
        let _place = self.places.acquire().await;
        let (addresses, ttl) = self.servers.look_up(&self.name).await?;
        let mut addresses = of_family(addresses, self.family);
        if self.first_address_only {
            // As in Envoy: the first of each answer, so that servers that rotate theirs spread the gateways, and an answer
            // without any is no reason to let the address go (`logical_dns_cluster.cc`).
            addresses.truncate(1);
            if addresses.is_empty() {
                return Err("no address of the family that is asked for".to_owned());
            }
        } else {
            // An order of our own: servers rotate their answers, and that is no change.
            addresses.sort_unstable();
        }
        Ok((addresses, ttl))
    }

    fn log(&self, failures: &mut Failures, reason: Option<&String>) {
        let (cluster, name) = (&self.cluster, &self.name);
        match reason {
            None => {
                if let Some(failed) = failures.succeeded() {
                    tracing::info!(%cluster, "name `{name}`: found again after {failed} failures");
                }
            }
            Some(reason) => match failures.failed(Instant::now()) {
                Some(1) => tracing::warn!(%cluster, "name `{name}`: {reason}"),
                Some(failed) => tracing::warn!(%cluster, "name `{name}`: {reason} ({failed} failures so far)"),
                None => {}
            },
        }
    }
}

/// `DnsLookupFamily` applied to an answer that holds both families.
pub(super) fn of_family(addresses: Vec<IpAddr>, family: DnsFamily) -> Vec<IpAddr> {
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
