//! The overlay's protocol without I/O.
//!
//! Bytes come in, bytes go out, and time is told; so all of it runs in tests with seeds, and over any transport that is reliable and in order.

pub mod budget;
mod buffer;
pub mod call;
pub mod catalogue;
pub mod datagram;
pub mod frame;
pub mod hello;
pub mod leg;
pub mod mux;
mod reason;
pub mod shard;
pub mod stream;
pub mod varint;
