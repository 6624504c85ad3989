//! `x-forwarded-client-cert`: what the upstream is told of the client's certificate (Envoy, "x-forwarded-client-cert").

use h1::{Fields, Header};
use xds_model::http::{ForwardClientCert, ForwardClientCertMode};

use crate::worker::connection::{CertificateFacts, TlsFacts};

/// Applies `forward_client_cert_details`.
pub(super) fn apply(settings: ForwardClientCert, tls: Option<&TlsFacts>, fields: &mut Fields, scratch: &mut Vec<u8>) {
    use ForwardClientCertMode::{AlwaysForwardOnly, AppendForward, ForwardOnly, Sanitize, SanitizeSet};
    if settings.mode == AlwaysForwardOnly {
        return;
    }
    let peer = tls.and_then(|tls| tls.peer.as_deref().map(|peer| (peer, tls.local.as_deref())));
    let Some((peer, local)) = peer.filter(|_| settings.mode != Sanitize) else {
        fields.remove(Header::XForwardedClientCert);
        return;
    };
    if settings.mode == ForwardOnly {
        return;
    }
    scratch.clear();
    describe(settings, peer, local, scratch);
    // What we write is checked like anything else; a certificate with control characters in its subject is not told of.
    match settings.mode {
        SanitizeSet => drop(fields.set_known(Header::XForwardedClientCert, scratch)),
        AppendForward => {
            // Without our part, the client's own would pass for it.
            if fields.extend_list(Header::XForwardedClientCert, b",", scratch).is_err() {
                fields.remove(Header::XForwardedClientCert);
            }
        }
        Sanitize | ForwardOnly | AlwaysForwardOnly => {}
    }
}

/// In the order in which Envoy writes the elements: By, Hash, Cert, Chain, Subject, URI, DNS.
fn describe(settings: ForwardClientCert, peer: &CertificateFacts, local: Option<&CertificateFacts>, out: &mut Vec<u8>) {
    for name in local.iter().flat_map(|local| &local.uri_names) {
        element(out, "By=", name);
    }
    element(out, "Hash=", &peer.sha256);
    if settings.cert
        && let Some(leaf) = peer.chain.first()
    {
        element(out, "Cert=", &format!("\"{}\"", url_encoded_pem(std::slice::from_ref(leaf))));
    }
    if settings.chain {
        element(out, "Chain=", &format!("\"{}\"", url_encoded_pem(&peer.chain)));
    }
    if settings.subject {
        element(out, "Subject=", &format!("\"{}\"", peer.subject.replace('"', "\\\"")));
    }
    if settings.uri {
        if peer.uri_names.is_empty() {
            element(out, "URI=", "");
        }
        for name in &peer.uri_names {
            element(out, "URI=", name);
        }
    }
    if settings.dns {
        for name in &peer.dns_names {
            element(out, "DNS=", name);
        }
    }
}

fn element(out: &mut Vec<u8>, key: &str, value: &str) {
    if !out.is_empty() {
        out.push(b';');
    }
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value.as_bytes());
}

/// Certificates as PEM, in the letters of a URL.
pub(crate) fn url_encoded_pem(chain: &[Vec<u8>]) -> String {
    use base64::Engine as _;
    let mut pem = String::new();
    for certificate in chain {
        let body = base64::engine::general_purpose::STANDARD.encode(certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in body.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    let mut encoded = String::with_capacity(pem.len() * 5 / 4);
    for character in pem.chars() {
        match character {
            '\n' => encoded.push_str("%0A"),
            ' ' => encoded.push_str("%20"),
            '+' => encoded.push_str("%2B"),
            '/' => encoded.push_str("%2F"),
            '=' => encoded.push_str("%3D"),
            other => encoded.push(other),
        }
    }
    encoded
}
