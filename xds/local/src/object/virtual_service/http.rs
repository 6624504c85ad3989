//! Routes of `http`.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Destination, destination, gateway_names};
use crate::load::field::Fields;
use crate::object::string_match::StringMatch;
use crate::problem::Place;

/// What happens to requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpRoute {
    pub(crate) name: String,
    /// Any of these; none means all requests.
    pub(crate) matches: Vec<HttpMatch>,
    pub(crate) route: Vec<HttpDestination>,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) direct_response: Option<DirectResponse>,
    pub(crate) rewrite: Option<Rewrite>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<Retries>,
    pub(crate) headers: Option<Headers>,
    /// Whose routes take the place of this one.
    pub(crate) delegate: Option<Delegate>,
}

/// Another VirtualService, one without hosts.
#[derive(Clone, Debug)]
pub(crate) struct Delegate {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// Conditions on a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpMatch {
    pub(crate) name: String,
    pub(crate) uri: Option<StringMatch>,
    pub(crate) ignore_uri_case: bool,
    pub(crate) scheme: Option<StringMatch>,
    pub(crate) method: Option<StringMatch>,
    pub(crate) authority: Option<StringMatch>,
    pub(crate) headers: BTreeMap<String, StringMatch>,
    pub(crate) without_headers: BTreeMap<String, StringMatch>,
    pub(crate) query: BTreeMap<String, StringMatch>,
    pub(crate) port: Option<u32>,
    pub(crate) gateways: Vec<String>,
    pub(crate) source_labels: BTreeMap<String, String>,
    pub(crate) source_namespace: String,
    pub(crate) stat_prefix: String,
}

/// A target, its share and its header changes.
#[derive(Clone, Debug)]
pub(crate) struct HttpDestination {
    pub(crate) destination: Destination,
    pub(crate) weight: u32,
    pub(crate) headers: Headers,
}

/// Header changes on the way there and back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    pub(crate) request: HeaderOperations,
    pub(crate) response: HeaderOperations,
}

/// Header changes in one direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderOperations {
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) add: BTreeMap<String, String>,
    pub(crate) remove: Vec<String>,
}

/// Where a client is sent instead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redirect {
    pub(crate) uri: String,
    /// Replaces what the route matched (Gateway API).
    pub(crate) prefix: String,
    pub(crate) authority: String,
    pub(crate) scheme: String,
    pub(crate) port: Option<RedirectPort>,
    /// Status; 0 for 301.
    pub(crate) code: u32,
}

/// The port of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectPort {
    Number(u32),
    FromRequest,
    FromProtocol,
}

/// A fixed answer.
#[derive(Clone, Debug)]
pub(crate) struct DirectResponse {
    pub(crate) status: u32,
    pub(crate) body: Option<Body>,
}

/// The body of a fixed answer.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Text(String),
    Bytes(Bytes),
}

/// Changes of path and authority.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewrite {
    pub(crate) path: Option<PathRewrite>,
    pub(crate) authority: String,
}

/// A change of the path.
#[derive(Clone, Debug)]
pub(crate) enum PathRewrite {
    /// Replaces what the route matched.
    Prefix(String),
    /// Replaces what a pattern matches (RE2; `\1` names a group).
    Regex { pattern: String, substitution: String },
}

/// When a request is sent again.
#[derive(Clone, Debug)]
pub(crate) struct Retries {
    pub(crate) attempts: u32,
    pub(crate) per_try_timeout: Option<Duration>,
    /// Envoy's conditions and status codes, by comma; empty for the usual ones.
    pub(crate) retry_on: String,
    pub(crate) ignore_previous_hosts: Option<bool>,
    pub(crate) remote_localities: bool,
    pub(crate) backoff: Option<Duration>,
}

pub(super) fn read(fields: &mut Fields<'_>, namespace: &str) -> HttpRoute {
    fields.unsupported(&[
        "fault",
        "mirror",
        "mirrorPercent",
        "mirrorPercentage",
        "mirror_percent",
        "mirrors",
        "corsPolicy",
    ]);
    let route = HttpRoute {
        name: fields.string("name"),
        matches: fields.objects("match", |fields| Some(http_match(fields, namespace))),
        route: fields.objects("route", |fields| http_destination(fields, namespace)),
        redirect: fields.object("redirect", redirect),
        direct_response: fields.try_object("directResponse", direct_response),
        rewrite: fields.object("rewrite", rewrite),
        timeout: fields.duration("timeout"),
        retries: fields.object("retries", retries),
        headers: fields.object("headers", headers),
        delegate: fields.try_object("delegate", |fields| delegate(fields, namespace)),
    };
    check(fields, &route);
    route
}

fn delegate(fields: &mut Fields<'_>, namespace: &str) -> Option<Delegate> {
    let place = fields.place();
    let name = fields.required("name").and_then(|value| value.string());
    let given = fields.string("namespace");
    let namespace = if given.is_empty() { namespace.to_owned() } else { given };
    Some(Delegate { namespace, name: name?, place })
}

