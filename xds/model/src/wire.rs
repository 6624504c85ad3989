//! Messages that several resources hold: addresses, durations, sources of configuration and data, metadata.

pub(crate) mod address;
pub(crate) mod data;
pub(crate) mod extension;
pub(crate) mod metadata;
pub(crate) mod number;
pub(crate) mod source;
