//! Who the client is and what the upstream is told of it: `x-forwarded-for`, `-proto`, `-port`, `x-request-id`, and the headers
//! that nobody outside may set (Envoy, `ConnectionManagerUtility::mutateRequestHeaders`).

use std::net::{IpAddr, SocketAddr};

use h1::{Fields, Header, HeaderSet, RequestHead};
use xds_model::http::HttpConnectionManager;

use crate::telemetry::access_log::operator::address as put_address;
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
    let came_directly = !request.fields().contains(Header::XForwardedFor);
    let fields = request.fields_mut();
    fields.remove(Header::XEnvoyInternal);
    if model.use_remote_address && !model.skip_xff_append {
        let shown = if peer.ip().is_loopback() { worker.process.local_address } else { peer.ip() };
        scratch.clear();
        put_address(shown, scratch);
        if fields.get(Header::XForwardedFor).is_some_and(<[u8]>::is_empty) {
            fields.remove(Header::XForwardedFor);
        }
        let _ = fields.extend_list(Header::XForwardedFor, b",", scratch);
    }
    // At an edge, only who came without a list of proxies can be somebody inside.
    let internal = (came_directly || !model.use_remote_address) && is_internal(model, client.ip());
    if internal {
        let _ = fields.set_known(Header::XEnvoyInternal, b"true");
    } else {
        fields.remove_all(OF_THE_MESH);
        for name in NAMELESS {
            fields.remove_name(name);
        }
        if model.use_remote_address {
            scratch.clear();
            put_address(client.ip(), scratch);
            let _ = fields.set_known(Header::XEnvoyExternalAddress, scratch);
        }
    }
    if (model.use_remote_address && model.xff_num_trusted_hops == 0) || !fields.contains(Header::XForwardedProto) {
        let _ = fields.set_known(Header::XForwardedProto, scheme.as_bytes());
    }
    if model.append_x_forwarded_port {
        let mut port = itoa::Buffer::new();
        let _ = fields.set_known(Header::XForwardedPort, port.format(facts.local.port()).as_bytes());
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
    const PLACES: [u8; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0x3 << 62) | 0x2 << 62;
    let mut text = [b'-'; 36];
    for (byte, place) in high.to_be_bytes().into_iter().chain(low.to_be_bytes()).zip(PLACES) {
        if let Some([first, second]) = text.get_mut(usize::from(place)..).and_then(|rest| rest.first_chunk_mut::<2>()) {
            *first = DIGITS[usize::from(byte >> 4)];
            *second = DIGITS[usize::from(byte & 0xf)];
        }
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
