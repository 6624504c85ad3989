//! The workload's own certificate, under the names by which istiod's configuration asks for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use xds_client::ca::Identity;
use xds_model::secret::{CertificateAuthorities, SecretContent, TlsCertificate};

use super::SecretUpdate;

/// Name of the certificate and key (`pkg/security`, `WorkloadKeyCertResourceName`).
const WORKLOAD: &str = "default";
/// Name of the mesh's certificate authorities (`RootCertReqResourceName`).
const ROOT: &str = "ROOTCA";

/// Hands every new identity on as two secrets, until either side goes away.
pub async fn serve(mut identities: watch::Receiver<Option<Arc<Identity>>>, updates: mpsc::Sender<SecretUpdate>) {
    loop {
        let current = identities.borrow_and_update().clone();
        for update in current.iter().flat_map(|identity| secrets(identity)) {
            if updates.send(update).await.is_err() {
                return;
            }
        }
        if identities.changed().await.is_err() {
            return;
        }
    }
}

fn secrets(identity: &Identity) -> [SecretUpdate; 2] {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let certificate = SecretContent::Certificate(TlsCertificate {
        chain: bytes(&identity.chain),
        private_key: bytes(&identity.key),
        ocsp_staple: Bytes::new(),
    });
    let authorities =
        SecretContent::Authorities(CertificateAuthorities { certificates: bytes(&identity.roots), crl: Bytes::new() });
    // The root first: a chain that needs both is then built once.
    [
        SecretUpdate { name: ROOT.to_owned(), content: Ok(authorities) },
        SecretUpdate { name: WORKLOAD.to_owned(), content: Ok(certificate) },
    ]
}
