//! What must agree for a request to use a secure connection that another one opened.

use std::sync::Arc;

use super::Target;
use crate::config::snapshot::ClientTransport;
use crate::tls::ClientTls;
use crate::upstream::connector::Wanted;

/// Idle connections of a pool that are of use for other hosts alone than the one that was asked for last.
pub(super) const MOST_FOR_OTHER_HOSTS: usize = 64;

/// How a connection is secured; `None` inside if it is clear.
#[derive(Debug)]
pub(super) struct Security(Option<Tls>);

#[derive(Debug)]
struct Tls {
    settings: Arc<ClientTls>,
    host: Option<Box<[u8]>>,
    protocols: Option<Box<[Vec<u8>]>>,
}

impl Security {
    /// Of a connection that was opened for `wanted`.
    pub(super) fn new(target: &Target, wanted: &Wanted<'_>) -> Self {
        Self(match &target.transport {
            ClientTransport::Tls(settings) => Some(Tls {
                settings: settings.clone(),
                host: settings.depends_on_host().then(|| wanted.server_name().into()),
                protocols: wanted.protocols.map(Into::into),
            }),
            ClientTransport::Raw | ClientTransport::Waiting(_) => None,
        })
    }

    /// Whether it is of use for one host alone, which is another one than that of `other`.
    pub(super) fn is_for_another_host(&self, other: &Self) -> bool {
        self.host().is_some_and(|host| other.host() != Some(host))
    }

    /// Whether both are of use for any host, or for the same one.
    pub(super) fn is_for_same_host(&self, other: &Self) -> bool {
        self.host() == other.host()
    }

    fn host(&self) -> Option<&[u8]> {
        self.0.as_ref().and_then(|tls| tls.host.as_deref())
    }

    /// Whether a request may use it.
    pub(super) fn fits(&self, transport: &ClientTransport, wanted: &Wanted<'_>) -> bool {
        match (transport, &self.0) {
            (ClientTransport::Raw, None) => true,
            (ClientTransport::Tls(settings), Some(tls)) => {
                Arc::ptr_eq(settings, &tls.settings)
                    && tls.host.as_deref().is_none_or(|host| host == wanted.server_name())
                    && tls.protocols.as_deref() == wanted.protocols
            }
            _ => false,
        }
    }
}
