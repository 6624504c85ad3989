//! `HTTPRoute` of the Gateway API.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BackendRef, ParentRef, backend_ref, parent_refs};
use crate::load::field::Fields;
use crate::object::metadata::Metadata;
use crate::object::string_match::StringMatch;
use crate::object::virtual_service::{
    HeaderOperations, HttpMatch, PathRewrite, Redirect, RedirectPort, Retries, Rewrite,
};

/// Routes for some hosts.
#[derive(Clone, Debug)]
pub(crate) struct HttpRoute {
    pub(crate) metadata: Metadata,
    pub(crate) parents: Vec<ParentRef>,
    pub(crate) hostnames: Vec<String>,
    pub(crate) rules: Vec<Rule>,
}

/// Conditions and what follows from them, in the terms of Istio where they exist.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Empty if it has none of its own.
    pub(crate) name: String,
    /// Any of these; never empty, since no condition means the prefix `/`.
    pub(crate) matches: Vec<HttpMatch>,
    pub(crate) filters: Filters,
    pub(crate) backends: Vec<Backend>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) backend_timeout: Option<Duration>,
    pub(crate) retries: Option<Retries>,
}

/// A target with changes of its own.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) target: BackendRef,
    pub(crate) filters: Filters,
}

/// What a rule does beside forwarding.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters {
    pub(crate) request_headers: HeaderOperations,
    pub(crate) response_headers: HeaderOperations,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) rewrite: Option<Rewrite>,
}

pub(in crate::object) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<HttpRoute> {
    fields.required("spec")?.object(|fields| {
        fields.unsupported(&["useDefaultGateways"]);
        let parents = parent_refs(fields, &metadata.namespace);
        let hostnames = fields.strings("hostnames");
        let rules = match fields.get("rules") {
            Some(_) => fields.objects("rules", |fields| Some(rule(fields))),
            None => vec![Rule::default()],
        };
        HttpRoute { metadata, parents, hostnames, rules }
    })
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            name: String::new(),
            matches: vec![any_path()],
            filters: Filters::default(),
            backends: Vec::new(),
            request_timeout: None,
            backend_timeout: None,
            retries: None,
        }
    }
}

fn rule(fields: &mut Fields<'_>) -> Rule {
    fields.unsupported(&["sessionPersistence"]);
    let mut matches = fields.objects("matches", |fields| Some(condition(fields)));
    if matches.is_empty() {
        matches.push(any_path());
    }
    let (request_timeout, backend_timeout) = fields
        .object("timeouts", |fields| (fields.duration("request"), fields.duration("backendRequest")))
        .unwrap_or_default();
    Rule {
        name: fields.string("name"),
        matches,
        filters: filters(fields, true),
        backends: fields.objects("backendRefs", |fields| {
            let filters = filters(fields, false);
            Some(Backend { target: backend_ref(fields)?, filters })
        }),
        request_timeout,
        backend_timeout,
        retries: fields.object("retry", retry),
    }
}

fn any_path() -> HttpMatch {
    HttpMatch { uri: Some(StringMatch::Prefix("/".into())), ..HttpMatch::default() }
}

#[derive(Clone, Copy)]
enum PathType {
    Exact,
    Prefix,
    Regex,
}

fn condition(fields: &mut Fields<'_>) -> HttpMatch {
    let uri = fields.object("path", |fields| {
        let form = fields.get("type").and_then(|value| {
            value.choice(&[
                ("PathPrefix", PathType::Prefix),
                ("Exact", PathType::Exact),
                ("RegularExpression", PathType::Regex),
            ])
        });
        let value = super::or(fields.string("value"), "/");
        match form.unwrap_or(PathType::Prefix) {
            PathType::Exact => StringMatch::Exact(value),
            PathType::Regex => StringMatch::Regex(value),
            PathType::Prefix if value == "/" => StringMatch::Prefix(value),
            PathType::Prefix => StringMatch::Prefix(value.strip_suffix('/').unwrap_or(&value).to_owned()),
        }
    });
    HttpMatch {
        uri: Some(uri.unwrap_or_else(|| StringMatch::Prefix("/".into()))),
        method: fields.get("method").and_then(|value| value.string()).map(StringMatch::Exact),
        headers: named_conditions(fields, "headers"),
        query: named_conditions(fields, "queryParams"),
        ..HttpMatch::default()
    }
}

/// Conditions on headers or query parameters; of several for the same name the last counts for istiod.
fn named_conditions(fields: &mut Fields<'_>, name: &str) -> BTreeMap<String, StringMatch> {
    let conditions = fields.objects(name, |fields| {
        let is_regex = fields
            .get("type")
            .and_then(|value| value.choice(&[("Exact", false), ("RegularExpression", true)]))
            .unwrap_or(false);
        let name = fields.required("name").and_then(|value| value.string());
        let value = fields.required("value").and_then(|value| value.string());
        let wrap = if is_regex { StringMatch::Regex } else { StringMatch::Exact };
        Some((name?, wrap(value?)))
    });
    conditions.into_iter().collect()
}

