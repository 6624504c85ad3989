//! Data that is in the configuration or in a file.

use bytes::Bytes;
use xds_api::envoy::config::core::v3 as core;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;

/// What a `DataSource` says.
pub(crate) enum Data {
    /// The data itself.
    Inline(Bytes),
    /// The path of a file.
    File(String),
}

/// Data in either place.
pub(crate) fn data(wire: &core::DataSource, context: &mut Context<'_>) -> Result<Data, Refusal> {
    fates! { context, wire => core::DataSource {
            [no_op "files are always watched"] watched_directory;
        }
        oneof specifier {
            [implemented] inline_bytes, inline_string;
            [implemented "certificates, keys and revocation lists in TLS settings only"] filename;
            [refused "configuration does not read the environment"] environment_variable;
        }
    }
    use core::data_source::Specifier;
    match specifier {
        Some(Specifier::InlineBytes(bytes)) => Ok(Data::Inline(bytes.clone())),
        Some(Specifier::InlineString(text)) => Ok(Data::Inline(Bytes::copy_from_slice(text.as_bytes()))),
        Some(Specifier::Filename(path)) => Ok(Data::File(path.clone())),
        Some(Specifier::EnvironmentVariable(_)) => {
            Err(context.refused_member::<core::DataSource>("environment_variable"))
        }
        None => Err(context.refusal_here("is empty")),
    }
}

/// Data that must be in the configuration itself.
pub(crate) fn inline(wire: &core::DataSource, context: &mut Context<'_>) -> Result<Bytes, Refusal> {
    match data(wire, context)? {
        Data::Inline(bytes) => Ok(bytes),
        Data::File(_) => Err(context.refusal("filename", "files are not read here")),
    }
}

/// Text that must be in the configuration itself.
pub(crate) fn text(wire: &core::DataSource, context: &mut Context<'_>) -> Result<String, Refusal> {
    String::from_utf8(inline(wire, context)?.into()).map_err(|_| context.refusal_here("is not UTF-8"))
}
