//! Istio's `Gateway`: ports to listen on, and the TLS of each.

use std::collections::BTreeMap;

use crate::load::field::Fields;
use crate::mesh::protocol::Protocol;
use crate::object::metadata::Metadata;
use crate::problem::Place;

/// A gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) metadata: Metadata,
    /// Labels of the gateway process; absent means any.
    pub(crate) selector: Option<BTreeMap<String, String>>,
    pub(crate) servers: Vec<Server>,
}

/// One port with its hosts.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) port: u32,
    pub(crate) port_name: String,
    pub(crate) protocol: Protocol,
    /// The protocol as the file spells it; servers of the same port are told apart by it.
    pub(crate) protocol_text: String,
    /// Address to bind; empty for all.
    pub(crate) bind: String,
    /// `host`, `namespace/host` or `*/host`; a host may begin with `*.` or be `*`.
    pub(crate) hosts: Vec<String>,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) place: Place,
}

/// What the gateway does with TLS.
#[derive(Clone, Debug)]
pub(crate) struct ServerTls {
    pub(crate) mode: ServerTlsMode,
    pub(crate) https_redirect: bool,
    /// Secrets with the certificate; two of them for RSA and ECDSA.
    pub(crate) credential_names: Vec<String>,
    /// The secret with the authority of client certificates, if it is not that of the certificate.
    pub(crate) ca_credential_name: String,
    pub(crate) certificates: Vec<CertificateFiles>,
    pub(crate) ca_certificates: String,
    pub(crate) ca_crl: String,
    pub(crate) subject_alt_names: Vec<String>,
    pub(crate) verify_certificate_spki: Vec<String>,
    pub(crate) verify_certificate_hash: Vec<String>,
    pub(crate) minimum_version: TlsVersion,
    pub(crate) maximum_version: TlsVersion,
    pub(crate) cipher_suites: Vec<String>,
    /// Client certificates are taken without checking them.
    pub(crate) insecure_skip_verify: bool,
    pub(crate) place: Place,
}

/// Paths of a certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: String,
    pub(crate) private_key: String,
}

/// `ServerTLSSettings.TLSmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerTlsMode {
    Passthrough,
    Simple,
    Mutual,
    OptionalMutual,
    IstioMutual,
}

impl ServerTlsMode {
    /// TLS ends somewhere behind the gateway.
    pub(crate) fn is_passthrough(self) -> bool {
        self == Self::Passthrough
    }
}

/// `ServerTLSSettings.TLSProtocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    #[default]
    Auto,
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

impl Server {
    /// HTTP, in the clear or with TLS that ends here.
    pub(crate) fn is_http(&self) -> bool {
        self.protocol.is_http() || self.is_terminated_https()
    }

    /// HTTPS that ends here.
    pub(crate) fn is_terminated_https(&self) -> bool {
        self.protocol == Protocol::Https && self.tls.as_ref().is_some_and(|tls| !tls.mode.is_passthrough())
    }

    /// TLS in any way, other than a redirect from HTTP to it.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some() && !self.protocol.is_http()
    }

    pub(crate) fn redirects_to_https(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.https_redirect)
    }
}

pub(super) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<Gateway> {
    fields.required("spec")?.object(|fields| {
        let selector = fields.get("selector").and_then(|value| value.map(|value| value.string()));
        let servers = fields.objects("servers", server);
        fields.require_elements("servers");
        Gateway { metadata, selector, servers }
    })
}

fn server(fields: &mut Fields<'_>) -> Option<Server> {
    let place = fields.place();
    fields.unsupported(&["defaultEndpoint"]);
    let port = fields.required("port").and_then(|value| value.try_object(port));
    let hosts = fields.strings("hosts");
    fields.require_elements("hosts");
    let tls = fields.object("tls", server_tls);
    let (name, bind) = (fields.string("name"), fields.string("bind"));
    let (number, port_name, protocol, protocol_text) = port?;
    let server = Server { name, port: number, port_name, protocol, protocol_text, bind, hosts, tls, place };
    check(fields, &server);
    Some(server)
}

