//! Entrances: a way to services of other edges for clients that are not this gateway (sidecars, Envoy gateways, ambient).
//!
//! istiod sends them to the address that stands for an edge and the port that stands for a service's. There must be somebody: a listener for
//! each, and one for HBONE on each address, made of what listeners, clusters and routes are made of anyway ([`resources`]); control serves them
//! like those of the control plane ([`Entrances`]). Who is let in is decided in `listener/entrance.rs`.

mod config;
mod resources;
mod sink;

pub use self::config::{Terminate, TerminateFiles};
pub(super) use self::resources::Settings;
pub(super) use self::sink::Entrances;
