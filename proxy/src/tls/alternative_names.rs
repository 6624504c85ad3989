//! Names in a peer's certificate: what SAN matchers are held against and what `x-forwarded-client-cert` tells.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use sha2::Digest as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};
use xds_model::matcher::StringPattern;
use xds_model::tls::{SanKind, SanMatcher};

use crate::worker::connection::CertificateFacts;

/// The subject alternative names of a certificate, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AlternativeNames {
    names: Vec<(SanKind, String)>,
}

impl AlternativeNames {
    /// Reads them. A certificate that cannot be read has none, so that no matcher is satisfied.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Self::default() };
        Self::of_parsed(&parsed)
    }

    fn of_parsed(certificate: &X509Certificate<'_>) -> Self {
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Self::default() };
        let names = extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::RFC822Name(text) => Some((SanKind::Email, (*text).to_owned())),
            GeneralName::DNSName(text) => Some((SanKind::Dns, (*text).to_owned())),
            GeneralName::URI(text) => Some((SanKind::Uri, (*text).to_owned())),
            GeneralName::IPAddress(bytes) => ip_address(bytes).map(|address| (SanKind::IpAddress, address.to_string())),
            _ => None,
        });
        Self { names: names.collect() }
    }

    /// The names of one kind.
    pub(super) fn of_kind(&self, kind: SanKind) -> impl Iterator<Item = &str> {
        self.names.iter().filter(move |(found, _)| *found == kind).map(|(_, name)| name.as_str())
    }

    /// Whether one of the matchers accepts one of the names.
    pub(super) fn satisfy_any(&self, matchers: &[SanMatcher]) -> bool {
        matchers.iter().any(|matcher| self.names.iter().any(|(kind, name)| accepts(matcher, *kind, name)))
    }

    /// Whether a DNS name (or IP address) is among them, wildcards counting.
    pub(super) fn cover_host(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(address) => self.of_kind(SanKind::IpAddress).any(|name| name == address.to_string()),
            Err(_) => self.of_kind(SanKind::Dns).any(|pattern| dns_name_matches(pattern, host)),
        }
    }
}

fn accepts(matcher: &SanMatcher, kind: SanKind, name: &str) -> bool {
    if matcher.kind.is_some_and(|wanted| wanted != kind) {
        return false;
    }
    match (&matcher.value.pattern, kind) {
        // A certificate for `*.example.com` satisfies an exact DNS matcher, as in Envoy's DnsExactStringSanMatcher.
        (StringPattern::Exact(wanted), SanKind::Dns) => dns_name_matches(name, wanted),
        _ => matcher.value.matches(name.as_bytes()),
    }
}

/// RFC 6125 section 6.4: a wildcard stands for exactly one whole label, the leftmost.
fn dns_name_matches(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(suffix), Some((label, rest))) = (pattern.strip_prefix("*."), host.split_once('.')) else { return false };
    !label.is_empty() && suffix.contains('.') && suffix.eq_ignore_ascii_case(rest)
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// What requests and log lines may say of a certificate; read once per connection. `None` if the leaf cannot be read.
pub fn certificate_facts(chain: &[CertificateDer<'_>]) -> Option<CertificateFacts> {
    let leaf = chain.first()?;
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let names = AlternativeNames::of_parsed(&parsed);
    let of_kind = |kind| names.of_kind(kind).map(without_controls).collect();
    Some(CertificateFacts {
        chain: chain.iter().map(|certificate| certificate.to_vec()).collect(),
        subject: without_controls(&rfc2253(&parsed.subject)),
        issuer: without_controls(&rfc2253(&parsed.issuer)),
        serial: hexadecimal(parsed.raw_serial().iter().copied().skip_while(|byte| *byte == 0)),
        uri_names: of_kind(SanKind::Uri),
        dns_names: of_kind(SanKind::Dns),
        sha256: hexadecimal(sha2::Sha256::digest(leaf).into_iter()),
        not_before: since_epoch(parsed.validity().not_before),
        not_after: since_epoch(parsed.validity().not_after),
    })
}

/// A certificate may hold line feeds, which would forge lines of logs.
fn without_controls(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

fn since_epoch(time: ASN1Time) -> Duration {
    Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
}

fn hexadecimal(bytes: impl Iterator<Item = u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// A distinguished name in RFC 2253 order (most specific first), escaped as section 2.4 says.
fn rfc2253(name: &x509_parser::x509::X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for relative in name.iter_rdn() {
        let attributes: Vec<String> = relative
            .iter()
            .map(|attribute| {
                let key = x509_parser::objects::oid2abbrev(attribute.attr_type(), x509_parser::objects::oid_registry())
                    .map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
                format!("{key}={}", escape_rfc2253(attribute.as_str().unwrap_or_default()))
            })
            .collect();
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    parts.join(",")
}

fn escape_rfc2253(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        let special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (index == 0 && matches!(character, ' ' | '#'))
            || (index == last && character == ' ');
        if special {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
