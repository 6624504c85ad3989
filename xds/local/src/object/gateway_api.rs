//! The objects of the Kubernetes Gateway API (`gateway.networking.k8s.io`).

pub(crate) mod gateway;
pub(crate) mod http_route;
pub(crate) mod reference_grant;
pub(crate) mod stream_route;

use crate::load::field::Fields;
use crate::problem::Place;

/// What a route attaches to.
#[derive(Clone, Debug)]
pub(crate) struct ParentRef {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Name of a listener; empty for all.
    pub(crate) section: String,
    pub(crate) port: Option<u32>,
    pub(crate) place: Place,
}

/// Where a route sends traffic.
#[derive(Clone, Debug)]
pub(crate) struct BackendRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    /// Empty for that of the route.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) port: Option<u32>,
    pub(crate) weight: u32,
    pub(crate) place: Place,
}

fn parent_refs(fields: &mut Fields<'_>, namespace: &str) -> Vec<ParentRef> {
    let parents = fields.objects("parentRefs", |fields| {
        fields.ignore(&["group"]);
        let parent = ParentRef {
            kind: or(fields.string("kind"), "Gateway"),
            namespace: or(fields.string("namespace"), namespace),
            name: fields.required("name")?.string()?,
            section: fields.string("sectionName"),
            port: fields.port("port"),
            place: fields.place(),
        };
        if !["Gateway", "Service", "ServiceEntry"].contains(&parent.kind.as_str()) {
            fields.error(format!("kind: a {} as parent is not supported yet", parent.kind));
        }
        Some(parent)
    });
    fields.require_elements("parentRefs");
    parents
}

fn backend_ref(fields: &mut Fields<'_>) -> Option<BackendRef> {
    let group = fields.get("group").and_then(|value| value.string()).unwrap_or_default();
    Some(BackendRef {
        group,
        kind: or(fields.string("kind"), "Service"),
        namespace: fields.string("namespace"),
        name: fields.required("name")?.string()?,
        port: fields.port("port"),
        weight: fields.get("weight").and_then(|value| value.integer(0, 1_000_000)).map_or(1, |weight| weight as u32),
        place: fields.place(),
    })
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}
