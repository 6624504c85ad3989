//! Who the client is and what the upstream is told of it: `x-forwarded-for`, `-proto`, `-port`, `x-request-id`, and the headers
//! that nobody outside may set (Envoy, `ConnectionManagerUtility::mutateRequestHeaders`).

use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

use h1::{Fields, Header, HeaderSet, PreparedFields, RequestHead};
use xds_model::http::HttpConnectionManager;

use super::HttpChain;
use crate::telemetry::access_log::operator::address as put_address;
use crate::worker::connection::ConnectionFacts;
use crate::worker::random::Random;

/// Only proxies of the mesh may set these.
const OF_THE_MESH: HeaderSet = HeaderSet::of(&[
    Header::XEnvoyDecoratorOperation,
    Header::XEnvoyDownstreamServiceCluster,
    Header::XEnvoyDownstreamServiceNode,
    Header::XEnvoyExpectedRqTimeoutMs,
    Header::XEnvoyForceTrace,
    Header::XEnvoyHedgeOnPerTryTimeout,
    Header::XEnvoyIpTags,
    Header::XEnvoyMaxRetries,
    Header::XEnvoyOriginalHost,
    Header::XEnvoyOriginalPath,
    Header::XEnvoyOriginalUrl,
    Header::XEnvoyRetriableHeaderNames,
    Header::XEnvoyRetriableStatusCodes,
    Header::XEnvoyRetryGrpcOn,
    Header::XEnvoyRetryOn,
    Header::XEnvoyUpstreamAltStatName,
    Header::XEnvoyUpstreamRqPerTryTimeoutMs,
    Header::XEnvoyUpstreamRqTimeoutAltResponse,
    Header::XEnvoyUpstreamRqTimeoutMs,
    Header::XEnvoyUpstreamStreamDurationMs,
]);

/// What the upstream is told of a client, or is kept from believing: whoever sends one of these needs a closer look.
const OF_THE_CLIENT: HeaderSet = OF_THE_MESH.with(HeaderSet::of(&[
    Header::XEnvoyExternalAddress,
    Header::XEnvoyInternal,
    Header::XForwardedFor,
    Header::XForwardedPort,
    Header::XForwardedProto,
]));

/// A connection as the upstream gets to know of it.
pub(super) struct Source<'a> {
    pub(super) model: &'a HttpConnectionManager,
    pub(super) facts: &'a ConnectionFacts,
    pub(super) scheme: &'static str,
    /// Our own address, in place of a loopback peer.
    pub(super) local_address: IpAddr,
}

/// Who sent a request, as far as we believe those in front of us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    internal: bool,
}

/// What is written of every request in which the client says nothing of itself. Most clients never do.
#[derive(Debug)]
pub(super) struct Introduction {
    /// Says what is to be written. Weak, so that an idle connection does not keep an old configuration.
    chain: Weak<HttpChain>,
    fields: PreparedFields,
    client: Client,
}

impl Introduction {
    /// Puts together what [`describe`] would write into an empty request.
    pub(super) fn new(chain: &Rc<HttpChain>, source: &Source<'_>) -> Self {
        let mut request = RequestHead::new();
        let client = describe(source, &mut request, &mut Vec::new());
        Self { chain: Rc::downgrade(chain), fields: PreparedFields::of(request.fields()), client }
    }

    /// Whether it is what this chain would write.
    pub(super) fn is_of(&self, chain: &Rc<HttpChain>) -> bool {
        std::ptr::eq(self.chain.as_ptr(), Rc::as_ptr(chain))
    }

    /// Writes the headers; `None` if the request says something of the client.
    pub(super) fn write(&self, fields: &mut Fields) -> Option<Client> {
        if fields.contains_any(OF_THE_CLIENT) {
            return None;
        }
        fields.append_prepared(&self.fields).ok().map(|()| self.client)
    }
}

