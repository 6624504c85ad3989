//! Secrets that have arrived, whoever served them.

use std::sync::Arc;

use hashbrown::HashMap;
use xds_model::secret::SecretContent;
use xds_model::tls::SecretReference;

use crate::tls::{self, Secrets, TlsError};

/// Content by server and name.
#[derive(Debug, Default)]
pub(super) struct SecretStore {
    contents: HashMap<SecretReference, Arc<SecretContent>>,
}

impl SecretStore {
    /// Takes over content; false if it is what was there before. Content that cannot be used does not take the place of
    /// other content: what is there serves on, as Envoy keeps a secret whose update it refuses.
    pub(super) fn insert(&mut self, reference: SecretReference, content: SecretContent) -> Result<bool, TlsError> {
        let known = self.contents.get(&reference);
        if known.is_some_and(|known| **known == content) {
            return Ok(false);
        }
        if known.is_some() {
            tls::check(&reference.name, &content)?;
        }
        self.contents.insert(reference, Arc::new(content));
        Ok(true)
    }

    /// Forgets a secret; false if it was not there.
    pub(super) fn remove(&mut self, reference: &SecretReference) -> bool {
        self.contents.remove(reference).is_some()
    }

    /// All of them, for the admin server.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SecretReference, &Arc<SecretContent>)> {
        self.contents.iter()
    }
}

impl Secrets for SecretStore {
    fn secret(&self, reference: &SecretReference) -> Option<Arc<SecretContent>> {
        self.contents.get(reference).cloned()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use xds_model::secret::TlsCertificate;
    use xds_model::tls::SecretServer;

    use super::*;

    fn reference() -> SecretReference {
        SecretReference { name: "web".to_owned(), server: SecretServer::Agent }
    }

    /// The certificate of one, the key of another.
    fn pair(certificate: &CertifiedKey<rcgen::KeyPair>, key: &CertifiedKey<rcgen::KeyPair>) -> SecretContent {
        SecretContent::Certificate(TlsCertificate {
            chain: certificate.cert.pem().into_bytes().into(),
            private_key: key.signing_key.serialize_pem().into_bytes().into(),
            ocsp_staple: Default::default(),
        })
    }

    #[test]
    fn what_cannot_be_used_does_not_replace_what_can() {
        let [old, new] = [(); 2].map(|()| generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap());
        let (good, mixed, better) = (pair(&old, &old), pair(&new, &old), pair(&new, &new));
        let mut store = SecretStore::default();
        assert_eq!(store.insert(reference(), good.clone()), Ok(true));
        assert_eq!(store.insert(reference(), good.clone()), Ok(false));
        let refused = store.insert(reference(), mixed.clone()).unwrap_err();
        assert_eq!(refused.to_string(), "web: the private key does not belong to the certificate");
        assert_eq!(*store.secret(&reference()).unwrap(), good);
        assert_eq!(store.insert(reference(), better.clone()), Ok(true));
        assert_eq!(*store.secret(&reference()).unwrap(), better);

        assert!(store.remove(&reference()));
        assert_eq!(store.insert(reference(), mixed.clone()), Ok(true), "alone, it tells the chain what is wrong");
        assert_eq!(store.insert(reference(), better), Ok(true));
    }
}
