//! Certificates are renewed when half of their time is over, with the one that there is. Whoever has none any more has to join again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::Rng as _;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::authority::{Authority, AuthorityError};
use super::exchange::{Renew, ask, ask_all, certificates};
use super::server::unix_now;
use crate::folder::{Folder, FolderError};
use crate::identity::{Identity, IdentityError, RENEW_PROTOCOL};

/// Between two attempts, at first and at most, each with up to a half more at random.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The certificate in the folder is looked at so often: whoever joins beside a process that runs has replaced it.
const LOOK_AT_FOLDER: Duration = Duration::from_secs(2);
/// The clock is looked at so often: it may be set, and a machine may sleep.
const LOOK: Duration = Duration::from_secs(30);
/// Nodes that joined together do not all renew together: up to this part of the lifetime later.
const SPREAD: u32 = 20;

/// Why there is no new certificate.
#[derive(Debug, Error)]
pub enum RenewError {
    /// No hub can be asked, or knows.
    #[error("no hub can be reached that signs: {0}")]
    Unreachable(String),
    /// No hub signs, and one at least says no.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// What it answered cannot be used.
    #[error("the answer: {0}")]
    Answer(String),
    /// The identity is of no use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The authority in this process says so.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Where the hubs are cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Keeps the certificate of a folder good for as long as it runs: asks the hubs that the folder names, keeps what they answer, and tells whoever uses
/// the identity.
pub async fn keep(folder: Folder, identity: watch::Sender<Arc<Identity>>) {
    let asked = folder.clone();
    keep_by(folder, identity, async move |current| buy(current, &asked.hubs()?).await).await;
}

/// As [`keep`], where the authority is in the same process.
pub(crate) async fn keep_own(folder: Folder, identity: watch::Sender<Arc<Identity>>, authority: &Authority) {
    keep_by(folder, identity, async |current: Arc<Identity>| {
        let issued = authority.renew(current.peer(), &current.certificate_request()?, unix_now()).await?;
        issued.chain.into_iter().next().ok_or_else(|| RenewError::Answer("no certificate".into()))
    })
    .await;
}

async fn keep_by(
    folder: Folder,
    identity: watch::Sender<Arc<Identity>>,
    ask: impl AsyncFn(Arc<Identity>) -> Result<CertificateDer<'static>, RenewError>,
) {
    let mut again = Instant::now();
    loop {
        let current = identity.borrow().clone();
        let renewed = tokio::select! {
            renewed = async { until_due(&current, again).await; renew(&current, &ask).await } => renewed,
            joined = joined_again(&folder, &current) => {
                tracing::info!("the folder has another certificate, which is used from now on");
                identity.send_replace(joined);
                continue;
            }
        };
        identity.send_replace(renewed.clone());
        again = Instant::now() + LONGEST_PAUSE;
        tracing::info!("the certificate was renewed");
        let folder = folder.clone();
        let kept = spawn_blocking(move || folder.keep_certificate(&renewed.chain())).await;
        // It is used nevertheless: what would be lost now is this node, and not only its next start.
        if let Err(error) = kept.map_err(io::Error::other).and_then(|kept| kept.map_err(io::Error::other)) {
            tracing::error!("the new certificate cannot be kept: {error}");
        }
    }
}

/// Waits until the folder has another certificate of this node that is good for longer.
async fn joined_again(folder: &Folder, current: &Arc<Identity>) -> Arc<Identity> {
    let mut looked_at = current.chain().into_iter().next();
    loop {
        sleep(LOOK_AT_FOLDER).await;
        // What cannot be read is somebody's who is writing it, or is said at the next start.
        let Ok((found, _)) = folder.certificates() else { continue };
        if looked_at.as_ref() == Some(&found) {
            continue;
        }
        match current.with_certificate(found.clone()) {
            Ok(other) if end_of(&other) > end_of(current) => return Arc::new(other),
            Ok(_) => {}
            Err(error) => tracing::error!("the folder has another certificate, which this process cannot use: {error}"),
        }
        looked_at = Some(found);
    }
}

fn end_of(identity: &Identity) -> i64 {
    identity.validity().map_or(0, |(_, end)| end)
}

/// Asks until there is one.
async fn renew(
    current: &Arc<Identity>,
    ask: &impl AsyncFn(Arc<Identity>) -> Result<CertificateDer<'static>, RenewError>,
) -> Arc<Identity> {
    let mut pause = FIRST_PAUSE;
    loop {
        let asked = ask(current.clone()).await;
        let renewed = asked.and_then(|certificate| Ok(current.with_certificate(certificate)?));
        match renewed {
            Ok(renewed) => return Arc::new(renewed),
            Err(error) => tracing::warn!("the certificate is not renewed: {error}{}", what_is_left(current)),
        }
        let wait = pause + rand::rng().random_range(Duration::ZERO..pause / 2);
        sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn what_is_left(identity: &Identity) -> String {
    match identity.validity() {
        Ok((_, end)) if end <= now() => "; it is good no longer: this node has to join again with a new token".into(),
        Ok((_, end)) => format!("; it is good for {:?}", seconds(end - now())),
        Err(error) => format!("; {error}"),
    }
}

/// Waits for the half of the life of a certificate. One that begins in the future was made by a clock that was ahead: nobody may believe it, and its half is
/// far. It is renewed at once, but not before `again`, should the clocks still differ.
async fn until_due(identity: &Identity, again: Instant) {
    // A certificate that cannot be read is renewed at once.
    let (begin, end) = identity.validity().unwrap_or_default();
    let lifetime = seconds(end - begin);
    let spread = rand::rng().random_range(Duration::ZERO..=lifetime / SPREAD);
    loop {
        let left = seconds(end - now());
        let due = lifetime / 2;
        let is_early = begin > now() && again <= Instant::now();
        if is_early || left + spread <= due {
            return;
        }
        sleep((left + spread - due).min(LOOK)).await;
    }
}

/// Asks one hub after the other.
async fn buy(current: Arc<Identity>, hubs: &[String]) -> Result<CertificateDer<'static>, RenewError> {
    let question = Renew { request: BASE64_STANDARD.encode(current.certificate_request()?) };
    let config = current.client(RENEW_PROTOCOL)?;
    match ask_all(hubs, |hub| ask(config.clone(), hub, &question)).await {
        // Which roots to believe is said over links, signed.
        Ok(chain) => certificates(&chain).map(|(own, _)| own).map_err(RenewError::Answer),
        Err(reasons) if reasons.is_refusal => Err(RenewError::Refused(reasons.to_string())),
        Err(reasons) => Err(RenewError::Unreachable(reasons.to_string())),
    }
}

fn now() -> i64 {
    i64::try_from(unix_now()).unwrap_or(i64::MAX)
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::time::timeout;

    use super::*;
    use crate::enroll::RedbStore;
    use crate::identity::Trust;
    use crate::node::Peer;

    const DAY: u64 = 24 * 3600;

    /// With a certificate that was made then.
    async fn identity(made: u64) -> Identity {
        let directory = tempfile::tempdir().unwrap();
        let store = RedbStore::open(&directory.path().join("store")).unwrap();
        let authority = Authority::new("mesh", Rc::new(store)).unwrap();
        authority.found([1; 32], made).await.unwrap();
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let peer = Peer::Hub { name: "h".into() };
        let certificate = authority.sign_own(&peer, request.der(), made).await.unwrap().chain.swap_remove(0);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Identity::new("mesh", certificate, key, Arc::new(Trust::default())).unwrap()
    }

    #[tokio::test]
    async fn a_certificate_of_the_future_is_renewed_at_once_and_not_all_the_time() {
        let (good, future) = (identity(unix_now()).await, identity(unix_now() + 30 * DAY).await);
        tokio::time::pause();
        let begun = Instant::now();
        let is_due = async |identity: &Identity, again| {
            let due = timeout(Duration::from_hours(1), until_due(identity, again)).await;
            (due.is_ok(), begun.elapsed())
        };
        assert_eq!(is_due(&future, begun).await, (true, Duration::ZERO));
        let (is_renewed, after) = is_due(&future, begun + LONGEST_PAUSE).await;
        assert!(is_renewed && (LONGEST_PAUSE..=LONGEST_PAUSE + LOOK).contains(&after), "{after:?}");
        assert!(!is_due(&good, begun).await.0);
    }
}
