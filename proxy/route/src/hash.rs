//! The hash of a request, for clusters that balance by it (`RouteAction.HashPolicy`). Hashes are those of Envoy (`hash_policy.cc`).

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use memchr::memchr;
use smallvec::SmallVec;
use twox_hash::XxHash64;
use xds_model::hash_policy::{HashCookie, HashPolicy, HashSource};

use crate::query;
use crate::request::{RequestView, pseudo_header};
use crate::route::path_and_query;

/// The hash of a request. `make_cookie` is asked for the value of a cookie that the client is to be given, as it has none.
pub fn hash(
    policies: &[HashPolicy],
    request: &impl RequestView,
    client: IpAddr,
    mut make_cookie: impl FnMut(&HashCookie) -> String,
) -> Option<u64> {
    let mut hash: Option<u64> = None;
    for policy in policies {
        let next = match &policy.source {
            HashSource::Header(name) => header(request, name),
            HashSource::Cookie(cookie) => match self::cookie(request, &cookie.name) {
                Some(value) => Some(hash_of(value)),
                None => cookie.lifetime.map(|_| hash_of(make_cookie(cookie).as_bytes())),
            },
            HashSource::SourceIp => Some(hash_of_address(client)),
            HashSource::QueryParameter(name) => {
                let (_, query) = path_and_query(request);
                query::first_value(query.get(1..).unwrap_or_default(), name.as_bytes()).map(hash_of)
            }
        };
        if let Some(next) = next {
            // Turned, so that two equal ones do not cancel each other.
            hash = Some(hash.map_or(next, |hash| hash.rotate_left(1) ^ next));
        }
        if policy.is_terminal && hash.is_some() {
            break;
        }
    }
    hash
}

/// The hash of a client's address.
pub fn hash_of_address(client: IpAddr) -> u64 {
    hash_of(client.to_string().as_bytes())
}

/// 16 digits that name a connection: what a cookie of its clients says.
pub fn cookie_value(connection: &str) -> String {
    format!("{:016x}", hash_of(connection.as_bytes()))
}

/// What a `set-cookie` header says to make a cookie.
pub fn set_cookie(cookie: &HashCookie, value: &str) -> String {
    let mut text = format!("{}=\"{value}\"", cookie.name);
    // Writing to a string cannot fail.
    if let Some(lifetime) = cookie.lifetime.filter(|lifetime| *lifetime >= Duration::from_secs(1)) {
        let _ = write!(text, "; Max-Age={}", lifetime.as_secs());
    }
    if !cookie.path.is_empty() {
        let _ = write!(text, "; Path={}", cookie.path);
    }
    for (name, value) in &cookie.attributes {
        let _ = match value.is_empty() {
            true => write!(text, "; {name}"),
            false => write!(text, "; {name}={value}"),
        };
    }
    text.push_str("; HttpOnly");
    text
}

/// The values are sorted: the order in which they came does not matter.
fn header(request: &impl RequestView, name: &str) -> Option<u64> {
    if let Some(value) = pseudo_header(request, name) {
        return Some(hash_of(value));
    }
    let mut values: SmallVec<[&[u8]; 4]> = request.header(name).collect();
    match values.as_slice() {
        [] => None,
        [value] => Some(hash_of(value)),
        _ => {
            values.sort_unstable();
            Some(hash_of(&values.concat()))
        }
    }
}

/// The value of a cookie, without quotes; `None` if it is empty.
fn cookie<'a>(request: &'a impl RequestView, name: &str) -> Option<&'a [u8]> {
    let crumbs = request.header("cookie").flat_map(|line| line.split(|byte| *byte == b';'));
    let mut pairs = crumbs.filter_map(|crumb| {
        let crumb = crumb.trim_ascii_start();
        let equals = memchr(b'=', crumb)?;
        Some((crumb.get(..equals)?, crumb.get(equals + 1..)?))
    });
    let (_, value) = pairs.find(|(key, _)| *key == name.as_bytes())?;
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    Some(unquoted.unwrap_or(value)).filter(|value| !value.is_empty())
}

fn hash_of(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}
