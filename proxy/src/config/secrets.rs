//! Secrets that have arrived, whoever served them.

use std::sync::Arc;

use hashbrown::HashMap;
use xds_model::secret::SecretContent;
use xds_model::tls::{SecretReference, SecretServer};

use crate::identity;
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

    /// Forgets the files' secrets but those that are wanted.
    pub(super) fn retain_files(&mut self, is_wanted: impl Fn(&str) -> bool) {
        let is_file = |reference: &SecretReference| {
            reference.server == SecretServer::Agent && identity::is_file_secret(&reference.name)
        };
        self.contents.retain(|reference, _| !is_file(reference) || is_wanted(&reference.name));
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
    use xds_model::secret::{CertificateAuthorities, TlsCertificate};

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

    /// The mistakes of those who paste keys: no line breaks, or a marker that is not alone on its line.
    #[test]
    fn what_is_said_of_a_key_never_quotes_it() {
        let key = generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let text = key.signing_key.serialize_pem();
        let mangled = [text.replace('\n', " "), text.replacen('\n', "", 1), text.replace("-----END", "END")];
        let body: String = text.lines().nth(1).unwrap().chars().take(20).collect();
        let as_numbers: Vec<String> = body.bytes().map(|byte| byte.to_string()).collect();
        for mangled in mangled {
            let content = SecretContent::Certificate(TlsCertificate {
                chain: key.cert.pem().into_bytes().into(),
                private_key: mangled.into_bytes().into(),
                ocsp_staple: Default::default(),
            });
            let said = tls::check("web", &content).unwrap_err().to_string();
            assert!(said.starts_with("web: bad private key PEM: "), "{said}");
            assert!(!said.contains(&body) && !said.contains(&as_numbers.join(", ")), "{said}");
        }
    }

    #[test]
    fn a_revocation_list_that_is_none_is_not_taken_for_an_empty_one() {
        let authority = generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let with = |crl: &'static str| {
            SecretContent::Authorities(CertificateAuthorities {
                certificates: authority.cert.pem().into_bytes().into(),
                crl: crl.as_bytes().into(),
            })
        };
        assert_eq!(tls::check("ca", &with("\n")), Ok(()));
        for wrong in [
            "<html>",
            "-----BEGIN CRL-----\nAAAA\n-----END CRL-----\n",
            "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        ] {
            let said = tls::check("ca", &with(wrong)).unwrap_err().to_string();
            assert!(said.contains("revocation list"), "{said}");
        }
    }

    #[test]
    fn files_that_nobody_names_are_forgotten() {
        let key = generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let file = |name: &str| SecretReference { name: name.to_owned(), server: SecretServer::Agent };
        let mut store = SecretStore::default();
        for name in ["file-cert:a~b", "file-cert:c~d", "default"] {
            store.insert(file(name), pair(&key, &key)).unwrap();
        }
        store.retain_files(|name| name == "file-cert:a~b");
        let mut left: Vec<_> = store.iter().map(|(reference, _)| reference.name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["default", "file-cert:a~b"]);
    }
}
