//! Settings of extensions.

use xds_api::Any;
use xds_api::envoy::config::core::v3 as core;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;

/// The settings of an extension.
pub(crate) fn typed_config<'w>(
    wire: &'w core::TypedExtensionConfig,
    context: &mut Context<'_>,
) -> Result<&'w Any, Refusal> {
    fates! { context, wire => core::TypedExtensionConfig {
        [elsewhere "of the resource, over ECDS; else for people: extensions are told apart by type"] name;
        [implemented] typed_config;
    } }
    typed_config.as_ref().ok_or_else(|| context.refusal("typed_config", "is missing"))
}
