//! Whom a node believes, on its disk: the roots that came with its certificate, and what the authority has said since.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{CERTIFICATE, Folder, FolderError};
use crate::identity::{SignedTrust, Trust};

const TRUST: &str = "trust";

/// After what the authority says could not be kept.
const AGAIN: Duration = Duration::from_secs(30);

impl Folder {
    /// Keeps a certificate and roots that the authority itself has given, and what it says now, if that is known. What was said before may be signed by roots
    /// that are gone; where nothing takes its place it is said again over the first link.
    pub(crate) fn begin(&self, chain: &[CertificateDer<'_>], trust: Option<&SignedTrust>) -> Result<(), FolderError> {
        self.remove(TRUST)?;
        self.keep_certificate(chain)?;
        trust.map_or(Ok(()), |signed| self.write(TRUST, &signed.to_bytes()))
    }

    /// Whom the node believes, and whom no longer, as far as it has heard.
    ///
    /// # Errors
    /// The file is damaged: a node that has forgotten who was revoked would let them in.
    pub fn trust(&self) -> Result<Arc<Trust>, FolderError> {
        let (_, roots) = self.certificates()?;
        let trust = Trust::new(roots).map_err(|error| self.damaged(CERTIFICATE, &error))?;
        if let Some(bytes) = self.read(TRUST)? {
            let signed = SignedTrust::from_bytes(&bytes).ok_or_else(|| self.damaged(TRUST, &"is cut off"))?;
            trust.take(&signed).map_err(|error| self.damaged(TRUST, &error))?;
        }
        Ok(Arc::new(trust))
    }

    /// Keeps every new statement of the authority for as long as it runs.
    pub async fn keep_trust(self, trust: Arc<Trust>) {
        let mut kept = trust.other_than(0).map_or(0, |(number, _)| number);
        loop {
            let (number, signed) = trust.next_after(kept).await;
            let folder = self.clone();
            let written = spawn_blocking(move || folder.write(TRUST, &signed.to_bytes())).await;
            match written.map_err(io::Error::other).and_then(|written| written.map_err(io::Error::other)) {
                Ok(()) => kept = number,
                Err(error) => {
                    tracing::error!("who was revoked would be let in after the next start: {error}");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// The certificate, and the roots that were believed when it was kept: one at least.
    pub(crate) fn certificates(&self) -> Result<(CertificateDer<'static>, Vec<CertificateDer<'static>>), FolderError> {
        let pem = self.read(CERTIFICATE)?.ok_or_else(|| FolderError::NotJoined(self.path.clone()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let mut chain = chain.map_err(|error| self.damaged(CERTIFICATE, &error))?;
        if chain.len() < 2 {
            return Err(self.damaged(CERTIFICATE, &"the certificate and a root are wanted"));
        }
        let roots = chain.split_off(1);
        chain.pop().map(|own| (own, roots)).ok_or_else(|| FolderError::NotJoined(self.path.clone()))
    }
}
