//! TLS on either side (`envoy.extensions.transport_sockets.tls.v3`).

pub(crate) mod wire;

use crate::matcher::StringMatcher;
use crate::secret::{CertificateAuthorities, TlsCertificate};

/// `DownstreamTlsContext`: we are the server.
#[derive(Clone, Debug, PartialEq)]
pub struct DownstreamTls {
    /// Our certificates; several for several key types.
    pub certificates: Vec<CertificateSource>,
    /// How a client's certificate is checked; `None` if none is asked for.
    pub validation: Option<Validation>,
    /// A client without a certificate is refused: so it is said, or there is a condition on the certificate.
    pub require_client_certificate: bool,
    /// Versions, suites and curves.
    pub parameters: TlsParameters,
    /// Protocols to agree on, best first.
    pub alpn: Vec<String>,
}

/// `UpstreamTlsContext`: we are the client.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamTls {
    /// Server name to ask for; `None` sends none.
    pub sni: Option<String>,
    /// Ask for the request's authority (`auto_sni` of the cluster).
    pub auto_sni: bool,
    /// Require the request's authority among the server's names (`auto_san_validation` of the cluster).
    pub auto_san_validation: bool,
    /// Our certificates; none means that we stay anonymous.
    pub certificates: Vec<CertificateSource>,
    /// How the server's certificate is checked; `None` accepts any, as Envoy does.
    pub validation: Option<Validation>,
    /// Versions, suites and curves.
    pub parameters: TlsParameters,
    /// Protocols to offer.
    pub alpn: Vec<String>,
}

/// `CertificateValidationContext`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// Whom we trust; `None` trusts nobody unless `accept_untrusted`.
    pub authorities: Option<AuthoritySource>,
    /// One of these must match one of the peer's names; empty accepts any name.
    pub subject_alt_names: Vec<SanMatcher>,
    /// SHA-256 of the leaf's SPKI, base64; any of them.
    pub spki: Vec<String>,
    /// SHA-256 of the leaf, hexadecimal, lower case without colons; any of them.
    pub hashes: Vec<String>,
    /// Accept any chain (`ACCEPT_UNTRUSTED`).
    pub accept_untrusted: bool,
}

/// A condition on one subject alternative name.
#[derive(Clone, Debug, PartialEq)]
pub struct SanMatcher {
    /// Kind of name; `None` for any kind.
    pub kind: Option<SanKind>,
    /// Its value.
    pub value: StringMatcher,
}

/// `SubjectAltNameMatcher.SanType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanKind {
    /// E-mail address.
    Email,
    /// DNS name.
    Dns,
    /// URI, as SPIFFE identities are.
    Uri,
    /// IP address.
    IpAddress,
}

/// Where one of our certificates comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateSource {
    /// A secret by name.
    Secret(SecretReference),
    /// In the configuration itself.
    Inline(Box<TlsCertificate>),
}

/// Where certificate authorities come from.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthoritySource {
    /// A secret by name.
    Secret(SecretReference),
    /// In the configuration itself.
    Inline(Box<CertificateAuthorities>),
}

/// `SdsSecretConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretReference {
    /// Name, such as `kubernetes://default/web`, `default`, `ROOTCA` or `file-cert:<cert>~<key>`.
    pub name: String,
    /// Who serves it.
    pub server: SecretServer,
}

/// Who answers for a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretServer {
    /// The control plane, over ADS.
    Ads,
    /// This process: what Istio's agent serves on `sds-grpc` (workload identity and files).
    Agent,
}

/// `TlsParameters`; empty lists and `None` leave the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsParameters {
    /// Lowest version.
    pub minimum: Option<TlsVersion>,
    /// Highest version.
    pub maximum: Option<TlsVersion>,
    /// OpenSSL names, TLS 1.2 only.
    pub cipher_suites: Vec<String>,
    /// Groups for key exchange.
    pub curves: Vec<String>,
}

/// Versions that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}
