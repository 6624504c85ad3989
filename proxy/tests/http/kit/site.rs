//! The usual case: one listener, one table, one cluster called `b` whose backend the test plays itself.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use xds_model::cluster::Cluster;
use xds_model::http::HttpConnectionManager;
use xds_model::listener::Listener;
use xds_model::route::{ConnectMode, Forward, Route, RouteAction, RouteConfiguration, VirtualHost};

use super::{
    Asked, Backend, Edge, Head, Http2Client, Http2Request, Http2Upstream, LogFile, Options, Wire, cluster, forward,
    listener, manager, prefix, table,
};

/// What a line of a site's log says.
const LOG: &str = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT%\n";

/// What a site is to be configured with.
pub(crate) struct Plan {
    pub(crate) backend: Backend,
    pub(crate) manager: HttpConnectionManager,
    pub(crate) table: RouteConfiguration,
    pub(crate) cluster: Cluster,
    pub(crate) more_clusters: Vec<Cluster>,
    /// With one worker, so that connections of one test meet each other.
    pub(crate) options: Options,
}

/// A gateway with its backend.
pub(crate) struct Site {
    pub(crate) edge: Edge,
    pub(crate) backend: Backend,
    pub(crate) address: SocketAddr,
    pub(crate) listener: Listener,
    pub(crate) cluster: Cluster,
    pub(crate) log: LogFile,
}

/// A request over HTTP/2 on both sides.
pub(crate) struct Open {
    pub(crate) client: Http2Client,
    pub(crate) asked: Asked,
    pub(crate) upstream: Http2Upstream,
    pub(crate) request: Http2Request,
}

impl Plan {
    async fn new() -> Self {
        let backend = Backend::start().await;
        Self {
            manager: manager(),
            table: table(vec![prefix("/", forward("b"))]),
            cluster: cluster("b", &[backend.address]),
            more_clusters: Vec::new(),
            options: Options { workers: 1, ..Options::default() },
            backend,
        }
    }

    pub(crate) fn host(&mut self) -> &mut VirtualHost {
        Arc::make_mut(&mut self.table.virtual_hosts[0])
    }

    /// The routes, of which the last takes everything.
    pub(crate) fn routes(&mut self) -> &mut Vec<Route> {
        &mut self.host().routes
    }

    /// What the first route does with CONNECT.
    pub(crate) fn connect_mode(&mut self, mode: ConnectMode) {
        match &mut self.routes()[0].action {
            RouteAction::Forward(forward) => forward.connect = mode,
            other => panic!("{other:?}"),
        }
    }

    /// Where the last route leads.
    pub(crate) fn forward(&mut self) -> &mut Forward {
        match &mut self.routes().last_mut().unwrap().action {
            RouteAction::Forward(forward) => forward,
            other => panic!("{other:?}"),
        }
    }
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = Plan::new().await;
        change(&mut plan);
        let log = LogFile::new();
        plan.manager.access_log.push(log.text(LOG));
        let edge = Edge::with(plan.options);
        for model in plan.more_clusters.into_iter().chain([plan.cluster.clone()]) {
            edge.cluster(model).await;
        }
        edge.routes(plan.table).await;
        let listener = listener(plan.manager);
        let address = edge.listener(listener.clone()).await;
        Self { edge, backend: plan.backend, address, listener, cluster: plan.cluster, log }
    }

    pub(crate) async fn client(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// A client that speaks HTTP/2.
    pub(crate) async fn http2_client(&self) -> Http2Client {
        Http2Client::connect(self.address).await
    }

    /// A request of a client and the stream that it becomes on an HTTP/2 connection of its own to the backend.
    pub(crate) async fn asked(&self, request: Request<()>, whole: bool) -> Open {
        let mut client = self.http2_client().await;
        let asked = client.send(request, whole).await;
        let mut upstream = Http2Upstream::accept(&self.backend).await;
        let request = upstream.request().await;
        Open { client, asked, upstream, request }
    }

    /// A client that has sent this, the backend's side of it, and the head that the backend got.
    pub(crate) async fn sent(&self, request: &str) -> (Wire, Wire, Head) {
        let mut client = self.client().await;
        client.send(request).await;
        let mut upstream = self.backend.accept().await;
        let head = upstream.head().await;
        (client, upstream, head)
    }

    /// What a client of its own gets for a request that does not reach the backend.
    pub(crate) async fn answer(&self, request: &str) -> (Head, String) {
        self.client().await.ask(request).await
    }

    /// The only lines of the log: status, flags, details, bytes of the request's body, bytes of the response's.
    pub(crate) async fn logs(&self, lines: &[&str]) {
        assert_eq!(self.log.lines(lines.len()).await, lines);
    }

    /// The same of requests that end in any order.
    pub(crate) async fn logs_in_any_order(&self, lines: &[&str]) {
        let (mut logged, mut lines) = (self.log.lines(lines.len()).await, lines.to_vec());
        logged.sort();
        lines.sort_unstable();
        assert_eq!(logged, lines);
    }

    /// Ends the gateway, which must not have panicked anywhere.
    pub(crate) async fn stop(self) {
        self.edge.stop().await;
    }
}