fn filters(fields: &mut Fields<'_>, of_rule: bool) -> Filters {
    let mut filters = Filters::default();
    fields.objects("filters", |fields| {
        let kind = fields.required("type")?.string()?;
        match kind.as_str() {
            "RequestHeaderModifier" => {
                filters.request_headers = fields.object("requestHeaderModifier", header_operations).unwrap_or_default();
            }
            "ResponseHeaderModifier" => {
                filters.response_headers =
                    fields.object("responseHeaderModifier", header_operations).unwrap_or_default();
            }
            "RequestRedirect" if of_rule => filters.redirect = fields.object("requestRedirect", redirect),
            "URLRewrite" if of_rule => filters.rewrite = fields.try_object("urlRewrite", rewrite),
            _ => {
                let place = if of_rule { "a rule" } else { "a backend" };
                fields.error(format!("type: the filter {kind} of {place} is not supported yet"));
                fields.ignore_rest();
            }
        }
        Some(())
    });
    filters
}

fn header_operations(fields: &mut Fields<'_>) -> HeaderOperations {
    HeaderOperations {
        set: header_list(fields, "set"),
        add: header_list(fields, "add"),
        remove: fields.strings("remove"),
    }
}

/// Names do not depend on case, and of equal names the first counts.
fn header_list(fields: &mut Fields<'_>, name: &str) -> BTreeMap<String, String> {
    let headers = fields.objects(name, |fields| {
        let name = fields.required("name")?.string()?.to_ascii_lowercase();
        let value = fields.required("value")?.string()?;
        if value.bytes().any(|byte| byte == 0x7f || (byte < 0x20 && byte != b'\t')) {
            fields.error("value: has a character that a header cannot have");
        }
        Some((name, value))
    });
    let mut result = BTreeMap::new();
    for (name, value) in headers {
        result.entry(name).or_insert(value);
    }
    result
}

/// A path that replaces the matched prefix, or the whole.
enum PathModifier {
    Prefix(String),
    Full(String),
}

fn path_modifier(fields: &mut Fields<'_>) -> Option<PathModifier> {
    let full = fields.required("type")?.choice(&[("ReplacePrefixMatch", false), ("ReplaceFullPath", true)])?;
    let name = if full { "replaceFullPath" } else { "replacePrefixMatch" };
    let path = fields.required(name)?.string()?;
    Some(if full { PathModifier::Full(path) } else { PathModifier::Prefix(path) })
}

fn redirect(fields: &mut Fields<'_>) -> Redirect {
    let scheme = fields.string("scheme");
    let implied = if scheme.is_empty() { RedirectPort::FromRequest } else { RedirectPort::FromProtocol };
    let code = fields.u32("statusCode").unwrap_or(302);
    if ![301, 302, 303, 307, 308].contains(&code) {
        fields.error(format!("statusCode: {code} is not one of 301, 302, 303, 307, 308"));
    }
    let mut redirect = Redirect {
        authority: fields.string("hostname"),
        port: Some(fields.port("port").map_or(implied, RedirectPort::Number)),
        scheme,
        code,
        ..Redirect::default()
    };
    match fields.try_object("path", path_modifier) {
        Some(PathModifier::Full(path)) => redirect.uri = path,
        Some(PathModifier::Prefix(path)) => redirect.prefix = path,
        None => {}
    }
    redirect
}

fn rewrite(fields: &mut Fields<'_>) -> Option<Rewrite> {
    let authority = fields.string("hostname");
    let path = fields.try_object("path", path_modifier).map(|path| match path {
        PathModifier::Full(path) => PathRewrite::Regex { pattern: "/.*".into(), substitution: path },
        PathModifier::Prefix(path) => {
            PathRewrite::Prefix(super::or(path.strip_suffix('/').unwrap_or(&path).to_owned(), "/"))
        }
    });
    (path.is_some() || !authority.is_empty()).then_some(Rewrite { path, authority })
}

fn retry(fields: &mut Fields<'_>) -> Retries {
    let mut conditions = ["connect-failure", "refused-stream", "unavailable", "cancelled"].map(str::to_owned).to_vec();
    let codes = fields.list("codes", |value| value.integer(400, 599));
    conditions.extend(codes.iter().map(i64::to_string));
    let attempts = fields.u32("attempts").unwrap_or(2);
    Retries {
        attempts,
        per_try_timeout: None,
        retry_on: conditions.join(","),
        ignore_previous_hosts: None,
        remote_localities: false,
        backoff: fields.duration("backoff"),
    }
}
