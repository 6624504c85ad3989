//! Conversion of redirects.

use xds_api::envoy::config::route::v3 as route;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::matcher::wire::substitution;
use crate::route::{Redirect, RedirectPath, RouteAction};
use crate::wire::number::port;

/// Converts a redirect. An empty text keeps what the request has, as in Envoy.
pub(super) fn convert(wire: &route::RedirectAction, context: &mut Context<'_>) -> Result<RouteAction, Refusal> {
    fates! { context, wire => route::RedirectAction {
            [implemented] host_redirect, port_redirect, response_code, strip_query;
        }
        oneof scheme_rewrite_specifier { [implemented] https_redirect, scheme_redirect; }
        oneof path_rewrite_specifier {
            [implemented] path_redirect, prefix_rewrite, regex_rewrite;
            [refused "formats of paths are not supported"] path_rewrite;
        }
    }
    use route::redirect_action::{PathRewriteSpecifier as Path, SchemeRewriteSpecifier as Scheme};
    let scheme = match scheme_rewrite_specifier {
        Some(Scheme::HttpsRedirect(true)) => Some("https".to_owned()),
        Some(Scheme::SchemeRedirect(scheme)) => non_empty(scheme),
        Some(Scheme::HttpsRedirect(false)) | None => None,
    };
    let path = match path_rewrite_specifier {
        Some(Path::PathRedirect(path)) => non_empty(path).map(RedirectPath::Full),
        Some(Path::PrefixRewrite(prefix)) => non_empty(prefix).map(RedirectPath::Prefix),
        Some(Path::RegexRewrite(wire)) => {
            let (pattern, substitution) = context.within("regex_rewrite", |context| substitution(wire, context))?;
            Some(RedirectPath::Regex { pattern, substitution })
        }
        Some(Path::PathRewrite(_)) => return Err(context.refused_member::<route::RedirectAction>("path_rewrite")),
        None => None,
    };
    Ok(RouteAction::Redirect(Box::new(Redirect {
        scheme,
        host: non_empty(host_redirect),
        port: Some(port("port_redirect", *port_redirect, context)?).filter(|port| *port != 0),
        path,
        strip_query: *strip_query,
        status: status(*response_code, context)?,
    })))
}

fn status(code: i32, context: &Context<'_>) -> Result<u16, Refusal> {
    use route::redirect_action::RedirectResponseCode as Code;
    Ok(match context.enumeration("response_code", code)? {
        Code::MovedPermanently => 301,
        Code::Found => 302,
        Code::SeeOther => 303,
        Code::TemporaryRedirect => 307,
        Code::PermanentRedirect => 308,
    })
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
