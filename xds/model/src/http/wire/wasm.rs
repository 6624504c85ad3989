//! What stands in the place of a WebAssembly filter that comes by discovery.
//!
//! No modules are run. Istio's agent meets the same case when it cannot fetch a module, and its rule is ours (istio.io/istio,
//! `pkg/wasm/convert.go`): the failure policy of the plugin decides whether requests pass without it or are denied.

use xds_api::Any;
use xds_api::envoy::extensions::filters::http::wasm::v3 as filter;
use xds_api::envoy::extensions::wasm::v3 as wasm;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::http::HttpFilter;

/// Where istiod writes the content of an image pull secret, for the agent to take it out again.
const PULL_SECRET: &str = "ISTIO_META_WASM_IMAGE_PULL_SECRET";

/// A substitute.
pub(super) struct Substitute {
    /// Nothing, where requests pass.
    pub(super) filter: Option<HttpFilter>,
    /// The configuration of the module holds a pull secret.
    pub(super) confidential: bool,
}

/// The substitute of the filter in `any`. That there is one is reported as a refusal of the filter itself.
pub(super) fn substitute(any: &Any, context: &mut Context<'_>) -> Result<Substitute, Refusal> {
    let wire: filter::Wasm = context.decode(any)?;
    let wire = &wire;
    fates! { context, wire => filter::Wasm { [implemented "its failure policy alone"] config; } }
    let (open, confidential) = context.optional("config", config, failure)?.unwrap_or((false, false));
    let consequence = if open { "pass without it" } else { "are denied" };
    context.report(context.refusal_here(format_args!(
        "HTTP filter {}: WebAssembly is not supported; requests {consequence}, as its failure policy says",
        any.type_name(),
    )));
    Ok(Substitute { filter: (!open).then_some(HttpFilter::DenyAll), confidential })
}

/// Whether requests pass without the module, and whether the message holds a pull secret.
fn failure(wire: &wasm::PluginConfig, context: &mut Context<'_>) -> Result<(bool, bool), Refusal> {
    fates! { context, wire => wasm::PluginConfig {
            [implemented "where no filter can run: OPEN lets requests pass, all others deny them"] failure_policy, fail_open;
            [no_op "modules are not run"] name, root_id, configuration, reload_config, capability_restriction_config,
                allow_on_headers_stop_iteration;
        }
        oneof vm { [no_op "modules are not run"] vm_config; }
    }
    let open = match context.enumeration("failure_policy", *failure_policy)? {
        wasm::FailurePolicy::Unspecified => *fail_open,
        policy => policy == wasm::FailurePolicy::FailOpen,
    };
    let variables = vm.as_ref().and_then(|wasm::plugin_config::Vm::VmConfig(vm)| vm.environment_variables.as_ref());
    Ok((open, variables.is_some_and(|variables| variables.key_values.contains_key(PULL_SECRET))))
}
