//! The route table: one compiled `RouteConfiguration`.

use std::sync::{Arc, LazyLock};

use xds_model::route::{self, RouteConfiguration, RouteHeaders};

use crate::clusters::ClusterNames;
use crate::compile::{self, CompileError};
use crate::path::{PathKind, PathMatcher};
use crate::redirect::Redirect;
use crate::request::{RequestView, forwarded_scheme};
use crate::route::{Action, Route, RouteMatch};
use crate::virtual_host::{DomainIndex, VirtualHost, without_port};

/// A compiled route table, shared by all workers. Reading it allocates nothing, unless a regular expression needs scratch memory.
#[derive(Debug)]
pub struct RouteTable {
    pub(crate) name: Box<str>,
    pub(crate) ignore_port: bool,
    pub(crate) domains: Arc<DomainIndex>,
    pub(crate) virtual_hosts: Box<[Arc<VirtualHost>]>,
    /// What each virtual host was compiled from.
    pub(crate) sources: Box<[Arc<route::VirtualHost>]>,
    pub(crate) clusters: ClusterNames,
    pub(crate) headers: Option<Box<RouteHeaders>>,
}

/// Position of a virtual host in one table; a connection may keep it beside its last authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VirtualHostIndex(u32);

/// Position of a route in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoutePosition {
    host: VirtualHostIndex,
    route: u32,
}

/// In place of a route's position: the redirect of hosts that require TLS.
const REDIRECT_TO_HTTPS: u32 = u32::MAX;

impl RouteTable {
    /// Compiles a table.
    ///
    /// # Errors
    /// Two virtual hosts claim the same domain.
    pub fn compile(configuration: &RouteConfiguration) -> Result<Self, CompileError> {
        compile::compile(configuration, None)
    }

    /// Compiles the next version of this table. Virtual hosts that did not change are shared with it, those whose model is shared
    /// are not even looked at, and clusters keep their
    /// [`ClusterRef`](crate::ClusterRef)s (`clusters()` of the new table starts with those of this one), unless most of those names
    /// are no longer used: then all are numbered anew, which [`RouteTable::continues`] tells.
    ///
    /// # Errors
    /// Two virtual hosts claim the same domain.
    pub fn update(&self, configuration: &RouteConfiguration) -> Result<Self, CompileError> {
        compile::compile(configuration, Some(self))
    }

    /// Whether the [`ClusterRef`](crate::ClusterRef)s of `old` mean the same here.
    pub fn continues(&self, old: &Self) -> bool {
        self.clusters.names().starts_with(old.clusters.names())
    }

    /// Resource name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of clusters, by [`ClusterRef`](crate::ClusterRef).
    pub fn clusters(&self) -> &[Arc<str>] {
        self.clusters.names()
    }

    /// The virtual hosts, by [`VirtualHostIndex`].
    pub fn virtual_hosts(&self) -> &[Arc<VirtualHost>] {
        &self.virtual_hosts
    }

    /// The virtual host for an authority.
    pub fn virtual_host(&self, authority: &[u8]) -> Option<VirtualHostIndex> {
        let host = if self.ignore_port { without_port(authority) } else { authority };
        self.domains.find(host).map(VirtualHostIndex)
    }

    /// The first route of the virtual host that matches the request. A host that requires TLS answers every other request with a
    /// redirect.
    pub fn find(&self, host: VirtualHostIndex, request: &impl RequestView) -> Option<RouteMatch<'_>> {
        let virtual_host = self.virtual_hosts.get(host.0 as usize)?;
        let route = if virtual_host.require_tls && !forwarded_scheme(request).eq_ignore_ascii_case(b"https") {
            REDIRECT_TO_HTTPS
        } else {
            virtual_host.find(request)?
        };
        self.at(RoutePosition { host, route })
    }

    /// The route at a position that this table gave out.
    pub fn at(&self, position: RoutePosition) -> Option<RouteMatch<'_>> {
        let virtual_host = self.virtual_hosts.get(position.host.0 as usize)?;
        if position.route == REDIRECT_TO_HTTPS {
            return Some(RouteMatch { route: &HTTPS_REDIRECT, virtual_host, position, outer_headers: [None; 2] });
        }
        let route = virtual_host.routes.get(position.route as usize)?;
        let outer_headers = [virtual_host.headers.as_deref(), self.headers.as_deref()];
        Some(RouteMatch { route, virtual_host, position, outer_headers })
    }
}

static HTTPS_REDIRECT: LazyLock<Route> = LazyLock::new(|| Route {
    name: "".into(),
    action: Action::Redirect(Box::new(Redirect::to_https())),
    decorator_operation: None,
    istio_config: None,
    path: PathMatcher { kind: PathKind::Prefix("/".into()), case_sensitive: true },
    conditions: None,
    headers: None,
});
