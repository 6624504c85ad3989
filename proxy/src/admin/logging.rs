//! `/logging`: the level of the process's own log.

use http::StatusCode;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::server::{Call, Reply, text};

/// Changes the level while the process runs.
#[derive(Debug, Clone)]
pub struct LogLevels(reload::Handle<EnvFilter, Registry>);

impl LogLevels {
    /// Of a filter that can be replaced.
    pub fn new(handle: reload::Handle<EnvFilter, Registry>) -> Self {
        Self(handle)
    }

    fn set(&self, level: &str) -> Result<(), String> {
        self.0.reload(EnvFilter::new(level)).map_err(|error| error.to_string())
    }

    fn current(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }
}

/// Envoy's level names in tracing's terms.
pub fn level(envoy: &str) -> Option<&'static str> {
    Some(match envoy {
        "trace" => "trace",
        "debug" => "debug",
        "info" => "info",
        "warning" | "warn" => "warn",
        "error" | "critical" | "fatal" => "error",
        "off" | "none" => "off",
        _ => return None,
    })
}

/// The page: without parameters the level, with `level=` a new one.
pub(super) fn page(levels: &LogLevels, call: &Call) -> Reply {
    let Some(wanted) = call.parameter("level") else {
        return text(StatusCode::OK, format!("active level: {}\n", levels.current()));
    };
    let Some(name) = level(wanted) else {
        return text(StatusCode::BAD_REQUEST, format!("error: unknown logger level `{wanted}`\n"));
    };
    match levels.set(name) {
        Ok(()) => text(StatusCode::OK, format!("active level: {name}\n")),
        Err(reason) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("error: {reason}\n")),
    }
}
