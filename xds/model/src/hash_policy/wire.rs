//! Conversion of hash policies.

use xds_api::envoy::config::route::v3::route_action as route;
use xds_api::envoy::config::route::v3::route_action::hash_policy as wire_policy;
use xds_api::envoy::r#type::v3 as types;

use super::{HashCookie, HashPolicy, HashSource};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::wire::number::duration;

/// Those of a route. One that hashes nothing is left out.
pub(crate) fn convert(wire: &[route::HashPolicy], context: &mut Context<'_>) -> Result<Vec<HashPolicy>, Refusal> {
    Ok(context.each("hash_policy", wire, policy)?.into_iter().flatten().collect())
}

fn policy(wire: &route::HashPolicy, context: &mut Context<'_>) -> Result<Option<HashPolicy>, Refusal> {
    fates! { context, wire => route::HashPolicy {
            [implemented] terminal;
        }
        oneof policy_specifier {
            [implemented] header, cookie, connection_properties, query_parameter;
            [refused "there is no state of filters"] filter_state;
        }
    }
    use wire_policy::PolicySpecifier as Specifier;
    let source = match policy_specifier {
        Some(Specifier::Header(wire)) => HashSource::Header(context.within("header", |context| header(wire, context))?),
        Some(Specifier::Cookie(wire)) => HashSource::Cookie(context.within("cookie", |context| cookie(wire, context))?),
        Some(Specifier::ConnectionProperties(wire)) => {
            fates! { context, wire => wire_policy::ConnectionProperties { [implemented] source_ip; } }
            if !source_ip {
                return Ok(None);
            }
            HashSource::SourceIp
        }
        Some(Specifier::QueryParameter(wire)) => {
            fates! { context, wire => wire_policy::QueryParameter { [implemented] name; } }
            if name.is_empty() {
                return Err(context.refusal("query_parameter.name", "is empty"));
            }
            HashSource::QueryParameter(name.clone())
        }
        Some(Specifier::FilterState(_)) => return Err(context.refused_member::<route::HashPolicy>("filter_state")),
        None => return Err(context.refusal("policy_specifier", "is missing")),
    };
    Ok(Some(HashPolicy { source, is_terminal: *terminal }))
}

fn header(wire: &wire_policy::Header, context: &mut Context<'_>) -> Result<String, Refusal> {
    fates! { context, wire => wire_policy::Header {
        [implemented] header_name;
        [refused "values are hashed as they are"] regex_rewrite;
    } }
    match header_name.is_empty() {
        true => Err(context.refusal("header_name", "is empty")),
        false => Ok(header_name.to_ascii_lowercase()),
    }
}

fn cookie(wire: &wire_policy::Cookie, context: &mut Context<'_>) -> Result<HashCookie, Refusal> {
    fates! { context, wire => wire_policy::Cookie { [implemented] name, ttl, path, attributes; } }
    if name.is_empty() {
        return Err(context.refusal("name", "is empty"));
    }
    let checked = |field: &'static str, text: &str, context: &Context<'_>| match text.bytes().all(may_stand_in_cookie) {
        true => Ok(text.to_owned()),
        false => Err(context.refusal(field, "cannot stand in a cookie")),
    };
    Ok(HashCookie {
        name: checked("name", name, context)?,
        lifetime: duration("ttl", ttl, context)?,
        path: checked("path", path, context)?,
        attributes: context.each("attributes", attributes, |wire, context| {
            fates! { context, wire => wire_policy::CookieAttribute { [implemented] name, value; } }
            Ok((checked("name", name, context)?, checked("value", value, context)?))
        })?,
    })
}

/// RFC 6265, section 4.1.1: a semicolon would end it, and a control character the header.
fn may_stand_in_cookie(byte: u8) -> bool {
    (b' '..0x7f).contains(&byte) && byte != b';'
}

/// Whether connections are hashed by the address of the client (`TcpProxy.hash_policy`).
pub(crate) fn hashes_source(wire: &[types::HashPolicy], context: &mut Context<'_>) -> Result<bool, Refusal> {
    let policies = context.each("hash_policy", wire, |wire, context| {
        fates! { context, wire => types::HashPolicy {}
            oneof policy_specifier {
                [implemented] source_ip;
                [refused "there is no state of filters"] filter_state;
            }
        }
        use types::hash_policy::PolicySpecifier as Specifier;
        match policy_specifier {
            Some(Specifier::SourceIp(types::hash_policy::SourceIp {})) => Ok(()),
            Some(Specifier::FilterState(_)) => Err(context.refused_member::<types::HashPolicy>("filter_state")),
            None => Err(context.refusal("policy_specifier", "is missing")),
        }
    })?;
    match policies.len() {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(context.refusal("hash_policy", "has more than one")),
    }
}
