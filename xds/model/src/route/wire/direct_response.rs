//! Conversion of direct responses.

use xds_api::envoy::config::route::v3 as route;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::route::{DirectResponse, RouteAction};
use crate::wire::data;

/// Converts a response whose body has at most `body_limit` bytes.
pub(super) fn convert(
    wire: &route::DirectResponseAction,
    body_limit: u32,
    context: &mut Context<'_>,
) -> Result<RouteAction, Refusal> {
    fates! { context, wire => route::DirectResponseAction {
        [implemented "200 to 599"] status;
        [implemented "in the configuration itself"] body;
        [refused "bodies are fixed"] body_format;
    } }
    let Some(status) = u16::try_from(*status).ok().filter(|status| (200..600).contains(status)) else {
        return Err(context.refusal("status", format_args!("{status} is not a status between 200 and 599")));
    };
    let body = context.optional("body", body, data::inline)?.unwrap_or_default();
    if body.len() > body_limit as usize {
        return Err(context.refusal("body", format_args!("has {} bytes, more than {body_limit}", body.len())));
    }
    Ok(RouteAction::DirectResponse(DirectResponse { status, body }))
}
