//! HTTP/2 as others speak it: a client and a server that are not ours, and bare frames where misbehaviour is wanted.

mod client;
mod frames;
mod upstream;

use std::future::poll_fn;

use bytes::Bytes;
use http::HeaderMap;
use http2_oracle::{Reason, RecvStream, SendStream};
use xds_model::cluster::UpstreamProtocol;

use super::{Plan, within};

pub(crate) use client::{Asked, Http2Client, connect_request, get, post};
pub(crate) use frames::{Frame, Frames, PREFACE, flag, kind, setting};
pub(crate) use upstream::{Http2Request, Http2Upstream, ok};

/// A message as it arrived.
#[derive(Debug)]
pub(crate) struct Message<H> {
    pub(crate) head: H,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

/// The cluster speaks HTTP/2.
pub(crate) fn http2_upstream(plan: &mut Plan) {
    plan.cluster.protocol = UpstreamProtocol::Http2;
}

/// Field names and values.
pub(crate) fn fields<const N: usize>(fields: [(&'static str, &'static str); N]) -> HeaderMap {
    fields.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// The value of a field; there must not be two of them.
pub(crate) fn value<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = fields.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().unwrap());
    assert_eq!(values.next(), None, "more than one {name}");
    first
}

/// Reads a body to its end.
///
/// # Errors
/// The stream was reset.
pub(crate) async fn read_all(body: &mut RecvStream) -> Result<(Bytes, Option<HeaderMap>), http2_oracle::Error> {
    let mut received = Vec::new();
    while let Some(piece) = within("a piece of a body", body.data()).await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        received.extend_from_slice(&piece);
    }
    Ok((received.into(), within("trailers", body.trailers()).await?))
}

/// Reads exactly this.
pub(crate) async fn reads(body: &mut RecvStream, expected: &str) {
    let mut received = Vec::new();
    while received.len() < expected.len() {
        let piece = within("a piece of a body", body.data()).await.unwrap().unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        received.extend_from_slice(&piece);
    }
    assert_eq!(String::from_utf8_lossy(&received), expected);
}

/// The code with which the peer reset a stream that is read from.
pub(crate) async fn reset_of(body: &mut RecvStream) -> Reason {
    read_all(body).await.unwrap_err().reason().unwrap()
}

/// Sends a body as far as the windows allow it at any time, and ends it.
pub(crate) async fn send_all(stream: &mut SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = within("room", poll_fn(|context| stream.poll_capacity(context))).await.unwrap().unwrap();
        stream.send_data(body.split_to(room.min(body.len())), false).unwrap();
    }
    stream.send_data(Bytes::new(), true).unwrap();
}
