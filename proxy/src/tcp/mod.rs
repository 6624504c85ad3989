//! Opaque bytes between a client and an endpoint: TCP, and TLS passed through (`envoy.filters.network.tcp_proxy`).
//!
//! One task owns both sides of a connection. [`connection`] reads from top to bottom as the life of one; [`copy`] moves the bytes.

mod chain;
mod connection;
pub(crate) mod copy;
mod counters;
mod direction;
pub(crate) mod upstream;

pub use chain::TcpChain;
pub use connection::serve;
pub(crate) use connection::{LONGEST_FLUSH, flush};
pub use counters::TcpCounters;
