//! Access logs in files.

use tempfile::{TempDir, tempdir};
use xds_model::access_log::{AccessLog, AccessLogSink, LogFormat};
use xds_model::format::Format;

use super::eventually;

/// A log file of its own.
#[derive(Debug)]
pub(crate) struct LogFile {
    folder: TempDir,
}

impl LogFile {
    pub(crate) fn new() -> Self {
        Self { folder: tempdir().unwrap() }
    }

    /// Lines of text.
    pub(crate) fn text(&self, format: &str) -> AccessLog {
        self.with(LogFormat::Text(Format::parse(format).unwrap()))
    }

    pub(crate) fn with(&self, format: LogFormat) -> AccessLog {
        AccessLog { sink: AccessLogSink::File { path: self.path(), format }, filter: None }
    }

    /// Waits for this many lines and returns them; there must not be more.
    pub(crate) async fn lines(&self, count: usize) -> Vec<String> {
        let read = || std::fs::read_to_string(self.path()).unwrap_or_default();
        eventually(&format!("{count} lines in the log"), async || read().lines().count() >= count).await;
        let lines: Vec<String> = read().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), count, "{lines:?}");
        lines
    }

    fn path(&self) -> String {
        self.folder.path().join("access.log").to_str().unwrap().to_owned()
    }
}
