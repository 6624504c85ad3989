//! Conversion of routes.

use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::config::route::v3 as route;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::route::wire::{
    direct_response, forward, matching, redirect, refused_route, request_headers, response_headers,
};
use crate::route::{Route, RouteHeaders, RouteMatch};
use crate::wire::metadata;

/// Converts a route. One that cannot be served is refused alone.
pub(super) fn route(wire: &route::Route, body_limit: u32, context: &mut Context<'_>) -> Route {
    let (matches, unsupported) = matching::convert(&wire.r#match, context);
    let served = match unsupported {
        Some(refusal) => Err(refusal),
        None => serve(wire, &matches, body_limit, context),
    };
    served.unwrap_or_else(|refusal| {
        let route = refused_route(wire.name.clone(), matches, &refusal);
        context.report(refusal);
        route
    })
}

fn serve(
    wire: &route::Route,
    matches: &RouteMatch,
    body_limit: u32,
    context: &mut Context<'_>,
) -> Result<Route, Refusal> {
    if let Some(filter) = wire.typed_per_filter_config.keys().next() {
        let reason = format_args!("settings of {filter} per route are not supported yet");
        return Err(context.refusal("typed_per_filter_config", reason));
    }
    fates! { context, wire => route::Route {
            [elsewhere] r#match;
            [implemented] name, metadata, decorator, request_headers_to_add, request_headers_to_remove, response_headers_to_add,
                response_headers_to_remove;
            [no_op "statistics are kept per cluster"] stat_prefix;
            [no_op "there are no spans"] tracing;
            [refused "settings of filters per route (faults, CORS, sessions, …) are not supported yet"] typed_per_filter_config;
            [refused "not supported"] per_request_buffer_limit_bytes, request_body_buffer_limit, route_specifiers;
        }
        oneof action {
            [implemented] route, redirect, direct_response;
            [refused "not supported"] filter_action, non_forwarding_action;
        }
    }
    use route::route::Action;
    let action = match action {
        Some(Action::Route(wire)) => context.within("route", |context| forward::convert(wire, context))?,
        Some(Action::Redirect(wire)) => context.within("redirect", |context| redirect::convert(wire, context))?,
        Some(Action::DirectResponse(wire)) => {
            context.within("direct_response", |context| direct_response::convert(wire, body_limit, context))?
        }
        Some(Action::FilterAction(_)) => return Err(context.refused_member::<route::Route>("filter_action")),
        Some(Action::NonForwardingAction(_)) => {
            return Err(context.refused_member::<route::Route>("non_forwarding_action"));
        }
        None => return Err(context.refusal("action", "is missing")),
    };
    Ok(Route {
        name: name.clone(),
        matches: matches.clone(),
        action,
        headers: RouteHeaders {
            request: request_headers(request_headers_to_add, request_headers_to_remove).convert(context)?,
            response: response_headers(response_headers_to_add, response_headers_to_remove).convert(context)?,
        },
        decorator_operation: context.optional("decorator", decorator, decorator_operation)?.flatten(),
        istio_config: context.optional("metadata", metadata, istio_config)?.flatten(),
    })
}

fn decorator_operation(wire: &route::Decorator, context: &mut Context<'_>) -> Result<Option<String>, Refusal> {
    fates! { context, wire => route::Decorator { [implemented] operation, propagate; } }
    Ok((*propagate != Some(false) && !operation.is_empty()).then(|| operation.clone()))
}

fn istio_config(wire: &core::Metadata, context: &mut Context<'_>) -> Result<Option<String>, Refusal> {
    let istio = metadata::namespaces(wire, context)?.get("istio");
    Ok(istio.and_then(|istio| metadata::text(&istio.fields, "config")))
}
