//! Messages to JSON.

use base64::prelude::{BASE64_STANDARD, Engine};
use prost::Message;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value as FieldValue,
};
use serde_json::{Map, Value, json};

use super::{ANY, JsonError, MAX_DEPTH, descriptor, has_own_form};
use crate::Any;

include!("../generated/sensitive_fields.rs");

/// What to do with what the definitions mark as sensitive.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Secrets {
    Shown,
    Redacted,
    /// We are inside of a sensitive field.
    Inside,
}

/// Not marked as sensitive, but istiod puts image pull secrets among them.
const MODULE_ENVIRONMENT: &str = "envoy.extensions.wasm.v3.EnvironmentVariables.key_values";

const REDACTED: &str = "[redacted]";

pub(super) fn message(descriptor: &MessageDescriptor, encoded: &[u8], secrets: Secrets) -> Result<Value, JsonError> {
    let message = DynamicMessage::decode(descriptor.clone(), encoded)
        .map_err(|error| JsonError::new(format!("malformed {}: {error}", descriptor.full_name())))?;
    nested(&message, secrets, 0)
}

fn nested(message: &DynamicMessage, secrets: Secrets, depth: usize) -> Result<Value, JsonError> {
    let descriptor = message.descriptor();
    if depth > MAX_DEPTH {
        return Err(JsonError::new(format!("nested deeper than {MAX_DEPTH}")));
    }
    if descriptor.full_name() == ANY {
        return any(message, secrets, depth);
    }
    if has_own_form(&descriptor) {
        return Ok(own_form(message, secrets));
    }
    plain(message, secrets, depth).map(Value::Object)
}

fn plain(message: &DynamicMessage, secrets: Secrets, depth: usize) -> Result<Map<String, Value>, JsonError> {
    let mut fields = Map::new();
    for (field, value) in message.fields() {
        let secrets = match secrets {
            Secrets::Redacted if is_sensitive(field.full_name()) => Secrets::Inside,
            secrets => secrets,
        };
        let written =
            field_value(value, &field.kind(), secrets, depth).map_err(|error| error.in_field(field.name()))?;
        fields.extend(written.map(|written| (field.name().to_owned(), written)));
    }
    Ok(fields)
}

/// Nothing for what is left out of a sensitive field.
fn field_value(value: &FieldValue, kind: &Kind, secrets: Secrets, depth: usize) -> Result<Option<Value>, JsonError> {
    Ok(Some(match (value, kind) {
        (FieldValue::Message(message), _) => nested(message, secrets, depth + 1)?,
        (FieldValue::List(values), _) => {
            let written = values.iter().map(|value| field_value(value, kind, secrets, depth));
            Value::Array(written.filter_map(Result::transpose).collect::<Result<_, _>>()?)
        }
        (FieldValue::Map(entries), Kind::Message(entry)) => {
            let kind = entry.map_entry_value_field().kind();
            let mut fields = Map::new();
            for (key, value) in entries {
                let written = field_value(value, &kind, secrets, depth)?;
                fields.extend(written.map(|written| (key_text(key), written)));
            }
            Value::Object(fields)
        }
        (FieldValue::String(_), _) if secrets == Secrets::Inside => REDACTED.into(),
        (FieldValue::Bytes(_), _) if secrets == Secrets::Inside => BASE64_STANDARD.encode(REDACTED).into(),
        _ if secrets == Secrets::Inside => return Ok(None),
        (FieldValue::EnumNumber(number), Kind::Enum(descriptor)) => enumeration(*number, descriptor),
        (value, _) => scalar(value),
    }))
}

fn scalar(value: &FieldValue) -> Value {
    match value {
        FieldValue::Bool(value) => (*value).into(),
        FieldValue::I32(value) | FieldValue::EnumNumber(value) => (*value).into(),
        FieldValue::U32(value) => (*value).into(),
        FieldValue::I64(value) => value.to_string().into(),
        FieldValue::U64(value) => value.to_string().into(),
        // By way of its text, so that 0.1 is not written as 0.10000000149011612.
        FieldValue::F32(value) => number(value.to_string().parse().unwrap_or_else(|_| f64::from(*value))),
        FieldValue::F64(value) => number(*value),
        FieldValue::String(value) => value.as_str().into(),
        FieldValue::Bytes(value) => BASE64_STANDARD.encode(value).into(),
        FieldValue::Message(_) | FieldValue::List(_) | FieldValue::Map(_) => Value::Null,
    }
}

fn number(value: f64) -> Value {
    match value {
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        value if value.is_nan() => "NaN".into(),
        value => value.into(),
    }
}

fn enumeration(number: i32, descriptor: &EnumDescriptor) -> Value {
    descriptor.get_value(number).map_or_else(|| number.into(), |value| value.name().into())
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// Durations, timestamps, wrappers, structs and the like. One that has no JSON form, like a duration of more than 10,000
/// years, is left encoded.
fn own_form(message: &DynamicMessage, secrets: Secrets) -> Value {
    if secrets == Secrets::Inside {
        return REDACTED.into();
    }
    serde_json::to_value(message).unwrap_or_else(|_| {
        let encoded = BASE64_STANDARD.encode(message.encode_to_vec());
        json!({"@type": message.descriptor().full_name(), "value": encoded})
    })
}

fn any(message: &DynamicMessage, secrets: Secrets, depth: usize) -> Result<Value, JsonError> {
    let any: Any = message.transcode_to().map_err(|error| JsonError::new(error.to_string()))?;
    // An empty type would be malformed.
    if any.type_url.is_empty() && any.value.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let mut fields = match carried(&any, secrets, depth) {
        Ok(fields) => fields,
        Err(_) if secrets == Secrets::Inside => Map::from_iter([("value".to_owned(), REDACTED.into())]),
        Err(_) => Map::from_iter([("value".to_owned(), BASE64_STANDARD.encode(&any.value).into())]),
    };
    fields.insert("@type".to_owned(), any.type_url.into());
    Ok(Value::Object(fields))
}

/// The fields of what `any` holds, if its type is known and it is well-formed.
fn carried(any: &Any, secrets: Secrets, depth: usize) -> Result<Map<String, Value>, JsonError> {
    let inner = descriptor(&any.type_url)?;
    let own_form = has_own_form(&inner);
    let message =
        DynamicMessage::decode(inner, any.value.as_ref()).map_err(|error| JsonError::new(error.to_string()))?;
    if own_form {
        return Ok(Map::from_iter([("value".to_owned(), nested(&message, secrets, depth + 1)?)]));
    }
    plain(&message, secrets, depth + 1)
}

fn is_sensitive(field: &str) -> bool {
    field == MODULE_ENVIRONMENT || SENSITIVE_FIELDS.binary_search(&field).is_ok()
}
