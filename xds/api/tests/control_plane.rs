//! The connection to a control plane, against one made of the generated server stubs.

// Clippy sees only the test functions themselves as tests, not their helpers.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use xds_api::channel::{Destination, Roots, Tls, connect};
use xds_api::envoy::config::listener::v3::Listener;
use xds_api::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use xds_api::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use xds_api::istio::v1::auth::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};
use xds_api::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};
use xds_api::{Any, Credentials, ads, ca, type_url};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_push_larger_than_the_usual_limit_arrives_over_plaintext() {
    let address = start(None).await;
    let channel = connect(&Destination { address: address.to_string(), tls: None }).await.unwrap();
    let responses = ads::open_delta_stream(channel, metadata(), one_request()).await;
    let response = tokio::time::timeout(DEADLINE, responses.unwrap().message()).await.unwrap().unwrap().unwrap();

    assert_eq!(response.nonce, "Bearer token of k8s-1");
    let listener: Listener = xds_api::decode(response.resources[0].resource.as_ref().unwrap()).unwrap();
    assert_eq!(listener.name.len(), PUSH_BYTES);
}

#[tokio::test]
async fn tls_verifies_the_server_by_the_name_given() {
    let authority = Authority::new();
    let address = start(Some(authority.server_tls("istiod.test"))).await;

    let mut tls = Tls { roots: authority.roots(), server_name: Some("istiod.test".into()) };
    let channel = connect(&destination(address, &tls)).await.unwrap();
    let request = IstioCertificateRequest { csr: "csr".into(), validity_duration: 86_400, ..Default::default() };
    let chain = ca::create_certificate(channel, metadata(), request).await.unwrap();
    assert_eq!(chain, ["csr for 86400 s, Bearer token of k8s-1", "root"]);

    tls.server_name = Some("other.test".into());
    let error = connect(&destination(address, &tls)).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("connecting to {address}: ")), "{error}");
    assert!(error.contains("other.test"), "{error}");
}

#[tokio::test]
async fn a_server_nobody_we_trust_vouches_for_is_refused() {
    let address = start(Some(Authority::new().server_tls("istiod.test"))).await;
    let stranger = Authority::new();
    let tls = Tls { roots: stranger.roots(), server_name: Some("istiod.test".into()) };
    let error = connect(&destination(address, &tls)).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_a_clear_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = connect(&Destination { address: address.clone(), tls: None }).await.unwrap_err().to_string();
    assert!(error.contains(&address) && error.contains("refused"), "{error}");
}

#[test]
fn a_token_that_cannot_be_a_header_is_refused_and_never_printed() {
    let credentials = Credentials { token: Some("two\nlines".into()), cluster_id: None };
    assert!(credentials.metadata().is_err());
    assert!(!format!("{credentials:?}").contains("lines"));
}

/// More than the 4 MiB that gRPC libraries accept unless told otherwise.
const PUSH_BYTES: usize = 6 << 20;

struct ControlPlane;

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for ControlPlane {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("incremental only"))
    }

    /// Answers each request with one large listener, and says in the nonce who asked.
    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let caller = caller(&request);
        let answer = move |request: Result<DeltaDiscoveryRequest, Status>| {
            let listener = Listener { name: "x".repeat(PUSH_BYTES), ..Default::default() };
            let resource = Resource { resource: Some(Any::pack(&listener)), ..Default::default() };
            let type_url = request?.type_url;
            Ok(DeltaDiscoveryResponse {
                nonce: caller.clone(),
                type_url,
                resources: vec![resource],
                ..Default::default()
            })
        };
        Ok(Response::new(Box::pin(request.into_inner().map(answer))))
    }
}

#[tonic::async_trait]
impl IstioCertificateService for ControlPlane {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let caller = caller(&request);
        let request = request.into_inner();
        let leaf = format!("{} for {} s, {caller}", request.csr, request.validity_duration);
        Ok(Response::new(IstioCertificateResponse { cert_chain: vec![leaf, "root".into()] }))
    }
}

fn caller<T>(request: &Request<T>) -> String {
    let get = |name| request.metadata().get(name).unwrap().to_str().unwrap();
    format!("{} of {}", get("authorization"), get("clusterid"))
}

/// Starts a control plane; it ends with the test.
async fn start(tls: Option<ServerTlsConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).unwrap();
    }
    let router = server
        .add_service(AggregatedDiscoveryServiceServer::new(ControlPlane))
        .add_service(IstioCertificateServiceServer::new(ControlPlane));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

/// A certificate authority for one test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> Roots {
        Roots::Pem(self.0.pem().into_bytes())
    }

    fn server_tls(&self, name: &str) -> ServerTlsConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        ServerTlsConfig::new().identity(Identity::from_pem(certificate.pem(), key.serialize_pem()))
    }
}

fn destination(address: SocketAddr, tls: &Tls) -> Destination {
    Destination { address: address.to_string(), tls: Some(tls.clone()) }
}

fn metadata() -> tonic::metadata::MetadataMap {
    Credentials { token: Some("token".into()), cluster_id: Some("k8s-1".into()) }.metadata().unwrap()
}

/// Yields one request and then stays open.
fn one_request() -> impl Stream<Item = DeltaDiscoveryRequest> + Send + 'static {
    let request = DeltaDiscoveryRequest { type_url: type_url::LISTENER.into(), ..Default::default() };
    tokio_stream::iter([request]).chain(tokio_stream::pending())
}
