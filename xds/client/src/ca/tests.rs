use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair, SanType};
use tonic::{Request, Response, Status};
use xds_api::istio::v1::auth::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};
use xds_api::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = parameters.self_signed(&key).unwrap();
    (Issuer::new(parameters, key), certificate.pem())
}

fn leaf(authority: &Issuer<'static, KeyPair>, key: &KeyPair, not_after: SystemTime) -> String {
    let mut parameters = CertificateParams::default();
    parameters.subject_alt_names = vec![SanType::URI("spiffe://cluster.local/ns/edge/sa/web".try_into().unwrap())];
    parameters.not_after = not_after.into();
    parameters.signed_by(key, authority).unwrap().pem()
}

fn certificates(pem: &str) -> usize {
    pem.matches("-----BEGIN CERTIFICATE-----").count()
}

#[test]
fn the_last_element_holds_the_roots() {
    let (now, key) = (SystemTime::now(), KeyPair::generate().unwrap());
    let (authority, root) = authority();
    let (_, second_root) = self::authority();
    let answer = [leaf(&authority, &key, now + DAY), root.clone(), format!("{root}\n{second_root}")];
    let identity = issue::accept(&answer, &key, &mut Roots::default(), now).unwrap();
    assert_eq!((certificates(&identity.chain), certificates(&identity.roots)), (2, 2));
    assert_eq!(identity.spiffe_id.as_deref(), Some("spiffe://cluster.local/ns/edge/sa/web"));
    assert!(identity.not_after > now + DAY - Duration::from_secs(2) && identity.not_after <= now + DAY);
    assert!(!format!("{identity:?}").contains("PRIVATE"));
}

#[test]
fn old_roots_are_trusted_until_certificates_under_them_have_expired() {
    let (now, key) = (SystemTime::now(), KeyPair::generate().unwrap());
    let (old, old_root) = authority();
    let (new, new_root) = authority();
    let mut roots = Roots::default();
    let mut issue_at = |authority, root: &String, now: SystemTime| {
        let answer = [leaf(authority, &key, now + DAY), root.clone()];
        issue::accept(&answer, &key, &mut roots, now).unwrap().roots
    };
    assert_eq!(certificates(&issue_at(&old, &old_root, now)), 1);
    assert_eq!(certificates(&issue_at(&new, &new_root, now + DAY / 2)), 2);
    assert_eq!(certificates(&issue_at(&new, &new_root, now + DAY + Duration::from_secs(5))), 1);
}

#[test]
fn answers_that_are_no_use_are_refused() {
    let (now, key) = (SystemTime::now(), KeyPair::generate().unwrap());
    let (authority, root) = authority();
    let good = leaf(&authority, &key, now + DAY);
    let stranger = leaf(&authority, &KeyPair::generate().unwrap(), now + DAY);
    let expired = leaf(&authority, &key, now - DAY);
    for (answer, expected) in [
        (vec![], "0 elements"),
        (vec![good.clone()], "1 elements"),
        (vec!["x".to_owned(), root.clone()], "is not PEM"),
        (vec![stranger, root.clone()], "another key"),
        (vec![expired, root], "has expired"),
        (vec![good.clone(), String::new()], "no root certificate"),
        (vec![good, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()], "a root certificate"),
    ] {
        let reason = issue::accept(&answer, &key, &mut Roots::default(), now).unwrap_err();
        assert!(reason.contains(expected), "{reason:?} does not say {expected:?}");
    }
}

#[test]
fn rotation_is_at_half_of_the_life() {
    let now = SystemTime::now();
    let identity = |left| Identity {
        chain: String::new(),
        key: String::new(),
        roots: String::new(),
        spiffe_id: None,
        not_before: now,
        not_after: now + left,
    };
    for _ in 0..100 {
        let wait = until_rotation(&identity(DAY), now);
        assert!(wait >= DAY.mul_f64(0.489) && wait <= DAY.mul_f64(0.511), "{wait:?}");
    }
    assert_eq!(until_rotation(&identity(Duration::ZERO), now), SHORTEST_ROTATION);
}

/// Signs what it is asked to, with certificates that live for 4 s, but for the first call.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
    calls: AtomicUsize,
}

#[tonic::async_trait]
impl IstioCertificateService for Authority {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if authorization != Some("Bearer token") {
            return Err(Status::unauthenticated("who are you?"));
        }
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(Status::unavailable("not ready"));
        }
        let request = request.into_inner();
        assert_eq!(request.validity_duration, 24 * 60 * 60);
        let mut csr = CertificateSigningRequestParams::from_pem(&request.csr).unwrap();
        let wanted = SanType::URI("spiffe://cluster.local/ns/edge/sa/web".try_into().unwrap());
        assert_eq!(csr.params.subject_alt_names, [wanted]);
        csr.params.not_after = (SystemTime::now() + Duration::from_secs(4)).into();
        let leaf = csr.signed_by(&self.issuer).unwrap().pem();
        Ok(Response::new(IstioCertificateResponse { cert_chain: vec![leaf, self.root.clone()] }))
    }
}

#[tokio::test]
async fn certificates_are_fetched_and_rotated() {
    let (issuer, root) = authority();
    let service = IstioCertificateServiceServer::new(Authority { issuer, root, calls: AtomicUsize::new(0) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));

    let token = tempfile::NamedTempFile::new().unwrap();
    let control_plane = ControlPlane {
        address,
        tls: None,
        token_file: Some(token.path().to_owned()),
        cluster_id: "Kubernetes".to_owned(),
    };
    let spiffe_id =
        SpiffeId { trust_domain: "cluster.local".into(), namespace: "edge".into(), service_account: "web".into() };
    let mut options = CaOptions::new(control_plane, spiffe_id);
    options.back_off_minimum = Duration::from_millis(10);
    options.back_off_maximum = Duration::from_millis(50);
    let (client, mut identities) = CertificateClient::spawn(options);
    while client.status().last_failure.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(client.status().last_failure.unwrap().contains("the token is empty"));
    std::fs::write(token.path(), "token\n").unwrap();

    let mut next = async || {
        let changed = tokio::time::timeout(Duration::from_secs(20), identities.changed()).await;
        changed.expect("an identity in time").unwrap();
        identities.borrow_and_update().clone().unwrap()
    };
    let (first, second) = (next().await, next().await);
    assert_ne!(first.key, second.key);
    assert_eq!(first.roots, second.roots);
    assert!(second.not_after > first.not_after);
    assert!(client.status().issued >= 2);
    server.abort();
}
