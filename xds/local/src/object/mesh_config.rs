//! Istio's mesh configuration, as its ConfigMap has it: what concerns a gateway from a folder, which is the access log.

use std::collections::BTreeMap;

use crate::load::field::{Fields, Value};
use crate::object::metadata::Metadata;

/// The ConfigMap, and the key in it.
const NAME: &str = "istio";
const NAMESPACE: &str = "istio-system";
const KEY: &str = "mesh";

/// Where requests and connections are logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessLog {
    /// `accessLogFile`.
    pub(crate) path: String,
    pub(crate) format: AccessLogFormat,
}

/// `accessLogEncoding` and `accessLogFormat`; Istio's own format where none is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessLogFormat {
    Text(Option<String>),
    Json(Option<BTreeMap<String, JsonFormat>>),
}

/// A value of a line that is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsonFormat {
    Text(String),
    Object(BTreeMap<String, JsonFormat>),
}

pub(super) fn is_mesh_config(metadata: &Metadata) -> bool {
    metadata.name == NAME && metadata.namespace == NAMESPACE
}

/// The access log that a ConfigMap asks for.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<AccessLog> {
    let mesh = fields.object("data", |data| {
        data.ignore_rest();
        data.get(KEY)
    });
    mesh??.embedded(|mesh| mesh.try_object(read_mesh))
}

fn read_mesh(fields: &mut Fields<'_>) -> Option<AccessLog> {
    let path = fields.string("accessLogFile");
    let is_json = fields.get("accessLogEncoding").and_then(|value| value.choice(&[("TEXT", false), ("JSON", true)]));
    let format = fields.get("accessLogFormat").filter(|value| value.string().is_some_and(|text| !text.is_empty()));
    let format = match is_json {
        Some(true) => AccessLogFormat::Json(format.and_then(|value| value.embedded(json_object))),
        _ => AccessLogFormat::Text(format.and_then(|value| value.string())),
    };
    fields.leave_out_rest("of the mesh configuration a gateway from a folder heeds nothing but the access log");
    (!path.is_empty()).then_some(AccessLog { path, format })
}

fn json_object(value: &Value<'_>) -> Option<BTreeMap<String, JsonFormat>> {
    value.map(|value| match value.is_map() {
        true => json_object(&value).map(JsonFormat::Object),
        false => value.string().map(JsonFormat::Text),
    })
}
