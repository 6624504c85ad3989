//! Who the client is and what the upstream is told of it: `x-forwarded-for`, `-proto`, `-port`, `x-request-id`, and the headers
//! that nobody outside may set (Envoy, `ConnectionManagerUtility::mutateRequestHeaders`).

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use h1::{Fields, Header, HeaderSet, RequestHead};
use xds_model::http::HttpConnectionManager;

use crate::worker::Worker;
use crate::worker::connection::ConnectionFacts;

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
    Header::XEnvoyRetriableHeaderNames,
    Header::XEnvoyRetriableStatusCodes,
    Header::XEnvoyRetryGrpcOn,
    Header::XEnvoyRetryOn,
    Header::XEnvoyUpstreamAltStatName,
    Header::XEnvoyUpstreamRqPerTryTimeoutMs,
    Header::XEnvoyUpstreamRqTimeoutAltResponse,
    Header::XEnvoyUpstreamRqTimeoutMs,
]);

/// More of them, too rare to be known by number.
const NAMELESS: [&[u8]; 2] = [b"x-envoy-original-url", b"x-envoy-upstream-stream-duration-ms"];

/// Writes the headers; returns the client as far as we believe those in front of us.
pub(super) fn apply(
    model: &HttpConnectionManager,
    facts: &ConnectionFacts,
    request: &mut RequestHead,
    scheme: &'static str,
    worker: &Worker,
    scratch: &mut Vec<u8>,
) -> SocketAddr {
    let peer = facts.remote;
    let client = trusted_client(model, request.fields(), peer);
    let fields = request.fields_mut();
    fields.remove(Header::XEnvoyInternal);
    if model.use_remote_address && !model.skip_xff_append {
        let shown = if peer.ip().is_loopback() { worker.process.local_address } else { peer.ip() };
        scratch.clear();
        // Writing to memory cannot fail, and an address holds nothing that a header must not.
        let _ = write!(scratch, "{shown}");
        if fields.get(Header::XForwardedFor).is_some_and(<[u8]>::is_empty) {
            fields.remove(Header::XForwardedFor);
        }
        let _ = fields.extend_list(Header::XForwardedFor, b",", scratch);
    }
    let internal = is_internal(model, client.ip());
    if internal {
        let _ = fields.set_known(Header::XEnvoyInternal, b"true");
    } else {
        fields.remove_all(OF_THE_MESH);
        for name in NAMELESS {
            fields.remove_name(name);
        }
        if model.use_remote_address {
            scratch.clear();
            let _ = write!(scratch, "{}", client.ip());
            let _ = fields.set_known(Header::XEnvoyExternalAddress, scratch);
        }
    }
    if (model.use_remote_address && model.xff_num_trusted_hops == 0) || !fields.contains(Header::XForwardedProto) {
        let _ = fields.set_known(Header::XForwardedProto, scheme.as_bytes());
    }
    if model.append_x_forwarded_port {
        scratch.clear();
        let _ = write!(scratch, "{}", facts.local.port());
        let _ = fields.set_known(Header::XForwardedPort, scratch);
    }
    request_id(model, internal, fields, worker);
    client
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

/// A client outside does not choose our request ids.
fn request_id(model: &HttpConnectionManager, internal: bool, fields: &mut Fields, worker: &Worker) {
    if !model.generate_request_id {
        return;
    }
    let at_the_edge = model.use_remote_address && !internal;
    if fields.contains(Header::XRequestId) && (!at_the_edge || model.preserve_external_request_id) {
        return;
    }
    let _ = fields.set_known(Header::XRequestId, &uuid(worker.random.next(), worker.random.next()));
}

/// A random UUID (RFC 9562 section 5.4).
fn uuid(high: u64, low: u64) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = (u128::from(high) << 64 | u128::from(low)) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let mut text = [b'-'; 36];
    let mut shift = 128;
    for (index, character) in text.iter_mut().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            continue;
        }
        shift -= 4;
        *character = DIGITS[(bits >> shift) as usize & 0xf];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let text = String::from_utf8(uuid(u64::MAX, u64::MAX).to_vec()).unwrap();
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid(0, 0), *b"00000000-0000-4000-8000-000000000000");
    }
}
