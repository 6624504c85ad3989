//! A hub that has the authority of its overlay: found in its store, or made by the first start with an empty folder.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};

use super::{HubError, StoreOptions};
use crate::enroll::{Authority, AuthorityError, EtcdStore, RedbStore, unix_now};
use crate::folder::Folder;
use crate::node::Peer;

const STORE: &str = "authority.redb";

/// How the hub was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Founding<'a> {
    pub(super) folder: &'a Folder,
    pub(super) store: &'a StoreOptions,
    pub(super) name: Option<&'a str>,
    pub(super) overlay: Option<&'a str>,
    pub(super) lifetime: Option<Duration>,
}

impl Founding<'_> {
    /// The authority, if the hub has it; an empty folder begins one. Afterwards there is a certificate for the hub.
    pub(super) async fn authority(self) -> Result<Option<Authority>, HubError> {
        let folder = self.folder;
        if !folder.has_joined()? {
            let (Some(name), Some(overlay)) = (self.name, self.overlay) else { return Err(HubError::NotJoined) };
            return self.found(name, overlay).await.map(Some);
        }
        let present = folder.identity(Arc::default())?;
        let authority = match (self.store, folder.has_authority()?) {
            (StoreOptions::File, false) => return Ok(None),
            (StoreOptions::File, true) => {
                // An empty store would have forgotten which tokens were used.
                let store = RedbStore::open_existing(&folder.path().join(STORE))?;
                Authority::new(present.overlay(), Rc::new(store))
            }
            (StoreOptions::Etcd(_), true) => return Err(HubError::TwoStores(folder.path().join(STORE))),
            (StoreOptions::Etcd(etcd), false) => {
                Authority::new(present.overlay(), Rc::new(EtcdStore::new(etcd, present.overlay())?))
            }
        }?;
        let authority = self.with_lifetime(authority);
        let (request, now) = (present.certificate_request()?, unix_now());
        // What was heard may be signed by roots that are gone.
        let heard = folder.trust().unwrap_or_default();
        let renewed = async {
            let issued = authority.renew(present.peer(), &request, now).await?;
            Ok((issued.chain, authority.trust_after(&heard, now).await?))
        };
        match renewed.await {
            Ok((chain, trust)) => folder.begin(&chain, Some(&trust))?,
            // It has a certificate, and relays without the authority.
            Err(error @ (AuthorityError::Store(_) | AuthorityError::OldCopy(_))) => {
                tracing::error!("the authority does not work: {error}");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Some(authority))
    }

    async fn found(self, name: &str, overlay: &str) -> Result<Authority, HubError> {
        let folder = self.folder;
        let (authority, has_authority) = match self.store {
            StoreOptions::File => (Authority::new(overlay, Rc::new(self.store_to_found()?))?, true),
            StoreOptions::Etcd(_) if folder.has(STORE)? => return Err(HubError::TwoStores(folder.path().join(STORE))),
            StoreOptions::Etcd(etcd) => (Authority::new(overlay, Rc::new(EtcdStore::new(etcd, overlay)?))?, false),
        };
        let authority = self.with_lifetime(authority);
        let key = KeyPair::from_pem(&folder.key()?).map_err(|error| folder.damaged("key.pem", &error))?;
        match authority.found(Sha256::digest(key.der_bytes()).into(), unix_now()).await {
            Err(AuthorityError::Founded(_)) if has_authority => {
                let problem = "has the authority of another overlay, or of one that another key.pem has founded; \
                               restore the copy of the whole folder, or begin with another folder";
                return Err(folder.damaged(STORE, &problem).into());
            }
            founded => founded?,
        }
        let request = CertificateParams::default().serialize_request(&key);
        let request = request.map_err(|error| folder.damaged("key.pem", &error))?;
        let issued = authority.sign_own(&Peer::Hub { name: name.into() }, request.der(), unix_now()).await?;
        folder.begin(&issued.chain, None)?;
        folder.keep_membership(overlay, &[], has_authority)?;
        Ok(authority)
    }

    /// The store of an authority that has no node yet. What is in it stays: it is what an interrupted start has left, or the authority of an overlay whose
    /// `node.json` was lost.
    fn store_to_found(self) -> Result<RedbStore, HubError> {
        let path = self.folder.path().join(STORE);
        // A certificate is kept after the first root.
        let store =
            if self.folder.has_certificate()? { RedbStore::open_existing(&path) } else { RedbStore::open(&path) };
        Ok(store?)
    }

    fn with_lifetime(self, authority: Authority) -> Authority {
        match self.lifetime {
            Some(lifetime) => authority.with_lifetime(lifetime),
            None => authority,
        }
    }
}
