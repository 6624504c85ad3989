//! What Istio's control plane wants to see in the metadata of every call.

use tonic::metadata::errors::InvalidMetadataValue;
use tonic::metadata::{MetadataMap, MetadataValue};

/// Who calls. The token is short-lived: make these afresh for each call.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The service account's token, sent as `authorization: Bearer`.
    pub token: Option<String>,
    /// The name of the cluster the token is from, sent as `clusterid`.
    pub cluster_id: Option<String>,
}

impl Credentials {
    /// These credentials as gRPC metadata.
    ///
    /// # Errors
    ///
    /// If one of them cannot stand in a header, for example a token with a line break in it.
    pub fn metadata(&self) -> Result<MetadataMap, InvalidMetadataValue> {
        let mut metadata = MetadataMap::new();
        if let Some(token) = &self.token {
            let mut value = MetadataValue::try_from(format!("Bearer {token}"))?;
            value.set_sensitive(true);
            metadata.insert("authorization", value);
        }
        if let Some(cluster_id) = &self.cluster_id {
            metadata.insert("clusterid", MetadataValue::try_from(cluster_id)?);
        }
        Ok(metadata)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("token", &self.token.as_ref().map(|_| "[redacted]"))
            .field("cluster_id", &self.cluster_id)
            .finish()
    }
}
