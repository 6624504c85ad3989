use std::collections::HashMap;
use std::io;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use rustls::{ClientConnection, Connection, ServerConnection};
use xds_model::matcher::{StringMatcher, StringPattern};
use xds_model::tls::{DownstreamTls, SanMatcher, SecretServer, TlsParameters, TlsVersion, UpstreamTls, Validation};

use super::alternative_names::AlternativeNames;
use super::*;

/// Secrets in a map.
#[derive(Default)]
struct Fixed(HashMap<String, Arc<SecretContent>>);

impl Secrets for Fixed {
    fn secret(&self, reference: &SecretReference) -> Option<Arc<SecretContent>> {
        self.0.get(&reference.name).cloned()
    }
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn content(&self) -> Arc<SecretContent> {
        let certificates = self.0.pem().into_bytes().into();
        Arc::new(SecretContent::Authorities(CertificateAuthorities { certificates, crl: Default::default() }))
    }

    fn issue(&self, names: Vec<SanType>) -> Arc<SecretContent> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Arc::new(SecretContent::Certificate(TlsCertificate {
            chain: certificate.pem().into_bytes().into(),
            private_key: key.serialize_pem().into_bytes().into(),
            ocsp_staple: Default::default(),
        }))
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.to_owned().try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.to_owned().try_into().unwrap())
}

fn reference(name: &str) -> SecretReference {
    SecretReference { name: name.to_owned(), server: SecretServer::Ads }
}

fn trust(name: &str) -> Validation {
    Validation { authorities: Some(AuthoritySource::Secret(reference(name))), ..Validation::default() }
}

fn exact(value: &str) -> SanMatcher {
    SanMatcher {
        kind: None,
        value: StringMatcher { pattern: StringPattern::Exact(value.to_owned()), ignore_case: false },
    }
}

fn downstream(validation: Option<Validation>, mandatory: bool) -> DownstreamTls {
    DownstreamTls {
        certificates: vec![CertificateSource::Secret(reference("server"))],
        validation,
        require_client_certificate: mandatory,
        parameters: TlsParameters::default(),
        alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
    }
}

fn upstream(validation: Option<Validation>, with_certificate: bool) -> UpstreamTls {
    UpstreamTls {
        sni: Some("shop.example.com".to_owned()),
        auto_sni: false,
        auto_san_validation: false,
        certificates: if with_certificate { vec![CertificateSource::Secret(reference("client"))] } else { Vec::new() },
        validation,
        parameters: TlsParameters::default(),
        alpn: vec!["istio-peer-exchange".to_owned(), "istio".to_owned(), "http/1.1".to_owned()],
    }
}

fn secrets() -> Fixed {
    let ours = Authority::new("ours");
    let foreign = Authority::new("foreign");
    Fixed(HashMap::from([
        ("ours".to_owned(), ours.content()),
        ("foreign".to_owned(), foreign.content()),
        ("server".to_owned(), ours.issue(vec![dns("*.example.com"), uri("spiffe://cluster.local/ns/shop/sa/web")])),
        ("client".to_owned(), ours.issue(vec![uri("spiffe://cluster.local/ns/edge/sa/gateway")])),
    ]))
}

/// Shakes hands in memory. Returns what each side says.
fn handshake(
    server: &ServerTls,
    client: &ClientTls,
) -> (Result<ServerConnection, rustls::Error>, Result<ClientConnection, rustls::Error>) {
    let Connection::Client(mut client) = client.session(b"", client.protocols().to_vec()).unwrap() else {
        panic!("a client starts client sessions")
    };
    let Connection::Server(mut server) = server.session().unwrap() else { panic!("a server starts server sessions") };
    for _ in 0..10 {
        let to_server = outgoing(|sink| client.write_tls(sink));
        let failed_server =
            server.read_tls(&mut to_server.as_slice()).err().is_some() || server.process_new_packets().is_err();
        let to_client = outgoing(|sink| server.write_tls(sink));
        let client_result = match client.read_tls(&mut to_client.as_slice()) {
            Ok(_) => client.process_new_packets().map(drop),
            Err(error) => Err(rustls::Error::General(error.to_string())),
        };
        if failed_server || client_result.is_err() {
            let to_server = outgoing(|sink| client.write_tls(sink));
            let _ = server.read_tls(&mut to_server.as_slice());
            return (server.process_new_packets().map(drop).map(|()| server), client_result.map(|()| client));
        }
    }
    (Ok(server), Ok(client))
}

fn outgoing(mut write: impl FnMut(&mut Vec<u8>) -> io::Result<usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while write(&mut bytes).unwrap() > 0 {}
    bytes
}

fn build(model: &DownstreamTls, secrets: &Fixed) -> ServerTls {
    ServerTls::build(model, secrets, &SessionTickets::new().unwrap()).unwrap()
}

#[test]
fn a_client_that_trusts_our_authority_is_served_and_agrees_on_http_1() {
    let secrets = secrets();
    let (server, client) = handshake(
        &build(&downstream(None, false), &secrets),
        &ClientTls::prepare(&upstream(Some(trust("ours")), false), &secrets).unwrap(),
    );
    let server = server.unwrap();
    assert_eq!(server.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(server.server_name(), Some("shop.example.com"));
    client.unwrap();
}

#[test]
fn peer_exchange_is_never_offered() {
    let secrets = secrets();
    let client = ClientTls::prepare(&upstream(None, false), &secrets).unwrap();
    assert_eq!(client.protocols(), [b"istio".to_vec(), b"http/1.1".to_vec()]);
}

#[test]
fn a_server_of_a_foreign_authority_is_refused() {
    let secrets = secrets();
    let client = ClientTls::prepare(&upstream(Some(trust("foreign")), false), &secrets).unwrap();
    let (_, client) = handshake(&build(&downstream(None, false), &secrets), &client);
    assert!(matches!(client, Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))));
}

