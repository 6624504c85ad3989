//! What `edge.yaml` says of entrances.

use serde::Deserialize;
use xds_model::tls::{SecretReference, SecretServer};

/// istiod's name of the gateway's own certificate, and of the authorities of the mesh (`pkg/security`).
const WORKLOAD: (&str, &str) = ("default", "ROOTCA");

/// Switches entrances on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Terminate {
    /// Who we are, and who signs for clients; `None` if the control plane says so.
    pub files: Option<TerminateFiles>,
}

/// Files with PEM; relative ones are in the folder of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminateFiles {
    /// Our certificate, and those of authorities between it and the root.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// Who signs certificates of clients.
    pub authorities: String,
}

/// As it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    certificate: Option<String>,
    key: Option<String>,
    authorities: Option<String>,
}

impl TryFrom<Written> for Terminate {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let files = match written {
            Written { certificate: None, key: None, authorities: None } => None,
            Written { certificate: Some(certificate), key: Some(key), authorities: Some(authorities) } => {
                Some(TerminateFiles { certificate, key, authorities })
            }
            _ => return Err("terminate: certificate, key and authorities belong together".to_owned()),
        };
        Ok(Self { files })
    }
}

impl Terminate {
    /// The secrets with our certificate and with the authorities.
    pub(super) fn secrets(&self) -> (SecretReference, SecretReference) {
        let (certificate, authorities) = match &self.files {
            None => (WORKLOAD.0.to_owned(), WORKLOAD.1.to_owned()),
            Some(TerminateFiles { certificate, key, authorities }) => {
                (format!("file-cert:{certificate}~{key}"), format!("file-root:{authorities}"))
            }
        };
        let of_agent = |name| SecretReference { name, server: SecretServer::Agent };
        (of_agent(certificate), of_agent(authorities))
    }
}