fn check(fields: &Fields<'_>, route: &HttpRoute) {
    let answers = [!route.route.is_empty(), route.redirect.is_some(), route.direct_response.is_some()];
    match answers.iter().filter(|answer| **answer).count() {
        _ if route.delegate.is_some() => {
            if route.redirect.is_some() || !route.route.is_empty() {
                fields.error("route and redirect come from the delegate");
            }
        }
        1 => {}
        0 => fields.error("one of route, redirect and directResponse is needed"),
        _ => fields.error("only one of route, redirect and directResponse can be given"),
    }
    if route.route.len() > 1 && route.route.iter().all(|destination| destination.weight == 0) {
        fields.error("route: the weights must not all be 0");
    }
    if route.redirect.is_some() && route.rewrite.is_some() {
        fields.error("rewrite has no effect beside redirect");
    }
}

fn http_match(fields: &mut Fields<'_>, namespace: &str) -> HttpMatch {
    let text = |fields: &mut Fields<'_>, name| fields.get(name).and_then(|value| StringMatch::read(&value));
    let texts = |fields: &mut Fields<'_>, name| {
        fields.get(name).and_then(|value| value.map(|value| StringMatch::read(&value))).unwrap_or_default()
    };
    let condition = HttpMatch {
        name: fields.string("name"),
        uri: text(fields, "uri").filter(|uri| *uri != StringMatch::Present),
        ignore_uri_case: fields.bool("ignoreUriCase").unwrap_or(false),
        scheme: text(fields, "scheme"),
        method: text(fields, "method"),
        authority: text(fields, "authority"),
        headers: texts(fields, "headers"),
        without_headers: texts(fields, "withoutHeaders"),
        query: texts(fields, "queryParams"),
        port: fields.port("port"),
        gateways: gateway_names(fields, namespace),
        source_labels: fields.string_map("sourceLabels"),
        source_namespace: fields.string("sourceNamespace"),
        stat_prefix: fields.string("statPrefix"),
    };
    let mut names = condition.headers.keys().chain(condition.without_headers.keys());
    if let Some(name) = names.find(|name| name.starts_with("@request.auth.")) {
        fields.error(format!("headers: {name}: conditions on claims of a token are not supported yet"));
    }
    condition
}

fn http_destination(fields: &mut Fields<'_>, namespace: &str) -> Option<HttpDestination> {
    let target =
        fields.required("destination").and_then(|value| value.try_object(|fields| destination(fields, namespace)));
    let weight = fields.u32("weight").unwrap_or(0);
    let headers = fields.object("headers", headers).unwrap_or_default();
    Some(HttpDestination { destination: target?, weight, headers })
}

fn headers(fields: &mut Fields<'_>) -> Headers {
    let operations = |fields: &mut Fields<'_>| HeaderOperations {
        set: fields.string_map("set"),
        add: fields.string_map("add"),
        remove: fields.strings("remove"),
    };
    Headers {
        request: fields.object("request", operations).unwrap_or_default(),
        response: fields.object("response", operations).unwrap_or_default(),
    }
}

fn redirect(fields: &mut Fields<'_>) -> Redirect {
    let number = fields.port("port").map(RedirectPort::Number);
    let derived = fields.get("derivePort").and_then(|value| {
        value.choice(&[
            ("FROM_PROTOCOL_DEFAULT", RedirectPort::FromProtocol),
            ("FROM_REQUEST_PORT", RedirectPort::FromRequest),
        ])
    });
    if number.is_some() && derived.is_some() {
        fields.error("only one of port and derivePort can be given");
    }
    let code = fields.u32("redirectCode").unwrap_or(0);
    if ![0, 301, 302, 303, 307, 308].contains(&code) {
        fields.error(format!("redirectCode: {code} is not one of 301, 302, 303, 307, 308"));
    }
    Redirect {
        uri: fields.string("uri"),
        prefix: String::new(),
        authority: fields.string("authority"),
        scheme: fields.string("scheme"),
        port: number.or(derived),
        code,
    }
}

fn direct_response(fields: &mut Fields<'_>) -> Option<DirectResponse> {
    let status = fields.required("status").and_then(|value| value.integer(200, 599));
    let body = fields.object("body", |fields| {
        let text = fields.get("string").and_then(|value| value.string()).map(Body::Text);
        let bytes = fields.get("bytes").and_then(|value| {
            let decoded = STANDARD.decode(value.string()?).map(|bytes| Body::Bytes(bytes.into()));
            decoded.map_err(|_| value.error("is not base64")).ok()
        });
        text.or(bytes)
    });
    Some(DirectResponse { status: u32::try_from(status?).ok()?, body: body.flatten() })
}

fn rewrite(fields: &mut Fields<'_>) -> Rewrite {
    let uri = fields.string("uri");
    let regex = fields.object("uriRegexRewrite", |fields| PathRewrite::Regex {
        pattern: fields.string("match"),
        substitution: fields.string("rewrite"),
    });
    if !uri.is_empty() && regex.is_some() {
        fields.error("only one of uri and uriRegexRewrite can be given");
    }
    let prefix = (!uri.is_empty()).then_some(PathRewrite::Prefix(uri));
    Rewrite { path: regex.or(prefix), authority: fields.string("authority") }
}

fn retries(fields: &mut Fields<'_>) -> Retries {
    Retries {
        attempts: fields.u32("attempts").unwrap_or(0),
        per_try_timeout: fields.duration("perTryTimeout"),
        retry_on: fields.string("retryOn"),
        ignore_previous_hosts: fields.bool("retryIgnorePreviousHosts"),
        remote_localities: fields.bool("retryRemoteLocalities").unwrap_or(false),
        backoff: fields.duration("backoff"),
    }
}
