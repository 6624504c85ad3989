//! HTTP filters that have something to do, compiled from what the control plane sent. Those with nothing to do are not here at all.

use h1::{Fields, Header, HeaderSet};
use xds_model::http::{AlpnOverride, HttpFilter};

use super::local_reply::LocalReply;
use crate::upstream::Http;

/// Istio's peer metadata: how proxies of a mesh tell each other who they are.
const PEER_METADATA: HeaderSet = HeaderSet::of(&[Header::XEnvoyPeerMetadata, Header::XEnvoyPeerMetadataId]);

/// The filters of a connection manager.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// `istio.alpn`: what to offer upstream over TLS, for HTTP/1.1 and for HTTP/2.
    alpn: Option<Alpn>,
    /// `istio.metadata_exchange`.
    metadata_exchange: bool,
    verdict: Verdict,
}

#[derive(Debug)]
struct Alpn {
    http1: Vec<Vec<u8>>,
    http2: Vec<Vec<u8>>,
}

impl Alpn {
    fn new(model: &AlpnOverride) -> Self {
        let bytes = |names: &[String]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { http1: bytes(&model.http11), http2: bytes(&model.http2) }
    }
}

/// What the filters make of every request.
#[derive(Debug, Default)]
enum Verdict {
    #[default]
    Pass,
    Deny,
    /// A filter has no configuration.
    Unknown,
}

impl Filters {
    pub(super) fn compile(models: &[HttpFilter]) -> Self {
        let mut filters = Self::default();
        for model in models {
            match model {
                HttpFilter::AlpnOverride(protocols) => filters.alpn = Some(Alpn::new(protocols)),
                HttpFilter::MetadataExchange => filters.metadata_exchange = true,
                HttpFilter::DenyAll => filters.judge(Verdict::Deny),
                HttpFilter::Discovered(_) => filters.judge(Verdict::Unknown),
            }
        }
        filters
    }

    /// The first filter that lets nothing pass has the word.
    fn judge(&mut self, verdict: Verdict) {
        if matches!(self.verdict, Verdict::Pass) {
            self.verdict = verdict;
        }
    }

    /// The answer to a request that does not get past the filters.
    pub(super) fn refusal(&self) -> Option<LocalReply> {
        match self.verdict {
            Verdict::Pass => None,
            Verdict::Deny => Some(LocalReply::denied()),
            Verdict::Unknown => Some(LocalReply::filter_without_configuration()),
        }
    }

    /// What upstream connections offer by ALPN instead of their own list.
    pub(super) fn upstream_protocols(&self, http: Http) -> Option<&[Vec<u8>]> {
        let alpn = self.alpn.as_ref()?;
        let protocols = match http {
            Http::Version1 => &alpn.http1,
            Http::Version2 => &alpn.http2,
            // What both sides speak is to be found out.
            Http::Negotiated | Http::None => return None,
        };
        (!protocols.is_empty()).then_some(protocols)
    }

    /// On the way to the upstream. At an edge nobody outside may speak for a workload of the mesh.
    pub(super) fn request(&self, fields: &mut Fields) {
        if self.metadata_exchange {
            fields.remove_all(PEER_METADATA);
        }
    }

    /// On the way to the client, who must not learn about workloads.
    pub(super) fn response(&self, fields: &mut Fields) {
        if self.metadata_exchange {
            fields.remove_all(PEER_METADATA);
        }
    }
}
