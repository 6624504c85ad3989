//! VirtualServices that hand a part of their routes to others (Istio's `delegate`).
//!
//! A delegate's route takes the place of the route that names it, narrowed by that route's conditions; what it does not
//! say itself it takes from there. One whose conditions do not lie within them is left out, as istiod does
//! (`MergeHTTPRoutes` of its package `model`).

mod conditions;

use crate::mesh::is_visible;
use crate::object::virtual_service::{Delegate, HttpRoute, VirtualService};
use crate::problem::{Place, Problems};

/// The VirtualServices that have hosts, with the routes of their delegates in place.
pub(crate) fn merge(all: &[VirtualService], problems: &Problems) -> Vec<VirtualService> {
    let roots = all.iter().filter(|service| !service.is_delegate());
    let merged = roots.map(|root| {
        let routes = root.http.iter().flat_map(|route| match &route.delegate {
            None => vec![route.clone()],
            Some(delegate) => delegated(root, route, delegate, all, problems),
        });
        VirtualService { http: routes.collect(), ..root.clone() }
    });
    merged.collect()
}

/// The routes that take the place of a route with a delegate.
fn delegated(
    root: &VirtualService,
    route: &HttpRoute,
    delegate: &Delegate,
    all: &[VirtualService],
    problems: &Problems,
) -> Vec<HttpRoute> {
    let name = format!("{}/{}", delegate.namespace, delegate.name);
    let left_out = |place: &Place, reason: String| {
        problems.warning(place, format!("VirtualService {}: {reason}", root.metadata.name));
        Vec::new()
    };
    let found = all
        .iter()
        .filter(|service| service.is_delegate())
        .find(|service| service.metadata.namespace == delegate.namespace && service.metadata.name == delegate.name);
    let Some(service) = found else {
        return left_out(&delegate.place, format!("there is no delegate {name}: its route is left out"));
    };
    if !is_visible(&service.export_to, &root.metadata.namespace) {
        return left_out(&delegate.place, format!("the delegate {name} is not exported to it: its route is left out"));
    }
    let mut routes = Vec::new();
    for own in &service.http {
        match conditions::narrow(&route.matches, &own.matches) {
            Some(matches) => routes.push(HttpRoute { matches, ..inherit(route, own) }),
            None => {
                let reason =
                    format!("a route of its delegate {name} has conditions outside of its own: it is left out");
                left_out(&delegate.place, reason);
            }
        }
    }
    routes
}

/// The delegate's route with what it does not say itself.
fn inherit(root: &HttpRoute, own: &HttpRoute) -> HttpRoute {
    HttpRoute {
        name: join(&root.name, &own.name),
        direct_response: own.direct_response.clone().or_else(|| root.direct_response.clone()),
        rewrite: own.rewrite.clone().or_else(|| root.rewrite.clone()),
        timeout: own.timeout.or(root.timeout),
        retries: own.retries.clone().or_else(|| root.retries.clone()),
        headers: own.headers.clone().or_else(|| root.headers.clone()),
        ..own.clone()
    }
}

/// Both names, or the one that is there.
fn join(root: &str, own: &str) -> String {
    match (root, own) {
        ("", name) | (name, "") => name.to_owned(),
        (root, own) => format!("{root}-{own}"),
    }
}
