//! Access logs: formats compiled when configuration arrives, lines written into a buffer of the worker, buffers handed to one
//! writer thread. A request neither allocates nor waits for a disk.

mod buffers;
mod filter;
mod json;
pub mod operator;
mod record;
mod sink;
mod time;

pub use buffers::LogBuffers;
pub use record::{Record, UpstreamFacts};
pub use sink::{AccessLogSinks, Sink};

use std::io;
use std::sync::Arc;

use xds_model::access_log::{AccessLog, AccessLogFilter, AccessLogSink, LogFormat};

/// One access log, ready to write lines.
#[derive(Debug)]
pub struct AccessLogger {
    filter: Option<AccessLogFilter>,
    format: LogFormat,
    sink: Arc<Sink>,
}

impl AccessLogger {
    /// Of what the control plane said; the file is opened once for all logs that go there.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn new(model: &AccessLog, sinks: &AccessLogSinks) -> io::Result<Self> {
        let AccessLogSink::File { path, format } = &model.sink;
        Ok(Self { filter: model.filter.clone(), format: format.clone(), sink: sinks.open(path)? })
    }

    /// Writes the line of an event into the worker's buffer, if it is one to be logged.
    pub fn log(&self, record: &Record<'_>, buffers: &LogBuffers) {
        if self.filter.as_ref().is_some_and(|filter| !filter::passes(filter, record)) {
            return;
        }
        buffers.write(&self.sink, |line| match &self.format {
            LogFormat::Text(format) => operator::put_format(format, record, operator::Missing::Dash, line),
            LogFormat::Json { fields, omit_empty_values } => {
                json::put_object(fields, record, *omit_empty_values, line);
                line.push(b'\n');
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use xds_model::format::{Format, Operator, PlainOperator, Segment};

    use super::*;
    use crate::worker::connection::ConnectionFacts;

    #[test]
    fn why_a_connection_has_failed_is_one_line_whatever_another_edge_says() {
        let facts = ConnectionFacts::clear();
        let forging = "edge b: it refuses: x\" -\r\n[2026-11-22] \"GET /forged";
        let record =
            Record { upstream_failure: forging, downstream_failure: forging, ..Record::of_connection(&facts, "host") };
        let operators =
            [PlainOperator::UpstreamTransportFailureReason, PlainOperator::DownstreamTransportFailureReason];
        let mut segments = operators.map(|operator| Segment::Operator(Operator::Plain(operator))).to_vec();
        segments.push(Segment::Literal("\n".into()));
        let mut line = Vec::new();
        operator::put_format(&Format { segments }, &record, operator::Missing::Dash, &mut line);
        let expected = "edge b: it refuses: x\" -??[2026-11-22] \"GET /forged".repeat(2);
        assert_eq!(String::from_utf8_lossy(&line), expected + "\n");
    }
}