/// Writes the headers of a request that may say anything.
pub(super) fn describe(source: &Source<'_>, request: &mut RequestHead, scratch: &mut Vec<u8>) -> Client {
    let Source { model, facts, .. } = *source;
    let peer = facts.remote;
    let address = trusted_client(model, request.fields(), peer);
    let came_directly = !request.fields().contains(Header::XForwardedFor);
    let fields = request.fields_mut();
    fields.remove(Header::XEnvoyInternal);
    if model.use_remote_address && !model.skip_xff_append {
        let shown = if peer.ip().is_loopback() { source.local_address } else { peer.ip() };
        scratch.clear();
        put_address(shown, scratch);
        if fields.get(Header::XForwardedFor).is_some_and(<[u8]>::is_empty) {
            fields.remove(Header::XForwardedFor);
        }
        // Without the address that we know, the list would tell what the client made up.
        if fields.extend_list(Header::XForwardedFor, b",", scratch).is_err() {
            fields.remove(Header::XForwardedFor);
        }
    }
    // At an edge, only who came without a list of proxies can be somebody inside.
    let internal = (came_directly || !model.use_remote_address) && is_internal(model, address.ip());
    if internal {
        let _ = fields.set_known(Header::XEnvoyInternal, b"true");
    } else {
        fields.remove_all(OF_THE_MESH);
        if model.use_remote_address {
            scratch.clear();
            put_address(address.ip(), scratch);
            let _ = fields.set_known(Header::XEnvoyExternalAddress, scratch);
        }
    }
    if (model.use_remote_address && model.xff_num_trusted_hops == 0) || !fields.contains(Header::XForwardedProto) {
        let _ = fields.set_known(Header::XForwardedProto, source.scheme.as_bytes());
    }
    if model.append_x_forwarded_port {
        let mut port = itoa::Buffer::new();
        let _ = fields.set_known(Header::XForwardedPort, port.format(facts.local.port()).as_bytes());
    }
    Client { address, internal }
}

/// The address that the outermost trusted proxy saw; our peer where the list is too short or says something else.
fn trusted_client(model: &HttpConnectionManager, fields: &Fields, peer: SocketAddr) -> SocketAddr {
    let hops = model.xff_num_trusted_hops as usize;
    let index = if model.use_remote_address { hops.checked_sub(1) } else { Some(hops) };
    let Some(index) = index else { return peer };
    // Several lines count as one list, so the last line holds the last entries.
    let mut skipped = 0;
    let lines = fields.get_all(Header::XForwardedFor).count();
    for line in (0..lines).rev() {
        let Some(value) = fields.get_all(Header::XForwardedFor).nth(line) else { break };
        for entry in value.rsplit(|byte| *byte == b',') {
            if skipped == index {
                let address = std::str::from_utf8(entry).ok().and_then(|text| text.trim().parse::<IpAddr>().ok());
                return address.map_or(peer, |address| SocketAddr::new(address, 0));
            }
            skipped += 1;
        }
    }
    peer
}

fn is_internal(model: &HttpConnectionManager, address: IpAddr) -> bool {
    model.internal_addresses.iter().any(|range| range.contains(&address.to_canonical()))
}

/// Gives the request an id. A client outside does not choose it.
pub(super) fn identify(model: &HttpConnectionManager, client: Client, fields: &mut Fields, random: &Random) {
    if !model.generate_request_id {
        return;
    }
    let at_the_edge = model.use_remote_address && !client.internal;
    if fields.contains(Header::XRequestId) && (!at_the_edge || model.preserve_external_request_id) {
        return;
    }
    fields.remove(Header::XRequestId);
    let _ = fields.append_fixed(Header::XRequestId, &uuid(random.next(), random.next()));
}

/// A random UUID (RFC 9562 section 5.4).
fn uuid(high: u64, low: u64) -> [u8; 36] {
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0x3 << 62) | 0x2 << 62;
    let [a, b, c, d] = [(high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32].map(hexadecimal);
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&a);
    text[9..13].copy_from_slice(&b[..4]);
    text[14..18].copy_from_slice(&b[4..]);
    text[19..23].copy_from_slice(&c[..4]);
    text[24..28].copy_from_slice(&c[4..]);
    text[28..].copy_from_slice(&d);
    text
}

/// Eight digits. All at once: a loop over the digits costs as much as the rest of the headers.
fn hexadecimal(number: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // One digit, 0 to 15, into each byte.
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 6 more lead over into the next digit where a letter is needed.
    let letters = (digits + 6 * EACH) >> 4 & EACH;
    (digits + u64::from(b'0') * EACH + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let text = String::from_utf8(uuid(u64::MAX, u64::MAX).to_vec()).unwrap();
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid(0, 0), *b"00000000-0000-4000-8000-000000000000");
        let text = String::from_utf8(uuid(0x0123_4567_89ab_cdef, 0x1032_5476_98ba_dcfe).to_vec()).unwrap();
        assert_eq!(text, "01234567-89ab-4def-9032-547698badcfe");
    }
}
