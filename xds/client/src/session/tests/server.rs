//! A control plane that does what it is told.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::metadata::MetadataMap;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use xds_api::envoy::config::core::v3::Node;
use xds_api::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use xds_api::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};

use super::DEADLINE;
use crate::ResourceType;
use crate::delta::Received;

/// Ends with the value.
pub(super) struct Server {
    pub(super) address: String,
    streams: mpsc::Receiver<Stream>,
    task: JoinHandle<()>,
}

/// A stream that a client has opened.
pub(super) struct Stream {
    headers: MetadataMap,
    requests: Streaming<DeltaDiscoveryRequest>,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    /// Of the first request.
    pub(super) node: Option<Node>,
    nonces: u32,
    last_nonce: String,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_on(tonic::transport::Server::builder()).await
    }

    pub(super) async fn start_with_tls(identity: Identity) -> Self {
        let tls = ServerTlsConfig::new().identity(identity);
        Self::start_on(tonic::transport::Server::builder().tls_config(tls).unwrap()).await
    }

    async fn start_on(mut builder: tonic::transport::Server) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, streams) = mpsc::channel(16);
        let service = AggregatedDiscoveryServiceServer::new(Service { streams: sender });
        let serving = builder.add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, streams, task }
    }

    pub(super) async fn accept(&mut self) -> Stream {
        tokio::time::timeout(DEADLINE, self.streams.recv()).await.expect("a client in time").unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stream {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) async fn receive(&mut self) -> DeltaDiscoveryRequest {
        let mut request = self.next().await.expect("a request, not the end");
        if let Some(node) = request.node.take() {
            assert!(self.node.is_none(), "the node comes once");
            self.node = Some(node);
        }
        request
    }

    pub(super) async fn expect(&mut self, kind: ResourceType) -> DeltaDiscoveryRequest {
        let request = self.receive().await;
        assert_eq!(request.type_url, kind.type_url(), "{request:?}");
        request
    }

    pub(super) async fn expect_ack(&mut self, kind: ResourceType) {
        let request = self.expect(kind).await;
        assert!(!request.response_nonce.is_empty() && request.error_detail.is_none(), "{request:?}");
    }

    /// What has arrived, until nothing does for a moment.
    pub(super) async fn unanswered(&mut self) -> Vec<DeltaDiscoveryRequest> {
        let mut requests = Vec::new();
        while let Ok(request) = tokio::time::timeout(Duration::from_millis(100), self.receive()).await {
            requests.push(request);
        }
        requests
    }

    /// Returns the nonce.
    pub(super) async fn send(&mut self, kind: ResourceType, resources: &[Received]) -> String {
        let resource = |received: &Received| Resource {
            name: received.name.to_string(),
            resource: Some(xds_api::Any { type_url: kind.type_url().to_owned(), value: received.body.clone() }),
            ..Resource::default()
        };
        self.send_as(kind.type_url(), resources.iter().map(resource).collect()).await;
        self.last_nonce.clone()
    }

    pub(super) async fn send_as(&mut self, type_url: &str, resources: Vec<Resource>) {
        let response = DeltaDiscoveryResponse { type_url: type_url.to_owned(), resources, ..self.response() };
        self.responses.send(Ok(response)).await.unwrap();
    }

    pub(super) async fn send_removal(&mut self, kind: ResourceType, name: &str) {
        let removed_resources = vec![name.to_owned()];
        let response =
            DeltaDiscoveryResponse { type_url: kind.type_url().to_owned(), removed_resources, ..self.response() };
        self.responses.send(Ok(response)).await.unwrap();
    }

    pub(super) fn refuse(self, status: Status) {
        self.responses.try_send(Err(status)).unwrap();
    }

    /// Whether the client ends the stream.
    pub(super) async fn is_over(&mut self) -> bool {
        while let Some(_request) = self.next().await {}
        true
    }

    async fn next(&mut self) -> Option<DeltaDiscoveryRequest> {
        let message = tokio::time::timeout(DEADLINE, self.requests.message()).await.expect("a request in time");
        message.ok().flatten()
    }

    fn response(&mut self) -> DeltaDiscoveryResponse {
        self.nonces += 1;
        self.last_nonce = format!("nonce {}", self.nonces);
        DeltaDiscoveryResponse {
            nonce: self.last_nonce.clone(),
            system_version_info: "version".to_owned(),
            ..DeltaDiscoveryResponse::default()
        }
    }
}

/// A certificate for one name, and the root that vouches for it.
pub(super) fn certificate_for(name: &str) -> (Identity, String) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    (Identity::from_pem(leaf.pem(), key.serialize_pem()), root_pem)
}

struct Service {
    streams: mpsc::Sender<Stream>,
}

type Responses<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("incremental only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (responses, receiver) = mpsc::channel(64);
        let (headers, _, requests) = request.into_parts();
        let stream = Stream { headers, requests, responses, node: None, nonces: 0, last_nonce: String::new() };
        self.streams.send(stream).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
