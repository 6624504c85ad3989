//! From the model to a route table: texts and policies that repeat are stored once, clusters become numbers.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use xds_model::route::{self, RetryPolicy, RouteConfiguration, RouteHeaders};

use crate::path::PathMatcher;
use crate::path_index::{self, PathIndex};
use crate::redirect::Redirect;
use crate::rewrite::PathRewrite;
use crate::route::{Action, Conditions, Forward, Route};
use crate::table::RouteTable;
use crate::virtual_host::{DomainIndex, VirtualHost};
use crate::weighted::{ClusterRef, Target, Targets};

/// How many names without a use a table may carry along, beside as many as it uses.
const SPARE_CLUSTERS: usize = 64;

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
    let domains = index_domains(configuration)?;
    let mut compiler = Compiler::new(old);
    let hosts: HashMap<&str, &Arc<VirtualHost>> =
        old.iter().flat_map(|old| &old.virtual_hosts).map(|host| (&*host.name, host)).collect();
    let virtual_hosts = configuration.virtual_hosts.iter().map(|host| {
        let compiled = compiler.virtual_host(host);
        match hosts.get(host.name.as_str()) {
            Some(same) if ***same == compiled => Arc::clone(same),
            _ => Arc::new(compiled),
        }
    });
    let virtual_hosts = virtual_hosts.collect();
    if old.is_some() && compiler.is_sparse() {
        return compile(configuration, None);
    }
    compiler.clusters.shrink_to_fit();
    Ok(RouteTable {
        name: configuration.name.as_str().into(),
        ignore_port: configuration.ignore_port_in_host_matching,
        domains,
        virtual_hosts,
        clusters: compiler.clusters,
        headers: non_empty(&configuration.headers),
    })
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
    clusters: Vec<Arc<str>>,
    /// Number of a cluster, and whether this version of the table uses it.
    cluster_numbers: HashMap<Arc<str>, (u32, bool)>,
    texts: HashSet<Arc<str>>,
    retry_policies: Vec<Arc<RetryPolicy>>,
}

impl Compiler {
    fn new(old: Option<&RouteTable>) -> Self {
        let clusters = old.map(|old| old.clusters.clone()).unwrap_or_default();
        let cluster_numbers = clusters.iter().cloned().zip((0..).map(|number| (number, false))).collect();
        Self { clusters, cluster_numbers, ..Self::default() }
    }

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
            cluster: self.cluster(&cluster.name),
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
        }
    }

    fn cluster(&mut self, name: &str) -> ClusterRef {
        if let Some((number, used)) = self.cluster_numbers.get_mut(name) {
            *used = true;
            return ClusterRef(*number);
        }
        let number = self.clusters.len() as u32;
        let name: Arc<str> = name.into();
        self.clusters.push(Arc::clone(&name));
        self.cluster_numbers.insert(name, (number, true));
        ClusterRef(number)
    }

    fn is_sparse(&self) -> bool {
        let used = self.cluster_numbers.values().filter(|(_, used)| *used).count();
        self.clusters.len() > 2 * used + SPARE_CLUSTERS
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
