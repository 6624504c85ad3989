//! What is known of an event when it is logged.

use std::net::SocketAddr;
use std::time::Duration;

use h1::{Fields, RequestHead, ResponseHead};

use crate::telemetry::response_flags::ResponseFlags;
use crate::worker::connection::ConnectionFacts;

/// A request that ended, or a connection that did (then without heads). Borrowed from whoever served it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The client's connection.
    pub connection: &'a ConnectionFacts,
    /// What kind of event it is, in Envoy's words.
    pub log_type: &'static str,
    /// The client as far as we believe those in front of us (`x-forwarded-for`).
    pub client: SocketAddr,
    /// Name of our machine.
    pub host_name: &'a str,
    /// Name of the filter chain.
    pub filter_chain: &'a str,
    /// When it began, since the Unix epoch.
    pub started: Duration,
    /// How long it took.
    pub duration: Duration,
    /// From its beginning to the last byte of the request from the client.
    pub request_duration: Option<Duration>,
    /// From its beginning to the last byte of the request to the upstream.
    pub request_sent_duration: Option<Duration>,
    /// From its beginning to the first byte of the response from the upstream.
    pub response_duration: Option<Duration>,
    /// What the client speaks, where there is no request to tell; empty for nothing.
    pub protocol: &'static str,
    /// The request, as it was sent upstream.
    pub request: Option<&'a RequestHead>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The response, as it was sent to the client.
    pub response: Option<&'a ResponseHead>,
    /// What stood behind the body of the response.
    pub trailers: Option<&'a Fields>,
    /// Status of the response; 0 for none.
    pub status: u16,
    /// What went wrong.
    pub flags: ResponseFlags,
    /// Why the response is as it is; empty for no reason.
    pub details: &'a str,
    /// Why the connection ended; empty for no reason.
    pub termination_details: &'a str,
    /// Bytes of the request's body, or of the connection.
    pub bytes_received: u64,
    /// Bytes of the response's body, or of the connection.
    pub bytes_sent: u64,
    /// Name of the route; empty for none.
    pub route_name: &'a str,
    /// Istio object of the route.
    pub route_config: Option<&'a str>,
    /// Name of the cluster.
    pub cluster: Option<&'a str>,
    /// The upstream connection, if there was one.
    pub upstream: Option<UpstreamFacts<'a>>,
    /// Why there was none; empty for no reason.
    pub upstream_failure: &'a str,
    /// Why the client's TLS handshake failed; empty for no reason.
    pub downstream_failure: &'a str,
    /// Tries.
    pub attempts: u32,
}

impl<'a> Record<'a> {
    /// Of a connection that is no request; with nothing but what was known at its beginning.
    pub fn of_connection(connection: &'a ConnectionFacts, host_name: &'a str) -> Self {
        Self {
            connection,
            log_type: "NotSet",
            client: connection.remote,
            host_name,
            filter_chain: "",
            started: connection.accepted_unix,
            duration: Duration::ZERO,
            request_duration: None,
            request_sent_duration: None,
            response_duration: None,
            protocol: "",
            request: None,
            scheme: "",
            response: None,
            trailers: None,
            status: 0,
            flags: ResponseFlags::NONE,
            details: "",
            termination_details: "",
            bytes_received: 0,
            bytes_sent: 0,
            route_name: "",
            route_config: None,
            cluster: None,
            upstream: None,
            upstream_failure: "",
            downstream_failure: "",
            attempts: 0,
        }
    }
}

/// An upstream connection.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamFacts<'a> {
    /// The endpoint.
    pub address: &'a str,
    /// The version of HTTP; empty for none.
    pub protocol: &'static str,
    /// The other side of the connection.
    pub remote: Option<SocketAddr>,
    /// Our side.
    pub local: Option<SocketAddr>,
}
