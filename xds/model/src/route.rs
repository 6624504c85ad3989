//! Route tables (`envoy.config.route.v3`).

mod sections;
pub(crate) mod wire;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::hash_policy::HashPolicy;
use crate::header::HeaderMutations;
use crate::matcher::{FullRegex, HeaderMatcher, QueryMatcher};

pub use sections::SectionedTable;

/// A route table, chosen by an HTTP connection manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfiguration {
    /// Resource name.
    pub name: String,
    /// The hosts. Versions of a table share those that are the same.
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
    /// A port in the request's authority does not count (`ignore_port_in_host_matching`).
    pub ignore_port_in_host_matching: bool,
    /// Header changes for all hosts.
    pub headers: RouteHeaders,
}

/// The routes of some host names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualHost {
    /// Name, for statistics.
    pub name: String,
    /// Lower-case host names: exact, `*.suffix`, `prefix.*` or `*`.
    pub domains: Vec<String>,
    /// In order; the first that matches is taken.
    pub routes: Vec<Route>,
    /// Clear-text requests are redirected to https.
    pub require_tls: bool,
    /// Send `x-envoy-attempt-count` upstream.
    pub include_request_attempt_count: bool,
    /// Used by routes without a retry policy of their own.
    pub retry: Option<RetryPolicy>,
    /// Header changes for all routes.
    pub headers: RouteHeaders,
}

/// Header changes in both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteHeaders {
    /// On the way to the upstream.
    pub request: HeaderMutations,
    /// On the way back.
    pub response: HeaderMutations,
}

/// A condition and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Name, for logs.
    pub name: String,
    /// What a request must look like.
    pub matches: RouteMatch,
    /// What happens to it.
    pub action: RouteAction,
    /// Header changes.
    pub headers: RouteHeaders,
    /// Sent upstream as `x-envoy-decorator-operation`.
    pub decorator_operation: Option<String>,
    /// Path of the Istio object it comes from (`metadata.filter_metadata.istio.config`).
    pub istio_config: Option<String>,
}

/// `RouteMatch`: all conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatch {
    /// On the path.
    pub path: PathMatch,
    /// Whether case counts in the path.
    pub case_sensitive: bool,
    /// On headers.
    pub headers: Vec<HeaderMatcher>,
    /// On query parameters.
    pub query: Vec<QueryMatcher>,
}

/// The forms of `RouteMatch.path_specifier`; they see the path without its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Starts with.
    Prefix(String),
    /// Equal.
    Exact(String),
    /// Equal, or starts with it and a slash; no slash at its end.
    PathSeparatedPrefix(String),
    /// Matches from beginning to end.
    Regex(FullRegex),
    /// CONNECT requests, which have no path and match nothing else (`connect_matcher`).
    Connect,
}

/// What a route does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteAction {
    /// Forward.
    Forward(Box<Forward>),
    /// Answer with a redirect.
    Redirect(Box<Redirect>),
    /// Answer with a fixed response.
    DirectResponse(DirectResponse),
    /// The route was refused on its own, so that the rest of its table could be served: requests that match it get a 500.
    Refused(String),
}

/// `RouteAction` with a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where to, by weight. May be empty, or of weight 0 in all: then `cluster_not_found_status` is answered.
    pub clusters: Vec<WeightedCluster>,
    /// Status when the cluster does not exist: 503, or 500 from the Gateway API.
    pub cluster_not_found_status: u16,
    /// Bound on the whole response, counted from the end of the request; `None` for none.
    pub timeout: Option<Duration>,
    /// Bound on the silence of the stream; overrides that of the connection manager. Zero lifts the bound.
    pub idle_timeout: Option<Duration>,
    /// How `grpc-timeout` of a gRPC request counts: in place of `timeout`. `None` if it does not (`max_grpc_timeout`).
    pub grpc_timeout: Option<GrpcTimeout>,
    /// Bound on the life of the whole stream; replaces `timeout`, `grpc_timeout` and the connection manager's bound.
    pub max_stream_duration: Option<Box<MaxStreamDuration>>,
    /// When to try again.
    pub retry: Option<RetryPolicy>,
    /// Change of the path.
    pub path_rewrite: Option<PathRewrite>,
    /// Change of the authority.
    pub host_rewrite: Option<String>,
    /// Append the old authority to `x-forwarded-host` when it is changed.
    pub append_x_forwarded_host: bool,
    /// What becomes of a CONNECT request.
    pub connect: ConnectMode,
    /// What is hashed, where the cluster balances by hash.
    pub hash_policies: Vec<HashPolicy>,
}

