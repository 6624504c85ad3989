//! Istio's `VirtualService`: which requests go where.

mod http;
mod stream;

pub(crate) use http::{
    Body, Delegate, DirectResponse, HeaderOperations, Headers, HttpDestination, HttpMatch, HttpRoute, PathRewrite,
    Redirect, RedirectPort, Retries, Rewrite,
};
pub(crate) use stream::{StreamMatch, StreamRoute, WeightedDestination};

use crate::load::field::Fields;
use crate::mesh::host;
use crate::object::metadata::Metadata;
use crate::problem::Place;

/// Routes for some hosts.
#[derive(Clone, Debug)]
pub(crate) struct VirtualService {
    pub(crate) metadata: Metadata,
    /// Full names; may begin with `*.` or be `*`. Empty for a delegate.
    pub(crate) hosts: Vec<String>,
    /// `namespace/name` of gateways, or `mesh`.
    pub(crate) gateways: Vec<String>,
    pub(crate) export_to: Vec<String>,
    pub(crate) http: Vec<HttpRoute>,
    pub(crate) tls: Vec<StreamRoute>,
    pub(crate) tcp: Vec<StreamRoute>,
    pub(crate) origin: Origin,
}

impl VirtualService {
    /// Its routes are for other virtual services to take.
    pub(crate) fn is_delegate(&self) -> bool {
        self.hosts.is_empty()
    }
}

/// What a virtual service was made from, on which details of its meaning depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    VirtualService,
    HttpRoute,
    TlsRoute,
    TcpRoute,
}

impl Origin {
    /// Made from an object of the Gateway API.
    pub(crate) fn is_gateway_api(self) -> bool {
        self != Self::VirtualService
    }
}

/// A service as the target of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Full name; empty for a backend that does not exist or must not be used (Gateway API).
    pub(crate) host: String,
    pub(crate) subset: String,
    pub(crate) port: Option<u32>,
    pub(crate) place: Place,
}

pub(super) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<VirtualService> {
    fields.required("spec")?.object(|fields| {
        let namespace = metadata.namespace.clone();
        let hosts: Vec<_> = fields.strings("hosts").iter().map(|name| host::full_name(name, &namespace)).collect();
        let gateways = gateway_names(fields, &namespace);
        let export_to = export_to(fields, &namespace);
        let http = fields.objects("http", |fields| Some(http::read(fields, &namespace)));
        let tls = fields.objects("tls", |fields| Some(stream::read_tls(fields, &namespace)));
        let tcp = fields.objects("tcp", |fields| Some(stream::read_tcp(fields, &namespace)));
        if http.is_empty() && tls.is_empty() && tcp.is_empty() {
            fields.error("one of http, tls and tcp must have a route");
        }
        let origin = Origin::VirtualService;
        let service = VirtualService { metadata, hosts, gateways, export_to, http, tls, tcp, origin };
        if service.is_delegate() {
            check_delegate(fields, &service);
        }
        service
    })
}

/// What a delegate has nothing to say about is told by the one that names it.
fn check_delegate(fields: &Fields<'_>, service: &VirtualService) {
    if !service.gateways.is_empty() || !service.tls.is_empty() || !service.tcp.is_empty() {
        fields.error("without hosts it is a delegate, which has no gateways, tls and tcp");
    }
    if service.http.iter().any(|route| route.delegate.is_some()) {
        fields.error("without hosts it is a delegate, which cannot have delegates itself");
    }
}

fn destination(fields: &mut Fields<'_>, namespace: &str) -> Option<Destination> {
    let place = fields.place();
    let name = fields.required("host").and_then(|value| value.string());
    let subset = fields.string("subset");
    let port = fields.try_object("port", |fields| fields.required("number")?.port());
    Some(Destination { host: host::full_name(&name?, namespace), subset, port, place })
}

/// `gateways` with the namespace that a short name stands for.
fn gateway_names(fields: &mut Fields<'_>, namespace: &str) -> Vec<String> {
    let full = |name: String| match name.as_str() {
        "mesh" => name,
        _ if name.contains('/') => name,
        _ => format!("{namespace}/{name}"),
    };
    fields.strings("gateways").into_iter().map(full).collect()
}

/// `exportTo` with `.` replaced by the namespace that it stands for.
pub(super) fn export_to(fields: &mut Fields<'_>, namespace: &str) -> Vec<String> {
    let names = fields.strings("exportTo");
    names.into_iter().map(|name| if name == "." { namespace.to_owned() } else { name }).collect()
}
