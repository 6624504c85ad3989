//! Conversion of access logs.

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use xds_api::envoy::config::accesslog::v3 as accesslog;
use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::extensions::access_loggers::file::v3 as file;
use xds_api::envoy::extensions::access_loggers::stream::v3 as stream;

use crate::access_log::{AccessLog, AccessLogFilter, AccessLogSink, Comparison, JsonValue, LogFormat};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, Fates, fates};
use crate::format::Format;
use crate::wire::{data, extension};

/// What Envoy writes when no format is given.
pub const DEFAULT_TEXT_FORMAT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" "#,
    r#"%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "#,
    r#"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
    r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#,
    "\n"
);

pub(crate) const ACCESS_LOGGERS: ExtensionTable = ExtensionTable {
    kind: "access log",
    rows: &[
        Extension::implemented("envoy.extensions.access_loggers.file.v3.FileAccessLog"),
        Extension::implemented("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"),
        Extension::implemented("envoy.extensions.access_loggers.stream.v3.StderrAccessLog"),
        Extension::refused("envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig", REMOTE),
        Extension::refused("envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig", REMOTE),
        Extension::refused("envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig", REMOTE),
    ],
};
const REMOTE: &str = "logs to collectors are not supported yet";

pub(crate) const FORMATTERS: ExtensionTable = ExtensionTable {
    kind: "formatter",
    rows: &[
        Extension::implemented("envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"),
        Extension::implemented("envoy.extensions.formatter.metadata.v3.Metadata"),
        Extension::refused("envoy.extensions.formatter.cel.v3.Cel", "CEL is not supported yet"),
    ],
};

impl AccessLog {
    /// Converts one log.
    pub(crate) fn convert(wire: &accesslog::AccessLog, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => accesslog::AccessLog {
                [implemented] filter;
                [elsewhere "for people; loggers are told apart by type"] name;
            }
            oneof config_type { [implemented] typed_config; }
        }
        let filter = context.optional("filter", filter, convert_filter)?;
        let sink = match config_type {
            Some(accesslog::access_log::ConfigType::TypedConfig(any)) => {
                context.within("typed_config", |context| sink(any, context))?
            }
            None => return Err(context.refusal("typed_config", "is missing")),
        };
        Ok(Self { sink, filter })
    }
}

fn sink(any: &xds_api::Any, context: &mut Context<'_>) -> Result<AccessLogSink, Refusal> {
    context.extension(&ACCESS_LOGGERS, any)?;
    let (path, format) = if xds_api::is::<stream::StdoutAccessLog>(any) {
        ("/dev/stdout".to_owned(), stdout_format(&context.decode(any)?, context)?)
    } else if xds_api::is::<stream::StderrAccessLog>(any) {
        ("/dev/stderr".to_owned(), stderr_format(&context.decode(any)?, context)?)
    } else {
        file_log(&context.decode(any)?, context)?
    };
    Ok(AccessLogSink::File { path, format })
}

fn file_log(wire: &file::FileAccessLog, context: &mut Context<'_>) -> Result<(String, LogFormat), Refusal> {
    fates! { context, wire => file::FileAccessLog { [implemented] path; }
        oneof access_log_format { [implemented] log_format, format, json_format, typed_json_format; }
    }
    use file::file_access_log::AccessLogFormat;
    let format = match access_log_format {
        None => text("access_log_format", DEFAULT_TEXT_FORMAT, context)?,
        Some(AccessLogFormat::LogFormat(wire)) => {
            context.within("log_format", |context| substitution_format(wire, context))?
        }
        Some(AccessLogFormat::Format(format)) if format.is_empty() => text("format", DEFAULT_TEXT_FORMAT, context)?,
        Some(AccessLogFormat::Format(format)) => text("format", format, context)?,
        Some(AccessLogFormat::JsonFormat(object)) => json("json_format", object, false, context)?,
        Some(AccessLogFormat::TypedJsonFormat(object)) => json("typed_json_format", object, false, context)?,
    };
    if path.is_empty() {
        return Err(context.refusal("path", "is empty"));
    }
    Ok((path.clone(), format))
}

