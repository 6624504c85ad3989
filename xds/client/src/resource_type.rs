//! The kinds of resources that a session asks for.

use std::fmt;

/// A kind of resource. The order is that in which a control plane is asked and in which it pushes: what is referred to comes
/// before what refers to it, so that nothing is ever in use before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// `envoy.config.cluster.v3.Cluster` (CDS).
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment` (EDS).
    Endpoints,
    /// `envoy.config.listener.v3.Listener` (LDS).
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration` (RDS).
    Route,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret` (SDS).
    Secret,
    /// `envoy.config.core.v3.TypedExtensionConfig` (ECDS).
    ExtensionConfig,
}

impl ResourceType {
    /// Number of kinds.
    pub const COUNT: usize = 6;

    /// Every kind, in order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Cluster, Self::Endpoints, Self::Listener, Self::Route, Self::Secret, Self::ExtensionConfig];

    /// The type URL, as it stands in requests and in `Any`.
    #[must_use]
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::ExtensionConfig => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// The kind with this type URL.
    #[must_use]
    pub fn from_type_url(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }

    /// Whether all resources of the kind are sent without being asked for by name.
    #[must_use]
    pub const fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    /// How far the kind is from where connections come in: what refers to something has a smaller depth than that.
    pub(crate) const fn depth(self) -> u8 {
        match self {
            Self::Listener => 0,
            Self::Route | Self::ExtensionConfig => 1,
            Self::Cluster => 2,
            Self::Endpoints | Self::Secret => 3,
        }
    }

    /// Position in [`ResourceType::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoints",
            Self::Listener => "listener",
            Self::Route => "route configuration",
            Self::Secret => "secret",
            Self::ExtensionConfig => "extension configuration",
        })
    }
}
