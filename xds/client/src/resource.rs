//! Resources as validated models.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use xds_model::cluster::{Cluster, TransportSocket};
use xds_model::endpoint::ClusterLoadAssignment;
use xds_model::error::Refusal;
use xds_model::fate::Report;
use xds_model::http::ExtensionConfig;
use xds_model::listener::Listener;
use xds_model::resource::Resource as Model;
use xds_model::route::RouteConfiguration;
use xds_model::secret::{Secret, SecretContent};
use xds_model::tls::CertificateSource;

use crate::ResourceType;
use crate::references::{self, Key, Targets};

/// A validated resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// Of CDS.
    Cluster(Arc<Cluster>),
    /// Of EDS.
    Endpoints(Arc<ClusterLoadAssignment>),
    /// Of LDS.
    Listener(Arc<Listener>),
    /// Of RDS.
    Route(Arc<RouteConfiguration>),
    /// Of SDS.
    Secret(Arc<Secret>),
    /// Of ECDS.
    ExtensionConfig(Arc<ExtensionConfig>),
}

impl Resource {
    /// Decodes and validates. The report says what was accepted without effect, and which parts were refused on their own.
    ///
    /// # Errors
    /// Names the field to blame.
    pub fn decode(kind: ResourceType, name: &str, body: &Bytes) -> Result<(Self, Report), Refusal> {
        let mut report = Report::default();
        let resource = match xds_model::resource::decode(kind.type_url(), body, &mut report)? {
            Model::Cluster(cluster) => Self::Cluster(Arc::from(cluster)),
            Model::ClusterLoadAssignment(endpoints) => Self::Endpoints(Arc::from(endpoints)),
            Model::Listener(listener) => Self::Listener(Arc::from(listener)),
            Model::RouteConfiguration(routes) => Self::Route(Arc::from(routes)),
            Model::Secret(secret) => Self::Secret(Arc::from(secret)),
            Model::ExtensionConfig(extension) => Self::ExtensionConfig(Arc::from(extension)),
        };
        Ok((resource.named(name)?, report))
    }

    /// The resource, if it has the name under which it was sent.
    pub(crate) fn named(self, name: &str) -> Result<Self, Refusal> {
        if self.name() == name {
            return Ok(self);
        }
        let reason = format!("is {:?} in the resource itself", self.name());
        Err(Refusal { resource: name.to_owned(), field: "name".to_owned(), reason })
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ResourceType {
        match self {
            Self::Cluster(_) => ResourceType::Cluster,
            Self::Endpoints(_) => ResourceType::Endpoints,
            Self::Listener(_) => ResourceType::Listener,
            Self::Route(_) => ResourceType::Route,
            Self::Secret(_) => ResourceType::Secret,
            Self::ExtensionConfig(_) => ResourceType::ExtensionConfig,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(cluster) => &cluster.name,
            Self::Endpoints(endpoints) => &endpoints.cluster_name,
            Self::Listener(listener) => &listener.name,
            Self::Route(routes) => &routes.name,
            Self::Secret(secret) => &secret.name,
            Self::ExtensionConfig(extension) => &extension.name,
        }
    }

    /// What it refers to.
    #[must_use]
    pub fn targets(&self) -> Targets {
        match self {
            Self::Cluster(cluster) => references::of_cluster(cluster),
            Self::Listener(listener) => references::of_listener(listener),
            Self::Route(routes) => references::of_route(routes),
            Self::Endpoints(_) | Self::Secret(_) | Self::ExtensionConfig(_) => Targets::new(),
        }
    }

    /// The extension configurations that it waits for, and how long.
    pub(crate) fn warming(&self) -> impl Iterator<Item = (Key, Duration)> {
        let listener = if let Self::Listener(listener) = self { Some(listener) } else { None };
        let filters = listener.into_iter().flat_map(|listener| listener.discovered_filters());
        filters
            .filter_map(|filter| Some(((ResourceType::ExtensionConfig, filter.name.as_str().into()), filter.warming?)))
    }

    /// Whether it holds a private key or another secret.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        let inline = |source: &CertificateSource| matches!(source, CertificateSource::Inline(_));
        match self {
            Self::Secret(secret) => matches!(secret.content, SecretContent::Certificate(_)),
            Self::Cluster(cluster) => {
                let matches = cluster.transport.matches.iter().map(|candidate| &candidate.socket);
                matches.chain([&cluster.transport.default]).any(|socket| match socket {
                    TransportSocket::Tls(tls) => tls.certificates.iter().any(inline),
                    TransportSocket::RawBuffer => false,
                })
            }
            Self::Listener(listener) => {
                let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
                chains.filter_map(|chain| chain.tls.as_ref()).any(|tls| tls.certificates.iter().any(inline))
            }
            Self::ExtensionConfig(extension) => extension.is_confidential,
            Self::Endpoints(_) | Self::Route(_) => false,
        }
    }
}