#[test]
fn a_server_with_another_identity_is_refused() {
    let secrets = secrets();
    let validation = |name: &str| Validation { subject_alt_names: vec![exact(name)], ..trust("ours") };
    for (wanted, accepted) in [
        ("spiffe://cluster.local/ns/shop/sa/web", true),
        ("shop.example.com", true),
        ("spiffe://cluster.local/ns/shop/sa/other", false),
        ("a.shop.example.com", false),
    ] {
        let client = ClientTls::prepare(&upstream(Some(validation(wanted)), false), &secrets).unwrap();
        let (_, client) = handshake(&build(&downstream(None, false), &secrets), &client);
        assert_eq!(client.is_ok(), accepted, "{wanted}");
    }
}

#[test]
fn a_client_certificate_is_demanded_and_checked() {
    let mut secrets = secrets();
    let server = build(&downstream(Some(trust("ours")), true), &secrets);
    let with = ClientTls::prepare(&upstream(Some(trust("ours")), true), &secrets).unwrap();
    let without = ClientTls::prepare(&upstream(Some(trust("ours")), false), &secrets).unwrap();
    assert!(handshake(&server, &with).0.unwrap().peer_certificates().is_some());
    assert!(matches!(handshake(&server, &without).0, Err(rustls::Error::NoCertificatesPresented)));

    let stranger = Authority::new("stranger").issue(vec![uri("spiffe://cluster.local/ns/edge/sa/gateway")]);
    secrets.0.insert("client".to_owned(), stranger);
    let foreign = ClientTls::prepare(&upstream(Some(trust("ours")), true), &secrets).unwrap();
    assert!(matches!(handshake(&server, &foreign).0, Err(rustls::Error::InvalidCertificate(_))));
}

#[test]
fn an_optional_client_certificate_may_be_missing_but_not_wrong() {
    let mut secrets = secrets();
    let server = build(&downstream(Some(trust("ours")), false), &secrets);
    let without = ClientTls::prepare(&upstream(Some(trust("ours")), false), &secrets).unwrap();
    assert!(handshake(&server, &without).0.unwrap().peer_certificates().is_none());
    secrets.0.insert("client".to_owned(), Authority::new("stranger").issue(vec![dns("x.example.com")]));
    let foreign = ClientTls::prepare(&upstream(Some(trust("ours")), true), &secrets).unwrap();
    assert!(handshake(&server, &foreign).0.is_err());
}

#[test]
fn a_missing_secret_is_waited_for_and_a_bad_one_is_named() {
    let mut secrets = secrets();
    let tickets = SessionTickets::new().unwrap();
    let server = secrets.0.remove("server").unwrap();
    let error = ServerTls::build(&downstream(None, false), &secrets, &tickets).unwrap_err();
    assert_eq!(error, TlsError::Waiting("server".to_owned()));

    let SecretContent::Certificate(good) = &*server else { panic!("the fixture is a certificate") };
    let other_key = KeyPair::generate().unwrap().serialize_pem().into_bytes();
    let mixed = TlsCertificate { private_key: other_key.into(), ..good.clone() };
    secrets.0.insert("server".to_owned(), Arc::new(SecretContent::Certificate(mixed)));
    let error = ServerTls::build(&downstream(None, false), &secrets, &tickets).unwrap_err();
    assert_eq!(error.to_string(), "server: the private key does not belong to the certificate");
}

#[test]
fn client_certificates_without_an_authority_are_refused_at_configuration_time() {
    let secrets = secrets();
    let tickets = SessionTickets::new().unwrap();
    for (validation, what) in
        [(Some(Validation::default()), "validation_context"), (None, "require_client_certificate")]
    {
        let error = ServerTls::build(&downstream(validation, true), &secrets, &tickets).unwrap_err();
        assert!(error.to_string().starts_with(what), "{error}");
    }
}

#[test]
fn versions_suites_and_groups_are_narrowed_by_name() {
    let secrets = secrets();
    let mut model = downstream(None, false);
    model.parameters = TlsParameters { maximum: Some(TlsVersion::V1_2), ..TlsParameters::default() };
    let mut modern = upstream(None, false);
    modern.parameters.minimum = Some(TlsVersion::V1_3);
    assert!(handshake(&build(&model, &secrets), &ClientTls::prepare(&modern, &secrets).unwrap()).0.is_err());

    model.parameters.cipher_suites = vec!["AES128-SHA".to_owned()];
    let error = ServerTls::build(&model, &secrets, &SessionTickets::new().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "tls_params.cipher_suites: `AES128-SHA` is not supported");
}

#[test]
fn names_of_a_certificate_are_told_as_envoy_tells_them() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Shop, Inc.");
    params.distinguished_name.push(DnType::CommonName, "client");
    params.subject_alt_names = vec![dns("a.example.com"), uri("spiffe://x/ns/a/sa/b")];
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let facts = certificate_facts(&[certificate.der().clone()]).unwrap();
    assert_eq!(facts.subject, "CN=client,O=Shop\\, Inc.");
    assert_eq!(facts.dns_names, ["a.example.com"]);
    assert_eq!(facts.uri_names, ["spiffe://x/ns/a/sa/b"]);
    assert_eq!(facts.sha256.len(), 64);
    let names = AlternativeNames::of(certificate.der());
    assert!(names.cover_host("A.example.com"));
    assert!(!names.cover_host("b.example.com"));
}