/// What a route does with a CONNECT request (`upgrade_configs` of type CONNECT).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectMode {
    /// What the connection manager does: refuses it, or forwards it if CONNECT is among its upgrades.
    #[default]
    Inherited,
    /// Refuses it.
    Refused,
    /// Forwards it: the endpoint opens the tunnel.
    Forwarded,
    /// Opens the tunnel itself: its bytes go to the endpoint as they are (`connect_config`).
    Terminated,
}

/// `max_grpc_timeout` and `grpc_timeout_offset`: the bound on the response to a gRPC request is what its `grpc-timeout` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcTimeout {
    /// The longest; a request without `grpc-timeout` gets it, too. `None` for any, and none without `grpc-timeout`.
    pub max: Option<Duration>,
    /// Taken from what the client says, if that is more: time for the way back.
    pub offset: Duration,
}

/// `MaxStreamDuration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxStreamDuration {
    /// Of a request whose `grpc-timeout` does not count: `None` for that of the connection manager; zero lifts the bound.
    pub duration: Option<Duration>,
    /// `grpc-timeout` counts up to this, zero for any; `None` if it does not.
    pub grpc_timeout_header_max: Option<Duration>,
    /// Taken from what `grpc-timeout` says; what is not more than this ends at once.
    pub grpc_timeout_header_offset: Duration,
}

/// One target of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedCluster {
    /// Name of a cluster.
    pub name: String,
    /// Share of all weights.
    pub weight: u32,
    /// Header changes for this target.
    pub headers: RouteHeaders,
    /// Authority for this target.
    pub host_rewrite: Option<String>,
}

/// How a path is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// The matched prefix (or the whole matched path) is replaced.
    Prefix(String),
    /// Every match is replaced; `\1` stands for a group.
    Regex {
        /// What is looked for, anywhere in the path.
        pattern: FullRegex,
        /// RE2 substitution.
        substitution: String,
    },
}

/// `RedirectAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Scheme; `None` keeps it.
    pub scheme: Option<String>,
    /// Host; `None` keeps it.
    pub host: Option<String>,
    /// Port; `None` keeps it, unless scheme or host say otherwise.
    pub port: Option<u16>,
    /// Path; `None` keeps it.
    pub path: Option<RedirectPath>,
    /// Leave out the query.
    pub strip_query: bool,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// How a redirect changes the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectPath {
    /// The whole path (and query, if it has one).
    Full(String),
    /// The matched prefix.
    Prefix(String),
    /// Every match is replaced.
    Regex {
        /// What is looked for.
        pattern: FullRegex,
        /// RE2 substitution.
        substitution: String,
    },
}

/// `DirectResponseAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// Status.
    pub status: u16,
    /// Body, at most 1 MiB.
    pub body: Bytes,
}

/// `RetryPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Further tries.
    pub num_retries: u32,
    /// Conditions.
    pub retry_on: RetryOn,
    /// Statuses for `retriable-status-codes`.
    pub retriable_status_codes: Vec<u16>,
    /// Bound on one try; `None` for none.
    pub per_try_timeout: Option<Duration>,
    /// First back-off; Envoy's default is 25 ms.
    pub back_off_base: Duration,
    /// Longest back-off; Envoy's default is ten times the base.
    pub back_off_max: Duration,
    /// Do not try a host again (`retry_host_predicate` previous_hosts).
    pub avoid_previous_hosts: bool,
    /// How often another host is drawn before a previous one is taken after all.
    pub host_selection_attempts: u32,
    /// After this many tries, and after each as many more, the priorities that were tried are left out (`retry_priority`
    /// previous_priorities); `None` for never.
    pub leave_priorities_after: Option<NonZeroU32>,
}

/// The conditions of `RetryPolicy.retry_on`, as flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// `connect-failure`.
    pub connect_failure: bool,
    /// `refused-stream`.
    pub refused_stream: bool,
    /// `reset`: no response at all.
    pub reset: bool,
    /// `reset-before-request`: nothing of the request was sent.
    pub reset_before_request: bool,
    /// `gateway-error`: 502, 503, 504.
    pub gateway_error: bool,
    /// `5xx`: any 5xx, reset or timeout.
    pub server_error: bool,
    /// `envoy-ratelimited`: a response with `x-envoy-ratelimited`, which no other condition tries again.
    pub rate_limited: bool,
    /// `retriable-4xx`: 409.
    pub retriable_4xx: bool,
    /// `retriable-status-codes`.
    pub retriable_status_codes: bool,
    /// gRPC `cancelled`.
    pub grpc_cancelled: bool,
    /// gRPC `deadline-exceeded`.
    pub grpc_deadline_exceeded: bool,
    /// gRPC `internal`.
    pub grpc_internal: bool,
    /// gRPC `resource-exhausted`.
    pub grpc_resource_exhausted: bool,
    /// gRPC `unavailable`.
    pub grpc_unavailable: bool,
}
