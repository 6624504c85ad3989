//! Conversion of the HTTP RBAC filter, without policies: this is what stands in the place of a filter that cannot be had.

use xds_api::envoy::config::rbac::v3 as rbac;
use xds_api::envoy::extensions::filters::http::rbac::v3 as filter;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::http::HttpFilter;

const POLICIES: &str = "authorization by policies is not supported yet";

/// Nothing, where every request passes.
pub(super) fn convert(wire: &filter::Rbac, context: &mut Context<'_>) -> Result<Option<HttpFilter>, Refusal> {
    fates! { context, wire => filter::Rbac {
        [implemented "without policies"] rules;
        [no_op "statistics only"] rules_stat_prefix, shadow_rules_stat_prefix, track_per_rule_stats;
        [refused "authorization by matchers is not supported yet"] matcher, shadow_matcher;
        [refused "rules are not tried out"] shadow_rules;
    } }
    let denies = context.optional("rules", rules, denies_all)?.unwrap_or(false);
    Ok(denies.then_some(HttpFilter::DenyAll))
}

/// Whether rules that no request matches deny it: those that say what to allow do.
fn denies_all(wire: &rbac::Rbac, context: &mut Context<'_>) -> Result<bool, Refusal> {
    if let Some(name) = wire.policies.keys().next() {
        return Err(context.entry("policies", name, |context| context.refusal_here(POLICIES)));
    }
    fates! { context, wire => rbac::Rbac {
        [implemented] action;
        [refused "authorization by policies is not supported yet"] policies;
        [refused "decisions are in the access log"] audit_logging_options;
    } }
    Ok(context.enumeration::<rbac::rbac::Action>("action", *action)? == rbac::rbac::Action::Allow)
}
