//! Where the control plane is, and how to reach it: shared by the xDS sessions and the client of its certificate authority.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use xds_api::Credentials;
use xds_api::channel::{Destination, Roots, Tls, connect};

use crate::small_file;

/// Bound on connecting, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A control plane.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// `host:port`; istiod serves plaintext on 15010 and TLS on 15012.
    pub address: String,
    /// `None` for plaintext.
    pub tls: Option<TlsOptions>,
    /// A file with the bearer token, read anew for every call: the kubelet renews it.
    pub token_file: Option<PathBuf>,
    /// Istio's name of our cluster, sent as `ClusterID`.
    pub cluster_id: String,
}

/// How to know the server.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Who vouches for it.
    pub roots: RootSource,
    /// The name in its certificate, if it is not the host of the address (`ISTIOD_SAN`).
    pub server_name: Option<String>,
}

/// Where root certificates come from.
#[derive(Clone, Debug)]
pub enum RootSource {
    /// A PEM file. It may be replaced at any time.
    File(PathBuf),
    /// What the operating system trusts (`SYSTEM`).
    System,
}

/// An open channel, and the roots it was opened with.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    roots: Option<Vec<u8>>,
}

impl ControlPlane {
    /// Connects with the roots as they are now. The error names the address and the cause.
    pub(crate) async fn connect(&self) -> Result<Connection, String> {
        let roots = self.read_roots().await?;
        let tls = self.tls.as_ref().map(|options| Tls {
            roots: roots.clone().map_or(Roots::System, Roots::Pem),
            server_name: options.server_name.clone(),
        });
        let destination = Destination { address: self.address.clone(), tls };
        match tokio::time::timeout(CONNECT_TIMEOUT, connect(&destination)).await {
            Ok(Ok(channel)) => Ok(Connection { channel, roots }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("connecting to {}: no answer within {CONNECT_TIMEOUT:?}", self.address)),
        }
    }

    /// The headers of a call, with the token as it is now.
    pub(crate) async fn metadata(&self) -> Result<MetadataMap, String> {
        let token = match &self.token_file {
            Some(path) => Some(read_token(path).await?),
            None => None,
        };
        let credentials = Credentials { token, cluster_id: Some(self.cluster_id.clone()) };
        credentials.metadata().map_err(|error| format!("token or cluster id: {error}"))
    }

    /// Whether the roots on disk differ from those of an open connection. A file that is missing for a moment does not count.
    pub(crate) async fn roots_changed(&self, connection: &Connection) -> bool {
        matches!(self.read_roots().await, Ok(roots) if roots != connection.roots)
    }

    async fn read_roots(&self) -> Result<Option<Vec<u8>>, String> {
        match &self.tls {
            Some(TlsOptions { roots: RootSource::File(path), .. }) => small_file::read(path).await.map(Some),
            Some(TlsOptions { roots: RootSource::System, .. }) | None => Ok(None),
        }
    }
}

async fn read_token(path: &Path) -> Result<String, String> {
    let bytes = small_file::read(path).await?;
    let token = String::from_utf8(bytes).map_err(|_| format!("{}: the token is not text", path.display()))?;
    match token.trim() {
        "" => Err(format!("{}: the token is empty", path.display())),
        token => Ok(token.to_owned()),
    }
}