fn stdout_format(wire: &stream::StdoutAccessLog, context: &mut Context<'_>) -> Result<LogFormat, Refusal> {
    fates! { context, wire => stream::StdoutAccessLog {}
        oneof access_log_format { [implemented] log_format; }
    }
    use stream::stdout_access_log::AccessLogFormat;
    let format = access_log_format.as_ref().map(|AccessLogFormat::LogFormat(format)| format);
    stream_format(format, context)
}

fn stderr_format(wire: &stream::StderrAccessLog, context: &mut Context<'_>) -> Result<LogFormat, Refusal> {
    fates! { context, wire => stream::StderrAccessLog {}
        oneof access_log_format { [implemented] log_format; }
    }
    use stream::stderr_access_log::AccessLogFormat;
    let format = access_log_format.as_ref().map(|AccessLogFormat::LogFormat(format)| format);
    stream_format(format, context)
}

fn stream_format(
    wire: Option<&core::SubstitutionFormatString>,
    context: &mut Context<'_>,
) -> Result<LogFormat, Refusal> {
    match wire {
        Some(wire) => context.within("log_format", |context| substitution_format(wire, context)),
        None => text("log_format", DEFAULT_TEXT_FORMAT, context),
    }
}

fn substitution_format(wire: &core::SubstitutionFormatString, context: &mut Context<'_>) -> Result<LogFormat, Refusal> {
    fates! { context, wire => core::SubstitutionFormatString {
            [implemented "for JSON; text keeps its dashes"] omit_empty_values;
            [implemented "those whose operators are known anyway"] formatters;
            [no_op "logs have no content type"] content_type;
            [no_op "keys are always sorted"] json_format_options;
        }
        oneof format { [implemented] text_format, text_format_source, json_format; }
    }
    context.each("formatters", formatters, |formatter, context| {
        let any = extension::typed_config(formatter, context)?;
        context.within("typed_config", |context| context.extension(&FORMATTERS, any))
    })?;
    use core::substitution_format_string::Format as Form;
    if *omit_empty_values && !matches!(format, Some(Form::JsonFormat(_))) {
        context.no_op(core::SubstitutionFormatString::message(), "omit_empty_values");
    }
    match format {
        None => text("text_format_source", DEFAULT_TEXT_FORMAT, context),
        Some(Form::TextFormat(format)) => text("text_format", format, context),
        Some(Form::TextFormatSource(wire)) => {
            let format = context.within("text_format_source", |context| data::text(wire, context))?;
            text("text_format_source", &format, context)
        }
        Some(Form::JsonFormat(object)) => json("json_format", object, *omit_empty_values, context),
    }
}

fn text(field: &'static str, format: &str, context: &mut Context<'_>) -> Result<LogFormat, Refusal> {
    Format::parse(format).map(LogFormat::Text).map_err(|error| context.refusal(field, error))
}

fn json(
    field: &'static str,
    object: &Struct,
    omit_empty_values: bool,
    context: &mut Context<'_>,
) -> Result<LogFormat, Refusal> {
    let fields = context.within(field, |context| json_fields(object, context))?;
    Ok(LogFormat::Json { fields, omit_empty_values })
}

fn json_fields(object: &Struct, context: &mut Context<'_>) -> Result<Vec<(String, JsonValue)>, Refusal> {
    let field = |(key, value): (&String, &Value)| {
        let value = context.entry("fields", key, |context| json_value(value, context))?;
        Ok((key.clone(), value))
    };
    object.fields.iter().map(field).collect()
}

fn json_value(value: &Value, context: &mut Context<'_>) -> Result<JsonValue, Refusal> {
    Ok(match &value.kind {
        Some(Kind::StringValue(format)) => {
            JsonValue::Format(Format::parse(format).map_err(|error| context.refusal_here(error))?)
        }
        Some(Kind::StructValue(object)) => JsonValue::Object(json_fields(object, context)?),
        Some(Kind::ListValue(list)) => JsonValue::List(context.each("values", &list.values, json_value)?),
        Some(Kind::NumberValue(number)) => JsonValue::Number(*number),
        Some(Kind::BoolValue(truth)) => JsonValue::Bool(*truth),
        Some(Kind::NullValue(_)) | None => JsonValue::Null,
    })
}

