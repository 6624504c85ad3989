//! A control plane that sends listeners.

use std::net::SocketAddr;
use std::pin::Pin;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use xds_api::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use xds_api::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use xds_api::{Any, type_url};

/// Ends when this is dropped.
pub(crate) struct ControlPlane {
    pub(crate) address: SocketAddr,
    listeners: watch::Sender<Vec<Resource>>,
    task: JoinHandle<()>,
}

impl ControlPlane {
    pub(crate) async fn start(listener: Resource) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listeners = watch::Sender::new(vec![listener]);
        let service = AggregatedDiscoveryServiceServer::new(Service { listeners: listeners.subscribe() });
        let serving = tonic::transport::Server::builder().add_service(service);
        let serving = serving.serve_with_incoming(TcpListenerStream::new(socket));
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, listeners, task }
    }

    pub(crate) fn add(&self, listener: Resource) {
        self.listeners.send_modify(|listeners| listeners.push(listener));
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A listener that answers every request itself and logs the path.
pub(crate) fn listener(port: u16, log: &str) -> Resource {
    let of = |message: &str, fields: Value| {
        let mut fields = fields;
        fields["@type"] = json!(format!("type.googleapis.com/envoy.extensions.{message}"));
        fields
    };
    let file = json!({"path": log, "logFormat": {"textFormatSource": {"inlineString": "%REQ(:PATH)%\n"}}});
    let route = json!({"match": {"prefix": "/"}, "directResponse": {"status": 200}});
    let manager = json!({
        "statPrefix": "test",
        "routeConfig": {"name": "inline", "virtualHosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "httpFilters": [{"name": "router", "typedConfig": of("filters.http.router.v3.Router", json!({}))}],
        "accessLog": [{"name": "file", "typedConfig": of("access_loggers.file.v3.FileAccessLog", file)}],
    });
    let manager = of("filters.network.http_connection_manager.v3.HttpConnectionManager", manager);
    let name = format!("port {port}");
    let content = json!({
        "name": name,
        "address": {"socketAddress": {"address": "127.0.0.1", "portValue": port}},
        "filterChains": [{"filters": [{"name": "http", "typedConfig": manager}]}],
    });
    let value = xds_api::json::from_json(type_url::LISTENER, content).unwrap();
    let resource = Some(Any { type_url: type_url::LISTENER.to_owned(), value });
    Resource { name, resource, ..Resource::default() }
}

struct Service {
    listeners: watch::Receiver<Vec<Resource>>,
}

type Responses<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("incremental only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (responses, receiver) = mpsc::channel(8);
        tokio::spawn(serve(request.into_inner(), responses, self.listeners.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Sends all listeners at the beginning and after every change; whatever else is asked for, there is none of it.
async fn serve(
    mut requests: Streaming<DeltaDiscoveryRequest>,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    mut listeners: watch::Receiver<Vec<Resource>>,
) {
    let mut nonce = 0;
    loop {
        let (type_url, resources) = tokio::select! {
            request = requests.message() => match request {
                Ok(Some(request)) if !request.response_nonce.is_empty() => continue,
                Ok(Some(request)) if request.type_url == type_url::LISTENER => {
                    (request.type_url, listeners.borrow_and_update().clone())
                }
                Ok(Some(request)) => (request.type_url, Vec::new()),
                Ok(None) | Err(_) => return,
            },
            changed = listeners.changed() => match changed {
                Ok(()) => (type_url::LISTENER.to_owned(), listeners.borrow_and_update().clone()),
                Err(_) => return,
            },
        };
        nonce += 1;
        let response = DeltaDiscoveryResponse {
            nonce: format!("{nonce}"),
            type_url,
            resources,
            ..DeltaDiscoveryResponse::default()
        };
        if responses.send(Ok(response)).await.is_err() {
            return;
        }
    }
}
