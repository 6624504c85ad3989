//! Root certificates over a rotation: those of before are trusted on, until the last certificate under them has expired.

use std::time::SystemTime;

use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Roots that are kept at most, old ones included.
const MAX_ROOTS: usize = 64;

/// The roots, newest answer first.
#[derive(Debug, Default)]
pub(super) struct Roots {
    roots: Vec<Root>,
}

#[derive(Debug)]
struct Root {
    pem: String,
    der: Vec<u8>,
    trusted_until: SystemTime,
}

impl Roots {
    /// Takes the roots of an answer, which may be several, and returns all that are trusted, as PEM.
    pub(super) fn update(
        &mut self,
        bundle: &str,
        trusted_until: SystemTime,
        now: SystemTime,
    ) -> Result<String, String> {
        let mut roots = parse(bundle, trusted_until)?;
        if roots.is_empty() {
            return Err("the answer holds no root certificate".to_owned());
        }
        for old in std::mem::take(&mut self.roots) {
            let listed = roots.iter().any(|root| root.der == old.der);
            if !listed && old.trusted_until > now {
                roots.push(old);
            }
        }
        roots.truncate(MAX_ROOTS);
        self.roots = roots;
        Ok(self.roots.iter().map(|root| root.pem.as_str()).collect())
    }
}

fn parse(bundle: &str, trusted_until: SystemTime) -> Result<Vec<Root>, String> {
    let unusable = |error: String| format!("a root certificate in the answer cannot be read: {error}");
    let mut roots: Vec<Root> = Vec::new();
    for pem in Pem::iter_from_buffer(bundle.as_bytes()) {
        let der = pem.map_err(|error| unusable(error.to_string()))?.contents;
        X509Certificate::from_der(&der).map_err(|error| unusable(error.to_string()))?;
        if roots.iter().all(|root| root.der != der) {
            roots.push(Root { pem: to_pem(&der), der, trusted_until });
        }
    }
    Ok(roots)
}

fn to_pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
