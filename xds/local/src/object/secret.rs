//! Kubernetes' `Secret` and `ConfigMap`, for certificates. What else a ConfigMap may be is `mesh_config.rs`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::load::field::Fields;
use crate::object::metadata::Metadata;

/// A secret.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) metadata: Metadata,
    /// Decoded values by key; `stringData` over `data`.
    pub(crate) data: BTreeMap<String, Bytes>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secret").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// A configuration map.
#[derive(Clone, Debug)]
pub(crate) struct ConfigMap {
    pub(crate) metadata: Metadata,
    pub(crate) data: BTreeMap<String, String>,
}

pub(super) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<Secret> {
    fields.ignore(&["immutable", "type"]);
    let mut data: BTreeMap<String, Bytes> = fields
        .get("data")
        .and_then(|value| {
            value.map(|value| {
                let decoded = STANDARD.decode(value.string()?.replace(char::is_whitespace, ""));
                decoded.map_err(|_| value.error("is not base64; stringData takes plain text")).ok().map(Bytes::from)
            })
        })
        .unwrap_or_default();
    data.extend(fields.string_map("stringData").into_iter().map(|(key, text)| (key, Bytes::from(text))));
    Some(Secret { metadata, data })
}

pub(super) fn read_config_map(fields: &mut Fields<'_>, metadata: Metadata) -> ConfigMap {
    fields.ignore(&["binaryData", "immutable"]);
    ConfigMap { metadata, data: fields.string_map("data") }
}
