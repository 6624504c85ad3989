//! Names of nodes, as certificates have them.

use std::fmt;

use rustls::pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::node::Peer;

/// The longest name of an edge, a hub, a tenant or an overlay: that of a DNS label (RFC 1035), as it becomes part of object names.
const MAX_NAME: usize = 63;

/// A name that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Not the name of an edge or a hub.
    #[error("{0:?} is not spiffe://<overlay>/<tenant>/edge/<name> or spiffe://<overlay>/hub/<name>")]
    NotOurs(String),
    /// Of another overlay.
    #[error("{0:?} belongs to overlay {1:?}, not to {2:?}")]
    OtherOverlay(String, String, String),
    /// The certificate does not have exactly one URI.
    #[error("a certificate with {0} URIs: exactly one is wanted")]
    NotOne(usize),
    /// It cannot be read.
    #[error("an unreadable certificate: {0}")]
    Unreadable(String),
}

/// Whether something may be the name of a node, a tenant or an overlay: lower-case letters, digits, dots and hyphens, 1 to 63 of them, letters and digits
/// at both ends.
pub fn is_name(text: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=MAX_NAME).contains(&bytes.len())
        && bytes.iter().all(|byte| is_plain(byte) || matches!(byte, b'-' | b'.'))
        && bytes.first().is_some_and(is_plain)
        && bytes.last().is_some_and(is_plain)
}

/// Whether something is one label of DNS (RFC 1123), as Kubernetes wants it of the names of namespaces and ports.
pub fn is_label(text: &str) -> bool {
    is_name(text) && !text.contains('.')
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge { name, tenant } => write!(formatter, "edge {name} of tenant {tenant}"),
            Self::Hub { name } => write!(formatter, "hub {name}"),
        }
    }
}

impl Peer {
    /// As the URI of a certificate.
    pub fn uri(&self, overlay: &str) -> String {
        match self {
            Self::Edge { name, tenant } => format!("spiffe://{overlay}/{tenant}/edge/{name}"),
            Self::Hub { name } => format!("spiffe://{overlay}/hub/{name}"),
        }
    }

    /// Of the URI of a certificate.
    ///
    /// # Errors
    /// It is not one of ours.
    pub fn of_uri(uri: &str, overlay: &str) -> Result<Self, NameError> {
        let not_ours = || NameError::NotOurs(uri.to_owned());
        let parts: Vec<&str> = uri.strip_prefix("spiffe://").ok_or_else(not_ours)?.split('/').collect();
        if !parts.iter().all(|part| is_name(part)) {
            return Err(not_ours());
        }
        let (theirs, peer) = match parts.as_slice() {
            [theirs, tenant, "edge", name] => (theirs, Self::Edge { name: (*name).into(), tenant: (*tenant).into() }),
            [theirs, "hub", name] => (theirs, Self::Hub { name: (*name).into() }),
            _ => return Err(not_ours()),
        };
        if *theirs != overlay {
            return Err(NameError::OtherOverlay(uri.into(), (*theirs).into(), overlay.into()));
        }
        Ok(peer)
    }

    /// Of a certificate, whoever signed it.
    ///
    /// # Errors
    /// It says nothing of the kind.
    pub fn of_certificate(certificate: &CertificateDer<'_>, overlay: &str) -> Result<Self, NameError> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| NameError::Unreadable(error.to_string()))?;
        let names = parsed.subject_alternative_name().map_err(|error| NameError::Unreadable(error.to_string()))?;
        let uris: Vec<&str> = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
            .collect();
        match uris.as_slice() {
            [uri] => Self::of_uri(uri, overlay),
            _ => Err(NameError::NotOne(uris.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nodes_are_read_as_they_are_written() {
        let edge = Peer::Edge { name: "store-7".into(), tenant: "acme".into() };
        let hub = Peer::Hub { name: "hub.eu".into() };
        assert_eq!(edge.uri("mesh.example"), "spiffe://mesh.example/acme/edge/store-7");
        for peer in [edge, hub] {
            assert_eq!(Peer::of_uri(&peer.uri("mesh.example"), "mesh.example"), Ok(peer.clone()));
            assert!(matches!(Peer::of_uri(&peer.uri("other"), "mesh.example"), Err(NameError::OtherOverlay(..))));
        }
    }

    #[test]
    fn whatever_else_is_no_name() {
        for uri in [
            "https://o/t/edge/e",
            "spiffe://o/t/edge/",
            "spiffe://o/t/edge/e/f",
            "spiffe://o//edge/e",
            "spiffe://o/t/edge/E",
            "spiffe://o/t/edge/../x",
            "spiffe://o/t/edge/e%2f",
            "spiffe://o/t/hub/h",
            "spiffe://o/hub",
            "spiffe://o/hub/-h",
        ] {
            assert_eq!(Peer::of_uri(uri, "o"), Err(NameError::NotOurs(uri.into())));
        }
    }
}
