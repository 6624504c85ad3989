//! Access logs (`envoy.config.accesslog.v3`).

pub(crate) mod wire;

pub use wire::DEFAULT_TEXT_FORMAT;

use crate::format::Format;

/// One log and what goes into it.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where lines go.
    pub sink: AccessLogSink,
    /// Which events are logged; `None` for all.
    pub filter: Option<AccessLogFilter>,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessLogSink {
    /// A file, usually `/dev/stdout`.
    File {
        /// Path.
        path: String,
        /// Form of a line.
        format: LogFormat,
    },
}

/// Form of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum LogFormat {
    /// Text with operators; it ends with its own line feed, if any.
    Text(Format),
    /// A JSON object per line, keys in this order.
    Json {
        /// Keys and values.
        fields: Vec<(String, JsonValue)>,
        /// Leave out keys whose operators have no value, instead of writing `null`.
        omit_empty_values: bool,
    },
}

/// A value of a JSON log line.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    /// A formatted string; a single operator keeps its type (number or null).
    Format(Format),
    /// A nested object.
    Object(Vec<(String, JsonValue)>),
    /// A list.
    List(Vec<JsonValue>),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// Null.
    Null,
}

/// Which events are logged.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessLogFilter {
    /// The status compares to a value.
    Status {
        /// How.
        comparison: Comparison,
        /// To what.
        value: u32,
    },
    /// One of these response flags is set; empty for any flag.
    ResponseFlags(Vec<String>),
    /// All must hold.
    And(Vec<AccessLogFilter>),
    /// One must hold.
    Or(Vec<AccessLogFilter>),
}

/// `ComparisonFilter.Op`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// At least.
    GreaterOrEqual,
    /// At most.
    LessOrEqual,
    /// Different.
    NotEqual,
}
