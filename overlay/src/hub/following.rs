//! What the authority of a hub does by itself, as time goes by or by another hub with the same store.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::enroll::{Authority, AuthorityError, unix_now};
use crate::identity::Current;

/// How often the store is looked at, at most and, where certificates are good for a short time, at least: so many times in the life of one.
const LOOK: Duration = Duration::from_secs(30);
const LOOKS: u32 = 48;
/// How long after the start nothing is forgotten, which could not be undone: the clock may be wrong until the network is there.
const FORGET_AFTER: Duration = Duration::from_mins(5);
/// How often expired tokens are looked for.
const FORGET_EVERY: Duration = Duration::from_mins(10);

/// Tells all nodes, by way of this one, what the authority says of roots and of who was revoked; and forgets what has expired. While the store does not
/// work, what was said last holds.
pub(super) async fn follow(authority: &Authority, identity: Current) {
    let (mut forget_at, mut works) = (Instant::now() + FORGET_AFTER, true);
    loop {
        let looked = async {
            if Instant::now() >= forget_at {
                authority.forget_expired(unix_now()).await?;
                forget_at = Instant::now() + FORGET_EVERY;
            }
            tell(authority, &identity).await
        };
        match looked.await {
            Ok(()) if !works => {
                tracing::info!("the authority works again");
                works = true;
            }
            Ok(()) => {}
            Err(error) => {
                if works {
                    tracing::error!("the authority does not work: {error}");
                }
                works = false;
            }
        }
        sleep(LOOK.min(authority.lifetime() / LOOKS)).await;
    }
}

/// Takes what the authority says now; other nodes have it from this one.
pub(super) async fn tell(authority: &Authority, identity: &Current) -> Result<(), AuthorityError> {
    let trust = identity.borrow().trust().clone();
    let signed = authority.trust_after(&trust, unix_now()).await?;
    match trust.take(&signed) {
        Ok(_) => Ok(()),
        Err(error) => Err(AuthorityError::Disbelieved(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::sync::watch;
    use tokio::time::timeout;

    use super::*;
    use crate::enroll::{RedbStore, Store as _, TokenRequest};
    use crate::identity::{Identity, Trust};
    use crate::node::Peer;

    #[tokio::test]
    async fn nothing_is_forgotten_soon_after_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let store = Rc::new(RedbStore::open(&directory.path().join("store")).unwrap());
        let authority = Authority::new("mesh", store.clone()).unwrap();
        let (now, peer) = (unix_now(), Peer::Hub { name: "h".into() });
        authority.found([1; 32], now).await.unwrap();
        let request = TokenRequest { peer: peer.clone(), valid: Duration::from_secs(1), hubs: Vec::new() };
        authority.create_token(request, now - 3 * 24 * 3600).await.unwrap();

        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let chain = authority.sign_own(&peer, request.der(), now).await.unwrap().chain;
        let (own, roots) = chain.split_first().unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let trust = Arc::new(Trust::new(roots.to_vec()).unwrap());
        let identity = Identity::new("mesh", own.clone(), key, trust).unwrap();
        let (_sender, current) = watch::channel(Arc::new(identity));
        let tokens = async || store.list("token/").await.unwrap().len();

        tokio::time::pause();
        // Each time as if the hub was started then.
        for (runs, left) in [(FORGET_AFTER - LOOK, 1), (FORGET_AFTER + LOOK, 0)] {
            assert!(timeout(runs, follow(&authority, current.clone())).await.is_err());
            assert_eq!(tokens().await, left);
        }
    }
}
