//! From the model to a route table: texts and policies that repeat are stored once, clusters become numbers.

use std::cell::OnceCell;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use xds_model::route::{self, RetryPolicy, RouteConfiguration, RouteHeaders};

use crate::clusters::ClusterNames;
use crate::path::PathMatcher;
use crate::path_index::{self, PathIndex};
use crate::redirect::Redirect;
use crate::rewrite::PathRewrite;
use crate::route::{Action, Conditions, Forward, Route};
use crate::table::RouteTable;
use crate::virtual_host::{DomainIndex, VirtualHost};
use crate::weighted::{Target, Targets};

/// Why a route table cannot be compiled. Envoy refuses these as well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Two virtual hosts, or one twice, claim a domain.
    #[error("route configuration {table}: domain {domain} is in virtual host {first} and again in {second}")]
    DuplicateDomain {
        /// The table.
        table: String,
        /// The domain.
        domain: String,
        /// Virtual host that has it.
        first: String,
        /// Virtual host that wants it too.
        second: String,
    },
}

pub(crate) fn compile(
    configuration: &RouteConfiguration,
    old: Option<&RouteTable>,
) -> Result<RouteTable, CompileError> {
    let same_domains = old.filter(|old| configuration.has_domains_of(&old.sources));
    let domains = match same_domains {
        Some(old) => old.domains.clone(),
        None => Arc::new(index_domains(configuration)?),
    };
    let mut compiler =
        Compiler { clusters: old.map(|old| old.clusters.clone()).unwrap_or_default(), ..Compiler::default() };
    let mut earlier = Earlier::new(old);
    let virtual_hosts = configuration.virtual_hosts.iter().enumerate().map(|(position, host)| {
        let known = earlier.position(position, host);
        if let Some(same) = known.and_then(|known| earlier.take_unchanged(known, host)) {
            return same;
        }
        let compiled = compiler.virtual_host(host);
        match known.and_then(|known| earlier.host(known)) {
            Some(same) if **same == compiled => Arc::clone(same),
            _ => Arc::new(compiled),
        }
    });
    let virtual_hosts = virtual_hosts.collect();
    for gone in earlier.not_taken() {
        compiler.clusters.release(&gone.routes);
    }
    if old.is_some() && compiler.clusters.is_sparse() {
        return compile(configuration, None);
    }
    compiler.clusters.shrink();
    Ok(RouteTable {
        name: configuration.name.as_str().into(),
        ignore_port: configuration.ignore_port_in_host_matching,
        domains,
        virtual_hosts,
        sources: configuration.virtual_hosts.as_slice().into(),
        clusters: compiler.clusters,
        headers: non_empty(&configuration.headers),
    })
}

/// The virtual hosts of the version before.
struct Earlier<'a> {
    hosts: &'a [Arc<VirtualHost>],
    sources: &'a [Arc<route::VirtualHost>],
    /// Which were taken over as they are.
    taken: Vec<bool>,
    /// Made when one is not where it was.
    positions: OnceCell<HashMap<&'a str, usize>>,
}

impl<'a> Earlier<'a> {
    fn new(old: Option<&'a RouteTable>) -> Self {
        let hosts = old.map(|old| &*old.virtual_hosts).unwrap_or_default();
        let sources = old.map(|old| &*old.sources).unwrap_or_default();
        Self { hosts, sources, taken: vec![false; hosts.len()], positions: OnceCell::new() }
    }

    fn host(&self, position: usize) -> Option<&'a Arc<VirtualHost>> {
        self.hosts.get(position)
    }

    /// Where the version before of a virtual host is: most are where they were.
    fn position(&self, position: usize, host: &Arc<route::VirtualHost>) -> Option<usize> {
        let is_here = |here: &Arc<route::VirtualHost>| Arc::ptr_eq(here, host) || here.name == host.name;
        if self.sources.get(position).is_some_and(is_here) {
            return Some(position);
        }
        let positions = || self.sources.iter().map(|source| source.name.as_str()).zip(0..).collect();
        self.positions.get_or_init(positions).get(host.name.as_str()).copied()
    }

    /// The compiled virtual host, if it was compiled from this very model.
    fn take_unchanged(&mut self, position: usize, host: &Arc<route::VirtualHost>) -> Option<Arc<VirtualHost>> {
        let taken = self.taken.get_mut(position)?;
        if *taken || !Arc::ptr_eq(self.sources.get(position)?, host) {
            return None;
        }
        *taken = true;
        self.hosts.get(position).cloned()
    }

    fn not_taken(&self) -> impl Iterator<Item = &'a Arc<VirtualHost>> {
        self.hosts.iter().zip(&self.taken).filter(|(_, taken)| !**taken).map(|(host, _)| host)
    }
}

