//! Getting a typed message out of an [`Any`].

use std::fmt;

use prost::{Message, Name};

use crate::Any;

/// Decodes the message in `any`, which must be a `T`.
///
/// Fields of type `bytes`, nested [`Any`]s included, share the buffer of `any`.
///
/// # Errors
///
/// If `any` names another type, or its value is not a valid encoding of a `T`.
pub fn decode<T: Message + Name + Default>(any: &Any) -> Result<T, DecodeError> {
    if !is::<T>(any) {
        return Err(DecodeError { type_url: any.type_url.clone(), cause: Cause::OtherType { wanted: T::full_name() } });
    }
    T::decode(any.value.clone())
        .map_err(|error| DecodeError { type_url: any.type_url.clone(), cause: Cause::Malformed(error) })
}

/// Whether `any` says that it holds a `T`.
pub fn is<T: Name>(any: &Any) -> bool {
    any.type_name().strip_prefix(T::PACKAGE).and_then(|rest| rest.strip_prefix('.')) == Some(T::NAME)
}

/// Why an [`Any`] gave no message. Its text names the type URL.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeError {
    type_url: String,
    cause: Cause,
}

#[derive(Debug, Clone, PartialEq)]
enum Cause {
    OtherType { wanted: String },
    Malformed(prost::DecodeError),
}

impl DecodeError {
    /// The type URL of the [`Any`] that was to be decoded.
    pub fn type_url(&self) -> &str {
        &self.type_url
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::OtherType { wanted } => write!(formatter, "{:?} where {wanted} belongs", self.type_url),
            Cause::Malformed(error) => write!(formatter, "malformed {}: {error}", self.type_url),
        }
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests;
