//! Durations, percentages and ports.

use std::time::Duration;

use xds_api::envoy::r#type::v3::Percent;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;

/// A duration that is not negative; `None` if it is absent.
pub(crate) fn duration(
    field: &'static str,
    wire: &Option<prost_types::Duration>,
    context: &Context<'_>,
) -> Result<Option<Duration>, Refusal> {
    let convert =
        |wire: prost_types::Duration| Duration::try_from(wire).map_err(|_| context.refusal(field, "is negative"));
    wire.as_ref().copied().map(convert).transpose()
}

/// A duration where 0 means that there is no bound, and `default` holds if it is absent.
pub(crate) fn bound(
    field: &'static str,
    wire: &Option<prost_types::Duration>,
    default: Option<Duration>,
    context: &Context<'_>,
) -> Result<Option<Duration>, Refusal> {
    Ok(match duration(field, wire, context)? {
        None => default,
        Some(Duration::ZERO) => None,
        limited => limited,
    })
}

/// A percentage between 0 and 100, rounded.
pub(crate) fn percent(wire: &Percent, context: &mut Context<'_>) -> Result<u8, Refusal> {
    fates! { context, wire => Percent { [implemented] value; } }
    if !(0.0..=100.0).contains(value) {
        return Err(context.refusal("value", format_args!("{value} is not a percentage")));
    }
    // The range was checked, so the cast keeps the value.
    Ok(value.round() as u8)
}

/// A port number.
pub(crate) fn port(field: &'static str, wire: u32, context: &Context<'_>) -> Result<u16, Refusal> {
    u16::try_from(wire).map_err(|_| context.refusal(field, format_args!("{wire} is not a port")))
}
