//! HTTP as clients and backends see it: raw bytes on real sockets, real workers, configuration through control.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod access_log;
mod bad_requests;
mod breakers;
mod bulk;
mod connect;
mod extensions;
mod failures;
mod framing;
mod hashes;
mod headers;
mod http2;
mod kit;
mod live;
mod memory;
mod outliers;
mod overload;
mod retries;
mod routing;
#[path = "../kit/mod.rs"]
mod shared;
mod streams;
mod timeouts;
mod upstream_connections;
