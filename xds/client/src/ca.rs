//! Our own certificate, from istiod's certificate authority (`istio.v1.auth.IstioCertificateService`).
//!
//! The key is made here, anew for every certificate, and never leaves the process. At half of a certificate's life the next one
//! is asked for; the present one stays in use until there is a next.

mod issue;
mod roots;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rand::Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::back_off::BackOff;
use crate::control_plane::ControlPlane;

use roots::Roots;

/// What Istio's agent asks for.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// Share of a certificate's life after which the next is asked for, and how far that is spread.
const ROTATION: f64 = 0.5;
const ROTATION_JITTER: f64 = 0.01;

/// However short-lived certificates are, they are not asked for more often than this.
const SHORTEST_ROTATION: Duration = Duration::from_secs(1);

/// What the client is started with.
#[derive(Clone, Debug)]
pub struct CaOptions {
    /// Whom to ask; it needs TLS and a token.
    pub control_plane: ControlPlane,
    /// Who we are. istiod goes by the token.
    pub identity: SpiffeId,
    /// Lifetime to ask for; the authority may give less.
    pub validity: Duration,
    /// First back-off after a failure; it doubles.
    pub back_off_minimum: Duration,
    /// Longest back-off.
    pub back_off_maximum: Duration,
}

/// `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffeId {
    /// `cluster.local` by default.
    pub trust_domain: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Kubernetes service account.
    pub service_account: String,
}

/// A certificate in use.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// PEM, the leaf first, without the roots.
    pub chain: String,
    /// PEM, PKCS #8.
    pub key: String,
    /// PEM: the authority's roots, and those of before as long as certificates under them may be in use.
    pub roots: String,
    /// The URI name in the certificate.
    pub spiffe_id: Option<String>,
    /// Start of its life.
    pub not_before: SystemTime,
    /// End of its life.
    pub not_after: SystemTime,
}

/// How the client is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaStatus {
    /// Certificates received.
    pub issued: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Why the last one did.
    pub last_failure: Option<String>,
}

/// The running client. Dropping it ends it.
#[derive(Debug)]
pub struct CertificateClient {
    status: Arc<Mutex<CaStatus>>,
    task: JoinHandle<()>,
}

impl CaOptions {
    /// With the usual lifetime and back-off.
    #[must_use]
    pub fn new(control_plane: ControlPlane, identity: SpiffeId) -> Self {
        Self {
            control_plane,
            identity,
            validity: DEFAULT_VALIDITY,
            back_off_minimum: Duration::from_millis(100),
            back_off_maximum: Duration::from_secs(30),
        }
    }
}

impl CertificateClient {
    /// Starts the client on the present runtime. The channel holds `None` until the first certificate is there.
    #[must_use]
    pub fn spawn(options: CaOptions) -> (Self, watch::Receiver<Option<Arc<Identity>>>) {
        let status = Arc::new(Mutex::new(CaStatus::default()));
        let (sender, receiver) = watch::channel(None);
        let task = tokio::spawn(rotate(options, status.clone(), sender));
        (Self { status, task }, receiver)
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> CaStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for CertificateClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, namespace, service_account } = self;
        write!(formatter, "spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")
    }
}

impl fmt::Debug for Identity {
    /// Never shows the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Identity");
        shown.field("spiffe_id", &self.spiffe_id).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

async fn rotate(options: CaOptions, status: Arc<Mutex<CaStatus>>, sender: watch::Sender<Option<Arc<Identity>>>) {
    let mut roots = Roots::default();
    let mut back_off = BackOff::new(options.back_off_minimum, options.back_off_maximum);
    loop {
        let wait = match issue::issue(&options, &mut roots).await {
            Ok(identity) => {
                back_off.reset();
                status.lock().unwrap_or_else(PoisonError::into_inner).issued += 1;
                let wait = until_rotation(&identity, SystemTime::now());
                info!(identity = identity.spiffe_id, next = ?wait, "a certificate was issued");
                sender.send_replace(Some(Arc::new(identity)));
                wait
            }
            Err(reason) => {
                let wait = back_off.wait();
                warn!(?wait, "no certificate from the certificate authority: {reason}");
                let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
                status.failures += 1;
                status.last_failure = Some(reason);
                wait
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Half of the life that is left, so that a clock that is wrong at our end delays nothing beyond the end.
fn until_rotation(identity: &Identity, now: SystemTime) -> Duration {
    let left = identity.not_after.duration_since(now).unwrap_or_default();
    let share = ROTATION + rand::rng().random_range(-ROTATION_JITTER..=ROTATION_JITTER);
    left.mul_f64(share).max(SHORTEST_ROTATION)
}