fn index_domains(configuration: &RouteConfiguration) -> Result<DomainIndex, CompileError> {
    let mut domains = DomainIndex::default();
    for (position, host) in (0u32..).zip(&configuration.virtual_hosts) {
        for domain in &host.domains {
            domains.insert(domain, position).map_err(|first| CompileError::DuplicateDomain {
                table: configuration.name.clone(),
                domain: domain.clone(),
                first: configuration
                    .virtual_hosts
                    .get(first as usize)
                    .map(|host| host.name.clone())
                    .unwrap_or_default(),
                second: host.name.clone(),
            })?;
        }
    }
    domains.shrink();
    Ok(domains)
}

/// What the virtual hosts of a table share.
#[derive(Default)]
struct Compiler {
    clusters: ClusterNames,
    texts: HashSet<Arc<str>>,
    retry_policies: Vec<Arc<RetryPolicy>>,
}

impl Compiler {
    fn virtual_host(&mut self, host: &route::VirtualHost) -> VirtualHost {
        let retry = host.retry.as_ref().map(|policy| self.retry_policy(policy));
        let routes: Box<[Route]> = host.routes.iter().map(|route| self.route(route, retry.as_ref())).collect();
        let index = (routes.len() >= path_index::MINIMUM_ROUTES).then(|| Box::new(PathIndex::new(&routes)));
        VirtualHost {
            name: host.name.as_str().into(),
            include_request_attempt_count: host.include_request_attempt_count,
            require_tls: host.require_tls,
            headers: non_empty(&host.headers),
            routes,
            index,
        }
    }

    fn route(&mut self, route: &route::Route, host_retry: Option<&Arc<RetryPolicy>>) -> Route {
        let conditions = !(route.matches.headers.is_empty() && route.matches.query.is_empty());
        Route {
            name: self.text(&route.name),
            action: self.action(&route.action, host_retry),
            decorator_operation: route.decorator_operation.as_deref().map(|text| self.text(text)),
            istio_config: route.istio_config.as_deref().map(|text| self.text(text)),
            path: PathMatcher::new(&route.matches.path, route.matches.case_sensitive),
            conditions: conditions.then(|| {
                Box::new(Conditions {
                    headers: route.matches.headers.as_slice().into(),
                    query: route.matches.query.as_slice().into(),
                })
            }),
            headers: non_empty(&route.headers),
        }
    }

    fn action(&mut self, action: &route::RouteAction, host_retry: Option<&Arc<RetryPolicy>>) -> Action {
        match action {
            route::RouteAction::Forward(forward) => Action::Forward(Box::new(self.forward(forward, host_retry))),
            route::RouteAction::Redirect(redirect) => Action::Redirect(Box::new(Redirect::new(redirect))),
            route::RouteAction::DirectResponse(response) => Action::DirectResponse(Box::new(response.clone())),
            route::RouteAction::Refused(reason) => Action::Refused(reason.as_str().into()),
        }
    }

    fn forward(&mut self, forward: &route::Forward, host_retry: Option<&Arc<RetryPolicy>>) -> Forward {
        let targets = forward.clusters.iter().map(|cluster| Target {
            cluster: self.clusters.acquire(&cluster.name),
            weight: cluster.weight,
            host_rewrite: cluster.host_rewrite.as_deref().map(Into::into),
            headers: non_empty(&cluster.headers),
        });
        Forward {
            targets: Targets::new(targets.collect()),
            cluster_not_found_status: forward.cluster_not_found_status,
            timeout: forward.timeout,
            idle_timeout: forward.idle_timeout,
            grpc_timeout: forward.grpc_timeout,
            max_stream_duration: forward.max_stream_duration.clone(),
            retry: forward.retry.as_ref().map(|policy| self.retry_policy(policy)).or_else(|| host_retry.cloned()),
            path_rewrite: forward.path_rewrite.as_ref().map(PathRewrite::new),
            host_rewrite: forward.host_rewrite.as_deref().map(Into::into),
            append_x_forwarded_host: forward.append_x_forwarded_host,
            connect: forward.connect,
            hash_policies: forward.hash_policies.as_slice().into(),
        }
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        Arc::clone(self.texts.get_or_insert_with(text, |text| text.into()))
    }

    /// Nearly all routes of a table have the same policy: the last one is looked at first, and only a few before it.
    fn retry_policy(&mut self, policy: &RetryPolicy) -> Arc<RetryPolicy> {
        let known = self.retry_policies.iter().rev().take(16).find(|known| ***known == *policy);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let policy = Arc::new(policy.clone());
        self.retry_policies.push(Arc::clone(&policy));
        policy
    }
}

fn non_empty(headers: &RouteHeaders) -> Option<Box<RouteHeaders>> {
    (!headers.request.is_empty() || !headers.response.is_empty()).then(|| Box::new(headers.clone()))
}
