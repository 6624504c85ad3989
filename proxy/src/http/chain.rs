//! An HTTP connection manager as one worker serves it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use h1::path::{EscapedSlashes, PathOptions};
use h1::{Header, Limits, PreparedFields, Underscores};
use xds_model::http::{self as model, HttpConnectionManager};

use super::HttpCounters;
use super::filter::Filters;
use crate::config::snapshot::{HttpSnapshot, Routes};
use crate::http2::http2_config;
use crate::worker::{Worker, WorkerRoutes};

/// A request's head may take this long to arrive where the control plane set no bound: an edge must not wait for ever.
const DEFAULT_HEADERS_TIMEOUT: Duration = Duration::from_secs(60);

/// One HTTP connection manager, ready to serve. Made once per worker and version of the configuration.
#[derive(Debug)]
pub struct HttpChain {
    /// What control compiled.
    pub snapshot: Arc<HttpSnapshot>,
    /// Its counters on this worker.
    pub counters: Arc<HttpCounters>,
    /// What the HTTP filters do.
    pub(super) filters: Filters,
    /// What the request parser accepts.
    pub(super) limits: Limits,
    /// What the response parser accepts.
    pub(super) response_limits: Limits,
    /// What clients that speak HTTP/2 are told, and held to.
    pub(super) http2: h2::Config,
    pub(super) path: PathOptions,
    pub(super) headers_timeout: Duration,
    /// The field `server`; `None` if its configured value cannot be sent.
    pub(super) server: Option<PreparedFields>,
    routes: RouteSource,
}

/// Where the route table is found.
#[derive(Debug)]
enum RouteSource {
    /// In the configuration itself.
    Inline(Rc<WorkerRoutes>),
    /// Among the published ones; looked up by name anew only when one of them changed.
    Named { name: Arc<str>, found: RefCell<(u64, Option<Rc<WorkerRoutes>>)> },
}

impl HttpChain {
    /// Of a snapshot. The counters may be those of an earlier version with the same `stat_prefix`.
    pub fn new(snapshot: &Arc<HttpSnapshot>, counters: Arc<HttpCounters>) -> Rc<Self> {
        let model = &snapshot.model;
        Rc::new(Self {
            counters,
            filters: Filters::compile(&snapshot.filters),
            limits: limits(model),
            http2: h2::Config { heads: limits(model), ..http2_config(&model.http2) },
            response_limits: Limits { underscores: Underscores::Allow, ..Limits::DEFAULT },
            path: path_options(model),
            headers_timeout: model.request_headers_timeout.unwrap_or(DEFAULT_HEADERS_TIMEOUT),
            server: PreparedFields::one(Header::Server, model.server_name.as_bytes()).ok(),
            routes: match &snapshot.routes {
                Routes::Named(name) => RouteSource::Named { name: name.clone(), found: RefCell::new((u64::MAX, None)) },
                Routes::Inline(table) => RouteSource::Inline(WorkerRoutes::new(table.clone())),
            },
            snapshot: snapshot.clone(),
        })
    }

    /// As the control plane said.
    pub fn model(&self) -> &HttpConnectionManager {
        &self.snapshot.model
    }

    /// The route table as it is now; `None` if it was not published.
    pub(super) fn routes(&self, worker: &Worker) -> Option<Rc<WorkerRoutes>> {
        match &self.routes {
            RouteSource::Inline(routes) => Some(routes.clone()),
            RouteSource::Named { name, found } => {
                let mut found = found.borrow_mut();
                let version = worker.routes.version();
                if found.0 != version {
                    *found = (version, worker.routes.get(name));
                }
                found.1.clone()
            }
        }
    }
}

fn limits(model: &HttpConnectionManager) -> Limits {
    Limits {
        max_head_bytes: model.max_request_headers_kb as usize * 1024,
        max_headers: model.max_headers_count as usize,
        accept_http_10: model.accept_http_10,
        underscores: match model.headers_with_underscores {
            model::HeadersWithUnderscores::Allow => Underscores::Allow,
            model::HeadersWithUnderscores::Reject => Underscores::Reject,
            model::HeadersWithUnderscores::Drop => Underscores::Drop,
        },
    }
}

fn path_options(model: &HttpConnectionManager) -> PathOptions {
    PathOptions {
        normalize: model.path_normalization.normalize,
        merge_slashes: model.path_normalization.merge_slashes,
        escaped_slashes: match model.path_normalization.escaped_slashes {
            model::EscapedSlashes::KeepUnchanged => EscapedSlashes::Keep,
            model::EscapedSlashes::Reject => EscapedSlashes::Reject,
            model::EscapedSlashes::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
            model::EscapedSlashes::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
        },
    }
}
