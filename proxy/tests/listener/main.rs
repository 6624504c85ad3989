//! Listeners and TCP as a client sees them: real sockets, real workers, configuration through control.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod admission;
mod exhaustion;
mod http2;
mod kit;
mod live;
mod memory;
mod overload;
#[path = "../kit/mod.rs"]
mod shared;
mod tcp;
mod tls;
