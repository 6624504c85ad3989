//! `google.protobuf.Any` that does not copy what it carries.

use bytes::Bytes;
use prost::{Message, Name};

/// A message of a type named by URL (`google.protobuf.Any`).
///
/// Unlike `prost_types::Any`, decoding it out of a [`Bytes`] shares the buffer instead of copying the value.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Any {
    /// `type.googleapis.com/` and the full name of the message.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message, encoded.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

impl Any {
    /// Encodes `message` and names its type.
    pub fn pack<T: Message + Name>(message: &T) -> Self {
        Self { type_url: T::type_url(), value: message.encode_to_vec().into() }
    }

    /// The full name of the message's type: the URL after its last slash.
    pub fn type_name(&self) -> &str {
        type_name(&self.type_url)
    }
}

/// The full name of the message type that a type URL names; what comes before the last slash has no meaning.
pub fn type_name(type_url: &str) -> &str {
    type_url.rsplit_once('/').map_or(type_url, |(_, name)| name)
}
