//! What the control plane said, validated: plain Rust values without protobuf, without I/O.
//!
//! Every resource enters through one function of its module (`listener::Listener::from_wire`, …). Each protobuf message is
//! destructured exhaustively, and each field has one of three fates (see [`fate`]): *implemented*, *no-op* (accepted, counted and
//! listed in `docs/support.md`) or *refused* (the resource is rejected with its name and the path of the field).
//!
//! The values compare by content (`PartialEq`): istiod sends unchanged resources again and again, with map entries in any order,
//! and an equal model means that nothing has to be done.

pub mod access_log;
pub mod cluster;
mod context;
pub mod endpoint;
pub mod error;
#[cfg(test)]
mod examples;
pub mod fate;
pub mod format;
pub mod hash_policy;
pub mod header;
pub mod http;
pub mod http2;
pub mod listener;
pub mod matcher;
pub mod resource;
pub mod route;
pub mod secret;
pub mod tls;
mod wire;
