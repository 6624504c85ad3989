//! Conversion of HTTP filters that come by discovery (ECDS): where they are named, and what they are.

use std::time::Duration;

use xds_api::envoy::config::core::v3 as core;
use xds_api::{Any, type_name};

use super::filters::{Converted, typed_config};
use super::wasm;
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Report, fates};
use crate::http::{DiscoveredFilter, ExtensionConfig, TypedFilter};
use crate::wire::{extension, source};

/// Envoy's `initial_fetch_timeout` where none is set. Where it is 0, Envoy waits for ever; here a listener is not held up so long.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";

/// The filter that `config_discovery` stands for, whose configuration is called `name`.
pub(super) fn filter(
    name: &str,
    wire: &core::ExtensionConfigSource,
    context: &mut Context<'_>,
) -> Result<DiscoveredFilter, Refusal> {
    fates! { context, wire => core::ExtensionConfigSource {
        [implemented] config_source, default_config, apply_default_config_without_warming, type_urls;
    } }
    let fetch_timeout = context.required("config_source", config_source, source::ads)?;
    let types: Vec<String> = type_urls.iter().map(|url| type_name(url).to_owned()).collect();
    if types.is_empty() {
        return Err(context.refusal("type_urls", "is empty"));
    }
    let default = context.optional("default_config", default_config, typed_filter)?;
    // As Envoy, which takes no such listener either.
    if default.as_ref().is_some_and(|default| !types.contains(&default.type_name)) {
        return Err(context.refusal("default_config", "is of none of the types in type_urls"));
    }
    if *apply_default_config_without_warming && default.is_none() {
        return Err(context.refusal("apply_default_config_without_warming", "there is no default_config"));
    }
    let warming = (!apply_default_config_without_warming).then_some(fetch_timeout.unwrap_or(FETCH_TIMEOUT));
    Ok(DiscoveredFilter { name: name.to_owned(), types, default, warming })
}

fn typed_filter(any: &Any, context: &mut Context<'_>) -> Result<TypedFilter, Refusal> {
    let filter = match typed_config(any, context)? {
        Converted::Nothing => None,
        Converted::Filter(filter) => Some(filter),
        Converted::Router => return Err(context.refusal_here("the router stands in its listener")),
    };
    Ok(TypedFilter { type_name: context.message_name(any)?, filter })
}

impl ExtensionConfig {
    /// Converts a resource of ECDS. Where another filter stands in for what cannot be served, the report says so.
    ///
    /// # Errors
    /// Names the field to blame.
    pub fn from_wire(wire: &core::TypedExtensionConfig, report: &mut Report) -> Result<Self, Refusal> {
        let mut context = Context::new(&wire.name, report);
        if wire.name.is_empty() {
            return Err(context.refusal("name", "is empty"));
        }
        let any = extension::typed_config(wire, &mut context)?;
        let (config, is_confidential) = context.within("typed_config", |context| {
            if any.type_name() == WASM {
                let substitute = wasm::substitute(any, context)?;
                let config = TypedFilter { type_name: WASM.to_owned(), filter: substitute.filter };
                return Ok((config, substitute.confidential));
            }
            Ok((typed_filter(any, context)?, false))
        })?;
        Ok(Self { name: wire.name.clone(), config, is_confidential })
    }
}
