//! JSON to messages.
//!
//! The walk over objects and lists is done here, so that an error knows its place, through `Any` too; single values
//! are left to `prost_reflect`.

use bytes::Bytes;
use prost::Message;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value as FieldValue,
};
use serde_json::{Map, Value};

use super::{ANY, JsonError, MAX_DEPTH, descriptor, has_own_form};

pub(super) fn message(descriptor: &MessageDescriptor, value: Value) -> Result<DynamicMessage, JsonError> {
    nested(descriptor, value, 0)
}

fn nested(descriptor: &MessageDescriptor, value: Value, depth: usize) -> Result<DynamicMessage, JsonError> {
    if depth > MAX_DEPTH {
        return Err(JsonError::new(format!("nested deeper than {MAX_DEPTH}")));
    }
    if descriptor.full_name() == ANY {
        return any(descriptor, object(value)?, depth);
    }
    if has_own_form(descriptor) {
        return DynamicMessage::deserialize(descriptor.clone(), value)
            .map_err(|error| JsonError::new(error.to_string()));
    }
    plain(descriptor, object(value)?, depth)
}

/// A message whose JSON form is an object of its fields.
fn plain(
    descriptor: &MessageDescriptor,
    fields: Map<String, Value>,
    depth: usize,
) -> Result<DynamicMessage, JsonError> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, value) in fields {
        read_field(&mut message, &name, value, depth).map_err(|error| error.in_field(&name))?;
    }
    Ok(message)
}

fn read_field(message: &mut DynamicMessage, name: &str, value: Value, depth: usize) -> Result<(), JsonError> {
    let descriptor = message.descriptor();
    let field = descriptor
        .get_field_by_name(name)
        .or_else(|| descriptor.get_field_by_json_name(name))
        .ok_or_else(|| JsonError::new(format!("{} has no such field", descriptor.full_name())))?;
    let Some(value) = field_value(&field, value, depth)? else { return Ok(()) };
    if message.has_field(&field) {
        return Err(JsonError::new("given twice"));
    }
    let rival = field.containing_oneof().and_then(|choice| choice.fields().find(|other| message.has_field(other)));
    if let Some(rival) = rival {
        return Err(JsonError::new(format!("cannot be given together with {}", rival.name())));
    }
    message.set_field(&field, value);
    Ok(())
}

/// Nothing for `null`, which means absent.
fn field_value(field: &FieldDescriptor, value: Value, depth: usize) -> Result<Option<FieldValue>, JsonError> {
    let element = match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    };
    match element {
        Kind::Message(_) if value.is_null() && !takes_null(&element) => Ok(None),
        Kind::Message(inner) if field.is_map() => map(field, &inner, object(value)?, depth).map(Some),
        Kind::Message(inner) if field.is_list() => list(&inner, value, depth).map(Some),
        Kind::Message(inner) => Ok(Some(FieldValue::Message(nested(&inner, value, depth + 1)?))),
        _ => simple(field, value),
    }
}

/// `null` is a value of its own only here.
fn takes_null(kind: &Kind) -> bool {
    kind.as_message().is_some_and(|message| message.full_name() == "google.protobuf.Value")
}

fn list(element: &MessageDescriptor, value: Value, depth: usize) -> Result<FieldValue, JsonError> {
    let Value::Array(values) = value else { return Err(JsonError::new("must be a list")) };
    let read = |(index, value)| nested(element, value, depth + 1).map_err(|error| error.at_key(index));
    let messages = values.into_iter().enumerate().map(read);
    Ok(FieldValue::List(messages.map(|message| message.map(FieldValue::Message)).collect::<Result<_, _>>()?))
}

fn map(
    field: &FieldDescriptor,
    element: &MessageDescriptor,
    entries: Map<String, Value>,
    depth: usize,
) -> Result<FieldValue, JsonError> {
    let Kind::Message(entry) = field.kind() else { return Err(JsonError::new("is not a map")) };
    let key_kind = entry.map_entry_key_field().kind();
    let mut read = std::collections::HashMap::with_capacity(entries.len());
    for (name, value) in entries {
        let key = map_key(&key_kind, &name).ok_or_else(|| JsonError::new("is no valid key").at_key(&name))?;
        let message = nested(element, value, depth + 1).map_err(|error| error.at_key(&name))?;
        read.insert(key, FieldValue::Message(message));
    }
    Ok(FieldValue::Map(read))
}

fn map_key(kind: &Kind, text: &str) -> Option<MapKey> {
    Some(match kind {
        Kind::String => MapKey::String(text.to_owned()),
        Kind::Bool => MapKey::Bool(text.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(text.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(text.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(text.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(text.parse().ok()?),
        Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_) => return None,
    })
}

/// Numbers, text, bytes, enums, and lists and maps of them: read as a message that has only this field.
fn simple(field: &FieldDescriptor, value: Value) -> Result<Option<FieldValue>, JsonError> {
    let parent = field.parent_message().clone();
    let alone = Value::Object(Map::from_iter([(field.name().to_owned(), value)]));
    let mut message = DynamicMessage::deserialize(parent, alone).map_err(|error| JsonError::new(error.to_string()))?;
    Ok(message.take_field(field))
}

fn any(
    descriptor_of_any: &MessageDescriptor,
    mut fields: Map<String, Value>,
    depth: usize,
) -> Result<DynamicMessage, JsonError> {
    let Some(Value::String(type_url)) = fields.remove("@type") else {
        return Err(JsonError::new("must have \"@type\", the type of the message in it"));
    };
    let inner = descriptor(&type_url).map_err(|error| error.in_field("@type"))?;
    let message = if has_own_form(&inner) {
        let value = fields.remove("value").ok_or_else(|| JsonError::new("must have \"value\""))?;
        nested(&inner, value, depth + 1).map_err(|error| error.in_field("value"))?
    } else {
        plain(&inner, fields, depth + 1)?
    };
    let mut any = DynamicMessage::new(descriptor_of_any.clone());
    any.set_field_by_name("type_url", FieldValue::String(type_url));
    any.set_field_by_name("value", FieldValue::Bytes(Bytes::from(message.encode_to_vec())));
    Ok(any)
}

fn object(value: Value) -> Result<Map<String, Value>, JsonError> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(JsonError::new("must be an object")),
    }
}
