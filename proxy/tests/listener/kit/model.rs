//! Models as istiod's resources become them.

use std::path::Path;
use std::time::Duration;

use xds_model::access_log::{AccessLog, AccessLogSink, LogFormat};
use xds_model::format::Format;
use xds_model::listener::{FilterChain, TcpProxy, TerminalFilter};
use xds_model::secret::{CertificateAuthorities, Secret, SecretContent};
use xds_model::tls::{
    AuthoritySource, CertificateSource, DownstreamTls, SecretReference, SecretServer, TlsParameters, Validation,
};

use super::Issued;
use crate::shared::model::{filter_chain, weighted_clusters};

/// A chain for all connections that sends them to a cluster.
pub(crate) fn tcp_chain(cluster: &str) -> FilterChain {
    weighted(&[(cluster, 1)])
}

/// A chain for all connections that shares them out.
pub(crate) fn weighted(clusters: &[(&str, u32)]) -> FilterChain {
    filter_chain(TerminalFilter::Tcp(Box::new(TcpProxy {
        stat_prefix: "test".to_owned(),
        clusters: weighted_clusters(clusters),
        idle_timeout: Some(Duration::from_secs(3600)),
        max_downstream_connection_duration: None,
        hashes_source: false,
        access_log: Vec::new(),
    })))
}

/// A chain for TLS connections to these names, passed through.
pub(crate) fn passthrough(server_names: &[&str], cluster: &str) -> FilterChain {
    let mut chain = tcp_chain(cluster);
    chain.matches.server_names = server_names.iter().map(|name| (*name).to_owned()).collect();
    chain
}

/// TLS with the certificate `certificate`, a secret.
pub(crate) fn server_tls(certificate: &str) -> DownstreamTls {
    DownstreamTls {
        certificates: vec![CertificateSource::Secret(reference(certificate))],
        validation: None,
        require_client_certificate: false,
        parameters: TlsParameters::default(),
        alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
    }
}

/// Clients' certificates must be signed by `authority`, a secret.
pub(crate) fn trust(authority: &str) -> Validation {
    Validation { authorities: Some(AuthoritySource::Secret(reference(authority))), ..Validation::default() }
}

/// Authorities as a secret.
pub(crate) fn secret(name: &str, authorities: String) -> Secret {
    let certificates = authorities.into_bytes().into();
    let content = SecretContent::Authorities(CertificateAuthorities { certificates, crl: Default::default() });
    Secret { name: name.to_owned(), content }
}

/// A certificate as a secret.
pub(crate) fn certificate_secret(name: &str, issued: &Issued) -> Secret {
    Secret { name: name.to_owned(), content: SecretContent::Certificate(issued.as_secret()) }
}

/// A text log into a file.
pub(crate) fn log_to(path: &Path, format: &str) -> AccessLog {
    AccessLog {
        sink: AccessLogSink::File {
            path: path.to_str().unwrap().to_owned(),
            format: LogFormat::Text(Format::parse(&format!("{format}\n")).unwrap()),
        },
        filter: None,
    }
}

fn reference(name: &str) -> SecretReference {
    SecretReference { name: name.to_owned(), server: SecretServer::Ads }
}
