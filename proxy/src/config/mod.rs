//! From models to what the workers run: everything that is compiled when configuration changes, so that nothing is at request time.

mod clusters;
mod control;
pub mod dns;
mod extensions;
mod listeners;
pub mod local;
pub mod publish;
mod secrets;
pub mod snapshot;
mod status;

pub use control::{Control, ControlInputs, ControlOptions};
pub use status::{ClusterStatus, ConfigStatus, ListenerFailure, ListenerState, ListenerStatus, Problem, SecretStatus};