fn convert_filter(wire: &accesslog::AccessLogFilter, context: &mut Context<'_>) -> Result<AccessLogFilter, Refusal> {
    fates! { context, wire => accesslog::AccessLogFilter {}
        oneof filter_specifier {
            [implemented] status_code_filter, and_filter, or_filter, response_flag_filter;
            [refused "this condition is not supported yet"] duration_filter, not_health_check_filter, traceable_filter,
                runtime_filter, header_filter, grpc_status_filter, metadata_filter, log_type_filter;
            [refused "CEL is not supported yet"] extension_filter;
        }
    }
    use accesslog::access_log_filter::FilterSpecifier as Specifier;
    let refused = |member| Err(context.refused_member::<accesslog::AccessLogFilter>(member));
    match filter_specifier {
        Some(Specifier::StatusCodeFilter(wire)) => {
            context.within("status_code_filter", |context| status_filter(wire, context))
        }
        Some(Specifier::AndFilter(wire)) => context.within("and_filter", |context| and_filter(wire, context)),
        Some(Specifier::OrFilter(wire)) => context.within("or_filter", |context| or_filter(wire, context)),
        Some(Specifier::ResponseFlagFilter(wire)) => {
            context.within("response_flag_filter", |context| flag_filter(wire, context))
        }
        Some(Specifier::DurationFilter(_)) => refused("duration_filter"),
        Some(Specifier::NotHealthCheckFilter(_)) => refused("not_health_check_filter"),
        Some(Specifier::TraceableFilter(_)) => refused("traceable_filter"),
        Some(Specifier::RuntimeFilter(_)) => refused("runtime_filter"),
        Some(Specifier::HeaderFilter(_)) => refused("header_filter"),
        Some(Specifier::GrpcStatusFilter(_)) => refused("grpc_status_filter"),
        Some(Specifier::ExtensionFilter(_)) => refused("extension_filter"),
        Some(Specifier::MetadataFilter(_)) => refused("metadata_filter"),
        Some(Specifier::LogTypeFilter(_)) => refused("log_type_filter"),
        None => Err(context.refusal_here("is empty")),
    }
}

fn status_filter(wire: &accesslog::StatusCodeFilter, context: &mut Context<'_>) -> Result<AccessLogFilter, Refusal> {
    fates! { context, wire => accesslog::StatusCodeFilter { [implemented] comparison; } }
    context.required("comparison", comparison, |wire, context| {
        fates! { context, wire => accesslog::ComparisonFilter { [implemented] op, value; } }
        let comparison = match context.enumeration("op", *op)? {
            accesslog::comparison_filter::Op::Eq => Comparison::Equal,
            accesslog::comparison_filter::Op::Ge => Comparison::GreaterOrEqual,
            accesslog::comparison_filter::Op::Le => Comparison::LessOrEqual,
            accesslog::comparison_filter::Op::Ne => Comparison::NotEqual,
        };
        let value = context.required("value", value, runtime_number)?;
        Ok(AccessLogFilter::Status { comparison, value })
    })
}

fn runtime_number(wire: &core::RuntimeUInt32, context: &mut Context<'_>) -> Result<u32, Refusal> {
    fates! { context, wire => core::RuntimeUInt32 {
        [implemented] default_value;
        [no_op "there is no runtime that could override it"] runtime_key;
    } }
    Ok(*default_value)
}

fn and_filter(wire: &accesslog::AndFilter, context: &mut Context<'_>) -> Result<AccessLogFilter, Refusal> {
    fates! { context, wire => accesslog::AndFilter { [implemented] filters; } }
    context.each("filters", filters, convert_filter).map(AccessLogFilter::And)
}

fn or_filter(wire: &accesslog::OrFilter, context: &mut Context<'_>) -> Result<AccessLogFilter, Refusal> {
    fates! { context, wire => accesslog::OrFilter { [implemented] filters; } }
    context.each("filters", filters, convert_filter).map(AccessLogFilter::Or)
}

fn flag_filter(wire: &accesslog::ResponseFlagFilter, context: &mut Context<'_>) -> Result<AccessLogFilter, Refusal> {
    fates! { context, wire => accesslog::ResponseFlagFilter { [implemented] flags; } }
    Ok(AccessLogFilter::ResponseFlags(flags.clone()))
}
