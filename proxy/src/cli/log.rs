//! The process's own log, on standard error. The access log is not part of it.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, reload};

use crate::admin::LogLevels;

/// Starts logging at `level` (a tracing filter) and returns the means to change it.
pub(super) fn start(level: &str, as_json: bool) -> LogLevels {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(level));
    let colours = io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(|| OneLine(io::stderr())).with_target(false).with_ansi(colours);
    let lines = if as_json { lines.json().boxed() } else { lines.compact().boxed() };
    // A second start in one process (tests) keeps the first log.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    LogLevels::new(handle)
}

/// Makes a line of whatever is written at a time, so that nobody whose words are logged forges another one.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        if !line.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return self.0.write_all(event).map(|()| event.len());
        }
        let pieces = line.split(|byte| matches!(byte, b'\n' | b'\r'));
        let mut line = pieces.collect::<Vec<_>>().join(&b'?');
        line.push(b'\n');
        self.0.write_all(&line).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_one_whatever_others_say() {
        let mut out = Vec::new();
        let mut lines = OneLine(&mut out);
        for event in ["INFO one\n", "INFO edge b: refused\r\nERROR forged\n"] {
            lines.write_all(event.as_bytes()).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "INFO one\nINFO edge b: refused??ERROR forged\n");
    }
}
