//! A client of an xDS control plane: what a gateway is told, validated and kept.
//!
//! Data flows one way: [`session`] speaks the protocol of [`delta`] over a stream, hands what it receives to a
//! [`configuration`], which keeps it in a [`cache`], finds out through [`references`] what else has to be asked for, and tells
//! the proxy what has changed as [`event`]s. [`snapshot`] keeps the last good state on disk, [`ca`] gets our own certificate,
//! [`node`] says who we are, [`small_file`] reads certificates and tokens.

mod back_off;
pub mod ca;
pub mod cache;
pub mod configuration;
pub mod control_plane;
pub mod delta;
pub mod event;
pub mod node;
pub mod references;
pub mod resource;
mod resource_type;
mod route_table;
pub mod session;
pub mod small_file;
pub mod snapshot;
#[cfg(test)]
mod testing;

pub use event::Event;
pub use resource::Resource;
pub use resource_type::ResourceType;
