//! Secrets that this process answers for itself, as Istio's agent does for Envoy: the workload's own identity and files.

pub mod files;
pub(crate) use files::is_file_secret;
pub mod workload;

use xds_model::secret::SecretContent;

/// A secret, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretUpdate {
    /// Name.
    pub name: String,
    /// Content; an error leaves the last content in force.
    pub content: Result<SecretContent, String>,
}
