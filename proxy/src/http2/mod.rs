//! HTTP/2 connections, of clients and to endpoints: the codec of crate `h2` on a connection of [`io`](crate::io).
//!
//! One task [drives](Connection::poll_drive) a connection: it reads, and tells the tasks of the streams what arrived for them. Each
//! stream has a handle, [`Stream`]; its owner puts heads and bodies straight into the connection's output, as far as the windows allow,
//! and what they do not allow waits with the stream. Nothing is passed through channels, and nobody waits for a lock.

mod config;
mod connection;
mod driver;
mod idle;
mod keepalive;
mod sending;
mod slot;
mod spare;
mod stream;
mod writer;

pub use config::http2_config;
pub use connection::{Connection, Over};
pub use driver::Requests;
pub use h2::{Code, Role};
pub use idle::IdleTime;
pub use keepalive::Keepalive;
pub use slot::Reset;
pub use spare::SpareHeads;
pub use stream::{Stream, Taken};
pub use writer::StreamWriter;
