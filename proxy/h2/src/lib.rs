//! HTTP/2 (RFC 9113) as an edge speaks it, in both roles and without I/O.
//!
//! A [`Connection`] takes what arrived ([`Connection::receive`]) and says what it means ([`Event`]); what is to be sent is
//! appended to a buffer of the caller. Bodies pass through without being kept: the caller gets their place in its own input,
//! and says when it is done with them ([`Connection::consumed`]). Heads are those of the crate `h1`, so that
//! nothing else needs to know by which version a message came. Nothing allocates once the buffers have grown to the size of
//! the traffic.
//!
//! The rules are those of the RFC at their strict end; everything a peer may do without end is bounded by [`AbuseLimits`].

mod abuse;
mod config;
mod connection;
mod error;
mod event;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod hpack;
mod settings;
mod stream;
mod streams;
mod window;

pub use config::{AbuseLimits, Config, Role};
pub use connection::Connection;
pub use error::{Code, ConnectionError, OpenError};
pub use event::{Event, Received};
pub use streams::Key;
