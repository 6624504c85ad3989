//! Access logs as istiod makes them of the mesh configuration.

use std::collections::BTreeMap;

use prost_types::Struct;
use xds_api::Any;
use xds_api::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, ResponseFlagFilter, access_log, access_log_filter,
};
use xds_api::envoy::config::core::v3::{DataSource, SubstitutionFormatString, data_source, substitution_format_string};
use xds_api::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use xds_api::envoy::extensions::access_loggers::file::v3::file_access_log::AccessLogFormat as WireFormat;

use super::wire::{object, text};
use crate::mesh::Mesh;
use crate::object::mesh_config::{AccessLogFormat, JsonFormat};

/// Connections for which there is no filter chain: of a listener's own log these lines alone are wanted.
const NO_FILTER_CHAIN: &str = "NR";

/// Istio's own format.
const TEXT_FORMAT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% "#,
    r#"%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% "#,
    r#"%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
    r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% "#,
    r#"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%"#,
    "\n"
);

/// The same as JSON.
const JSON_FORMAT: &[(&str, &str)] = &[
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

/// Of requests, and of connections that no request is read from.
pub(super) fn logs(mesh: &Mesh) -> Vec<AccessLog> {
    log(mesh, None).into_iter().collect()
}

/// Of connections that get no further than the listener.
pub(super) fn listener_logs(mesh: &Mesh) -> Vec<AccessLog> {
    let flags = ResponseFlagFilter { flags: vec![NO_FILTER_CHAIN.to_owned()] };
    let specifier = access_log_filter::FilterSpecifier::ResponseFlagFilter(flags);
    log(mesh, Some(AccessLogFilter { filter_specifier: Some(specifier) })).into_iter().collect()
}

fn log(mesh: &Mesh, filter: Option<AccessLogFilter>) -> Option<AccessLog> {
    let wanted = mesh.access_log.as_ref()?;
    let format = match &wanted.format {
        AccessLogFormat::Text(format) => WireFormat::LogFormat(text_format(format.as_deref())),
        AccessLogFormat::Json(Some(format)) => WireFormat::JsonFormat(json_format(format)),
        AccessLogFormat::Json(None) => {
            let own = JSON_FORMAT.iter().map(|(name, value)| ((*name).to_owned(), text(value)));
            WireFormat::JsonFormat(Struct { fields: own.collect() })
        }
    };
    let file = FileAccessLog { path: wanted.path.clone(), access_log_format: Some(format) };
    Some(AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        filter,
        config_type: Some(access_log::ConfigType::TypedConfig(Any::pack(&file))),
    })
}

/// Lines end with a line feed, whether the format has one or not.
fn text_format(format: Option<&str>) -> SubstitutionFormatString {
    let mut line = format.unwrap_or(TEXT_FORMAT).to_owned();
    if !line.ends_with('\n') {
        line.push('\n');
    }
    let source = DataSource { specifier: Some(data_source::Specifier::InlineString(line)), ..DataSource::default() };
    SubstitutionFormatString {
        format: Some(substitution_format_string::Format::TextFormatSource(source)),
        ..SubstitutionFormatString::default()
    }
}

fn json_format(format: &BTreeMap<String, JsonFormat>) -> Struct {
    let fields = format.iter().map(|(name, value)| {
        let value = match value {
            JsonFormat::Text(value) => text(value),
            JsonFormat::Object(inner) => object(json_format(inner)),
        };
        (name.clone(), value)
    });
    Struct { fields: fields.collect() }
}
