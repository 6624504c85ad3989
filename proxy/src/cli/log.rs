//! The process's own log, on standard error. The access log is not part of it.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, reload};

use crate::admin::LogLevels;

/// Starts logging at `level` (a tracing filter) and returns the means to change it.
pub(super) fn start(level: &str, as_json: bool) -> LogLevels {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(level));
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours);
    let lines = if as_json { lines.json().boxed() } else { lines.compact().boxed() };
    // A second start in one process (tests) keeps the first log.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    LogLevels::new(handle)
}
