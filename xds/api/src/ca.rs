//! Calling istiod's certificate authority.

use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Extensions, Request, Status};

use crate::istio::v1::auth::IstioCertificateRequest;
use crate::istio::v1::auth::istio_certificate_service_client::IstioCertificateServiceClient;

/// Has a certificate signed. Returns PEM: the leaf, its intermediates, and last the roots, which may be several
/// certificates in one text.
///
/// # Errors
///
/// The server's refusal, or `Unavailable` if it cannot be reached.
pub async fn create_certificate(
    channel: Channel,
    metadata: MetadataMap,
    request: IstioCertificateRequest,
) -> Result<Vec<String>, Status> {
    let mut client = IstioCertificateServiceClient::new(channel);
    let request = Request::from_parts(metadata, Extensions::default(), request);
    Ok(client.create_certificate(request).await?.into_inner().cert_chain)
}