fn check(fields: &Fields<'_>, server: &Server) {
    for host in &server.hosts {
        let (namespace, name) = host.split_once('/').unwrap_or(("*", host));
        let name_is_good = name == "*" || !name.strip_prefix("*.").unwrap_or(name).contains(['*', '/']);
        if namespace.is_empty() || name.is_empty() || !name_is_good {
            fields.error(format!("hosts: {host} is not a host name, *.suffix or *"));
        }
    }
    match (&server.tls, server.protocol) {
        (None, Protocol::Https | Protocol::Tls) => {
            fields.error(format!("tls is missing, and {} needs it", server.protocol_text));
        }
        (Some(tls), protocol) if tls.https_redirect && !protocol.is_http() => {
            fields.error("tls.httpsRedirect is only for servers of protocol HTTP");
        }
        _ => {}
    }
    if server.protocol == Protocol::Unsupported {
        fields.error(format!(
            "port.protocol: {} is not one of HTTP, HTTPS, HTTP2, GRPC, GRPC-Web, TCP, TLS",
            server.protocol_text
        ));
    }
}

fn port(fields: &mut Fields<'_>) -> Option<(u32, String, Protocol, String)> {
    let number = fields.required("number").and_then(|value| value.port());
    let name = fields.required("name").and_then(|value| value.string());
    let protocol = fields.required("protocol").and_then(|value| value.string());
    // Gateways ignore it (Port.target_port is deprecated there).
    fields.ignore(&["targetPort"]);
    let protocol = protocol?;
    Some((number?, name?, Protocol::parse(&protocol), protocol))
}

fn server_tls(fields: &mut Fields<'_>) -> ServerTls {
    let place = fields.place();
    let mode = fields.get("mode").and_then(|value| value.choice(MODES)).unwrap_or(ServerTlsMode::Passthrough);
    let mut certificates = fields.objects("tlsCertificates", |fields| {
        fields.unsupported(&["caCertificates"]);
        let certificate = fields.required("serverCertificate")?.string()?;
        Some(CertificateFiles { certificate, private_key: fields.required("privateKey")?.string()? })
    });
    let (certificate, private_key) = (fields.string("serverCertificate"), fields.string("privateKey"));
    if !certificate.is_empty() || !private_key.is_empty() {
        certificates.push(CertificateFiles { certificate, private_key });
    }
    let credential_name = fields.string("credentialName");
    let mut credential_names = fields.strings("credentialNames");
    if credential_names.is_empty() && !credential_name.is_empty() {
        credential_names.push(credential_name);
    }
    let version = |fields: &mut Fields<'_>, name| fields.get(name).and_then(|value| value.choice(VERSIONS));
    let tls = ServerTls {
        mode,
        https_redirect: fields.bool("httpsRedirect").unwrap_or(false),
        credential_names,
        ca_credential_name: fields.string("caCertCredentialName"),
        certificates,
        ca_certificates: fields.string("caCertificates"),
        ca_crl: fields.string("caCrl"),
        subject_alt_names: fields.strings("subjectAltNames"),
        verify_certificate_spki: fields.strings("verifyCertificateSpki"),
        verify_certificate_hash: fields.strings("verifyCertificateHash"),
        minimum_version: version(fields, "minProtocolVersion").unwrap_or_default(),
        maximum_version: version(fields, "maxProtocolVersion").unwrap_or_default(),
        cipher_suites: fields.strings("cipherSuites"),
        insecure_skip_verify: fields.bool("insecureSkipVerify").unwrap_or(false),
        place,
    };
    let needs_certificate =
        matches!(mode, ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
    if needs_certificate && tls.credential_names.is_empty() && tls.certificates.is_empty() {
        fields.error("this mode needs credentialName, or serverCertificate and privateKey");
    }
    tls
}

const MODES: &[(&str, ServerTlsMode)] = &[
    ("PASSTHROUGH", ServerTlsMode::Passthrough),
    ("SIMPLE", ServerTlsMode::Simple),
    ("MUTUAL", ServerTlsMode::Mutual),
    ("OPTIONAL_MUTUAL", ServerTlsMode::OptionalMutual),
    ("ISTIO_MUTUAL", ServerTlsMode::IstioMutual),
];

const VERSIONS: &[(&str, TlsVersion)] = &[
    ("TLS_AUTO", TlsVersion::Auto),
    ("TLSV1_0", TlsVersion::V1_0),
    ("TLSV1_1", TlsVersion::V1_1),
    ("TLSV1_2", TlsVersion::V1_2),
    ("TLSV1_3", TlsVersion::V1_3),
];
