//! Redirects (`RedirectAction`): where the client is sent.

use std::io::Write;

use xds_model::route;

use crate::path::{PathMatcher, split_query};
use crate::request::{RequestView, forwarded_scheme};
use crate::rewrite::{PathRewrite, RegexRewrite};

/// A redirect, ready to be rendered.
#[derive(Debug, PartialEq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    scheme: Option<Box<str>>,
    host: Option<Box<str>>,
    port: Option<u16>,
    path: Option<RedirectPath>,
    strip_query: bool,
}

#[derive(Debug, PartialEq)]
enum RedirectPath {
    Full(Box<str>),
    Rewrite(PathRewrite),
}

impl Redirect {
    pub(crate) fn new(redirect: &route::Redirect) -> Self {
        let path = redirect.path.as_ref().map(|path| match path {
            route::RedirectPath::Full(path) => RedirectPath::Full(path.as_str().into()),
            route::RedirectPath::Prefix(prefix) => RedirectPath::Rewrite(PathRewrite::Prefix(prefix.as_str().into())),
            route::RedirectPath::Regex { pattern, substitution } => {
                RedirectPath::Rewrite(PathRewrite::Regex(Box::new(RegexRewrite::new(pattern, substitution))))
            }
        });
        Self {
            status: redirect.status,
            scheme: redirect.scheme.as_deref().map(Into::into),
            host: redirect.host.as_deref().map(Into::into),
            port: redirect.port,
            path,
            strip_query: redirect.strip_query,
        }
    }

    /// The redirect of a virtual host that requires TLS.
    pub(crate) fn to_https() -> Self {
        Self { scheme: Some("https".into()), ..Self::to_itself(301) }
    }

    /// To where the client is already: the location of a direct response that is no redirect, but has a redirect's status.
    pub(crate) const fn to_itself(status: u16) -> Self {
        Self { status, scheme: None, host: None, port: None, path: None, strip_query: false }
    }

    /// Appends the value of the Location header to `out`.
    pub(crate) fn location(&self, matcher: &PathMatcher, request: &impl RequestView, out: &mut Vec<u8>) {
        let scheme = self.scheme.as_ref().map_or_else(|| request.scheme(), |scheme| scheme.as_bytes());
        out.extend_from_slice(scheme);
        out.extend_from_slice(b"://");
        match &self.host {
            Some(host) => out.extend_from_slice(host.as_bytes()),
            None => out.extend_from_slice(self.kept_host(scheme, request)),
        }
        if let Some(port) = self.port {
            // Writing to a Vec cannot fail.
            let _ = write!(out, ":{port}");
        }
        self.append_path(matcher, request.path(), out);
    }

    /// The request's authority, without its port if another one is given, or if it is the default port of a scheme that changes.
    fn kept_host<'a>(&self, scheme: &[u8], request: &'a impl RequestView) -> &'a [u8] {
        let authority = request.authority();
        let Some(colon) = port_position(authority) else {
            return authority;
        };
        let (host, port) = authority.split_at(colon);
        let old_scheme = forwarded_scheme(request);
        let default_port = (old_scheme.eq_ignore_ascii_case(b"https") && port == b":443")
            || (old_scheme.eq_ignore_ascii_case(b"http") && port == b":80");
        if self.port.is_some() || (scheme != old_scheme && default_port) { host } else { authority }
    }

    fn append_path(&self, matcher: &PathMatcher, target: &[u8], out: &mut Vec<u8>) {
        let (path, query) = split_query(target);
        let kept_query = if self.strip_query { &[][..] } else { query };
        match &self.path {
            Some(RedirectPath::Full(full)) => {
                // Otherwise it would be read as a part of the host.
                if !full.starts_with('/') {
                    out.push(b'/');
                }
                out.extend_from_slice(full.as_bytes());
                // A query of the redirect itself stays even with strip_query.
                if !full.contains('?') {
                    out.extend_from_slice(kept_query);
                }
            }
            Some(RedirectPath::Rewrite(rewrite)) => {
                let start = out.len();
                rewrite.apply(matcher, target, out);
                if self.strip_query {
                    let end = out.get(start..).and_then(|written| memchr::memchr(b'?', written));
                    out.truncate(end.map_or(out.len(), |end| start + end));
                }
            }
            None => {
                out.extend_from_slice(path);
                out.extend_from_slice(kept_query);
            }
        }
    }
}

/// Where the port of an authority starts, colon included.
fn port_position(authority: &[u8]) -> Option<usize> {
    let colon = memchr::memrchr(b':', authority)?;
    let in_brackets = authority.first() == Some(&b'[') && authority.get(colon.wrapping_sub(1)) != Some(&b']');
    (!in_brackets).then_some(colon)
}
