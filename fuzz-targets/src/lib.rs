//! What the fuzzers run: one function for each target, which takes any bytes and panics if a rule does not hold.
//!
//! `fuzz/` runs them with inputs that libFuzzer makes up; `tests/seeds` runs them with the files of `fuzz/seeds`.
//! Wherever there is another implementation, it is the oracle: what we take it must take too, and read alike.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a target says what it found"
)]

pub mod client_hello;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod overlay;
mod pieces;
pub mod proxy_protocol;
pub mod route_match;
pub mod xds_resource;

/// Runs one input; says whether the input was taken, rather than refused, so that its content was looked at.
pub type Target = fn(&[u8]) -> bool;

/// All targets, by the name that their seeds and their fuzzer have.
pub const TARGETS: &[(&str, Target)] = &[
    ("client_hello", client_hello::run),
    ("hpack", hpack::run),
    ("http1_chunks", http1::chunks),
    ("http1_request", http1::request),
    ("http1_response", http1::response),
    ("http2_client", http2::client),
    ("http2_server", http2::server),
    ("overlay_announcement", overlay::announcement::run),
    ("overlay_call", overlay::call::run),
    ("overlay_datagram", overlay::datagram::run),
    ("overlay_leg", overlay::leg::run),
    ("overlay_link", overlay::link::run),
    ("overlay_stream", overlay::stream::run),
    ("overlay_trust", overlay::trust::run),
    ("proxy_protocol", proxy_protocol::run),
    ("route_match", route_match::run),
    ("xds_resource", xds_resource::run),
];
