//! How the process is told what it is: arguments, environment and files of Istio's gateway pod, as `pilot-agent` reads them.
//!
//! The names, defaults and precedence are pilot-agent's (`pilot/cmd/pilot-agent/options`), so that the image of a gateway can be
//! replaced without touching its pod template.

mod agent_flags;
mod environment;
mod overload;
mod overload_manager;
mod proxy_config;
mod settings;

pub use agent_flags::AgentFlags;
pub use environment::Environment;
pub(crate) use environment::parse_go_duration;
pub use proxy_config::ProxyConfig;
pub use settings::{ControlPlane, DrainSettings, Ports, Settings, TrustRoots, default_concurrency};

/// The bootstrap could not be understood; the message names the variable, flag or file.
#[derive(Debug, thiserror::Error)]
#[error("{source_name}: {reason}")]
pub struct BootstrapError {
    /// Variable, flag or file.
    pub source_name: String,
    /// What is wrong with it.
    pub reason: String,
}

impl BootstrapError {
    pub(crate) fn new(source_name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { source_name: source_name.into(), reason: reason.into() }
    }
}
