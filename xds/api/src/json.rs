//! Messages as JSON, the way Envoy reads its bootstrap and writes its `config_dump`.
//!
//! The mapping is protobuf's own (<https://protobuf.dev/programming-guides/json/>): an `Any` is an object with `@type`
//! and the fields of what it carries, durations are `"1.5s"`, 64-bit integers are strings. Field names are written as
//! in the definitions (`virtual_hosts`) and read in that form and in camel case.
//!
//! It works on descriptors of every message there is, not on the Rust types: a bootstrap may name extensions that have
//! none. The descriptors are decoded at first use, about 20 ms; a process that never uses JSON does not pay for them.

mod read;
mod write;

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use serde_json::Value;

use crate::type_name;

/// The JSON form of the message of type `name` (a full name or a type URL) that `encoded` holds.
///
/// An `Any` of a type nobody described, or one that is malformed, becomes `{"@type": ..., "value": <base64>}` and
/// spoils nothing else. Private keys, passwords and the like are written as they are; see [`to_redacted_json`].
///
/// # Errors
///
/// If `name` is no known type or `encoded` is malformed.
pub fn to_json(name: &str, encoded: &[u8]) -> Result<Value, JsonError> {
    write::message(&descriptor(name)?, encoded, write::Secrets::Shown)
}

/// Like [`to_json`], with `[redacted]` in every text and byte string of the fields that the definitions mark with
/// `udpa.annotations.sensitive`; other values in them are left out. What Envoy does in `config_dump`.
///
/// # Errors
///
/// As for [`to_json`].
pub fn to_redacted_json(name: &str, encoded: &[u8]) -> Result<Value, JsonError> {
    write::message(&descriptor(name)?, encoded, write::Secrets::Redacted)
}

/// The encoding of the message of type `name` (a full name or a type URL) that `value` is the JSON form of.
///
/// # Errors
///
/// If `name` is no known type, or `value` has an unknown field, a value that does not fit, two fields of one choice or
/// an unknown `@type`. The error says where.
pub fn from_json(name: &str, value: Value) -> Result<Bytes, JsonError> {
    Ok(read::message(&descriptor(name)?, value)?.encode_to_vec().into())
}

/// Like [`from_json`], decoded.
///
/// # Errors
///
/// As for [`from_json`].
pub fn parse<T: Message + Name + Default>(value: Value) -> Result<T, JsonError> {
    let name = T::full_name();
    T::decode(from_json(&name, value)?).map_err(|error| JsonError::new(format!("malformed {name}: {error}")))
}

fn descriptor(name: &str) -> Result<MessageDescriptor, JsonError> {
    let name = type_name(name);
    pool()?.get_message_by_name(name).ok_or_else(|| JsonError::new(format!("no message type is called {name:?}")))
}

fn pool() -> Result<&'static DescriptorPool, JsonError> {
    static POOL: LazyLock<Result<DescriptorPool, String>> = LazyLock::new(|| {
        let encoded: &[u8] = include_bytes!("../descriptors.bin");
        DescriptorPool::decode(encoded).map_err(|error| error.to_string())
    });
    POOL.as_ref().map_err(|error| JsonError::new(format!("the built-in descriptors are malformed: {error}")))
}

/// Messages nested deeper than this are refused when read, and left encoded when written.
const MAX_DEPTH: usize = 100;

/// Whether the JSON form of a message is not simply an object of its fields.
fn has_own_form(descriptor: &MessageDescriptor) -> bool {
    descriptor.package_name() == "google.protobuf"
}

const ANY: &str = "google.protobuf.Any";

/// Why a message could not be read from or written as JSON. Its text says where in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    path: String,
    message: String,
}

impl JsonError {
    fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// The error as seen from the message that has it in `field`.
    fn in_field(mut self, field: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{separator}{}", self.path);
        self
    }

    /// The error as seen from the list or map that has it at `key`.
    fn at_key(mut self, key: impl fmt::Display) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{key}]{separator}{}", self.path);
        self
    }

    /// Where, as in `static_resources.listeners[0].name`; empty for the document itself.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for JsonError {}

#[cfg(test)]
mod tests;
