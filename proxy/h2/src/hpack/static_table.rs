//! The static table (RFC 7541 appendix A).

use h1::{Header, PseudoHeader, SectionKind, SectionName};

/// A field that both sides know.
pub(super) struct StaticField {
    pub(super) kind: SectionKind,
    pub(super) name: &'static str,
    pub(super) value: &'static str,
    header: Header,
}

const fn pseudo(name: PseudoHeader, text: &'static str, value: &'static str) -> StaticField {
    let kind = SectionKind::known(SectionName::Pseudo(name));
    StaticField { kind, name: text, value, header: Header::Other }
}

const fn field(header: Header, text: &'static str, value: &'static str) -> StaticField {
    StaticField { kind: SectionKind::known(SectionName::Field(header)), name: text, value, header }
}

/// Indices begin at 1.
pub(super) static STATIC_TABLE: [StaticField; 61] = TABLE;

const TABLE: [StaticField; 61] = [
    pseudo(PseudoHeader::Authority, ":authority", ""),
    pseudo(PseudoHeader::Method, ":method", "GET"),
    pseudo(PseudoHeader::Method, ":method", "POST"),
    pseudo(PseudoHeader::Path, ":path", "/"),
    pseudo(PseudoHeader::Path, ":path", "/index.html"),
    pseudo(PseudoHeader::Scheme, ":scheme", "http"),
    pseudo(PseudoHeader::Scheme, ":scheme", "https"),
    pseudo(PseudoHeader::Status, ":status", "200"),
    pseudo(PseudoHeader::Status, ":status", "204"),
    pseudo(PseudoHeader::Status, ":status", "206"),
    pseudo(PseudoHeader::Status, ":status", "304"),
    pseudo(PseudoHeader::Status, ":status", "400"),
    pseudo(PseudoHeader::Status, ":status", "404"),
    pseudo(PseudoHeader::Status, ":status", "500"),
    field(Header::Other, "accept-charset", ""),
    field(Header::AcceptEncoding, "accept-encoding", "gzip, deflate"),
    field(Header::AcceptLanguage, "accept-language", ""),
    field(Header::AcceptRanges, "accept-ranges", ""),
    field(Header::Accept, "accept", ""),
    field(Header::AccessControlAllowOrigin, "access-control-allow-origin", ""),
    field(Header::Age, "age", ""),
    field(Header::Other, "allow", ""),
    field(Header::Authorization, "authorization", ""),
    field(Header::CacheControl, "cache-control", ""),
    field(Header::ContentDisposition, "content-disposition", ""),
    field(Header::ContentEncoding, "content-encoding", ""),
    field(Header::ContentLanguage, "content-language", ""),
    field(Header::ContentLength, "content-length", ""),
    field(Header::Other, "content-location", ""),
    field(Header::ContentRange, "content-range", ""),
    field(Header::ContentType, "content-type", ""),
    field(Header::Cookie, "cookie", ""),
    field(Header::Date, "date", ""),
    field(Header::ETag, "etag", ""),
    field(Header::Expect, "expect", ""),
    field(Header::Expires, "expires", ""),
    field(Header::Other, "from", ""),
    field(Header::Host, "host", ""),
    field(Header::IfMatch, "if-match", ""),
    field(Header::IfModifiedSince, "if-modified-since", ""),
    field(Header::IfNoneMatch, "if-none-match", ""),
    field(Header::IfRange, "if-range", ""),
    field(Header::IfUnmodifiedSince, "if-unmodified-since", ""),
    field(Header::LastModified, "last-modified", ""),
    field(Header::Other, "link", ""),
    field(Header::Location, "location", ""),
    field(Header::Other, "max-forwards", ""),
    field(Header::ProxyAuthenticate, "proxy-authenticate", ""),
    field(Header::ProxyAuthorization, "proxy-authorization", ""),
    field(Header::Range, "range", ""),
    field(Header::Referer, "referer", ""),
    field(Header::Other, "refresh", ""),
    field(Header::RetryAfter, "retry-after", ""),
    field(Header::Server, "server", ""),
    field(Header::SetCookie, "set-cookie", ""),
    field(Header::StrictTransportSecurity, "strict-transport-security", ""),
    field(Header::TransferEncoding, "transfer-encoding", ""),
    field(Header::UserAgent, "user-agent", ""),
    field(Header::Vary, "vary", ""),
    field(Header::Via, "via", ""),
    field(Header::WwwAuthenticate, "www-authenticate", ""),
];

/// Index of the first field with this name; 0 for names that are not in the table.
#[inline]
pub(super) fn index_of(header: Header) -> u8 {
    INDICES[header as usize & 127]
}

static INDICES: [u8; 128] = indices();

const fn indices() -> [u8; 128] {
    let mut indices = [0; 128];
    let mut at = TABLE.len();
    while at > 0 {
        at -= 1;
        let header = TABLE[at].header as usize;
        if header != Header::Other as usize {
            indices[header & 127] = at as u8 + 1;
        }
    }
    indices
}

/// Indices of what the encoder writes of pseudo-headers.
pub(super) mod pseudo_index {
    pub(crate) const AUTHORITY: u8 = 1;
    pub(crate) const METHOD_GET: u8 = 2;
    pub(crate) const METHOD_POST: u8 = 3;
    pub(crate) const PATH_ROOT: u8 = 4;
    pub(crate) const SCHEME_HTTP: u8 = 6;
    pub(crate) const SCHEME_HTTPS: u8 = 7;
    pub(crate) const STATUS_200: u8 = 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_their_kinds_say() {
        for entry in &STATIC_TABLE {
            let found = format!("{:?}", SectionKind::of_name(entry.name.as_bytes()));
            assert_eq!(found, format!("{:?}", entry.kind), "{}", entry.name);
        }
    }

    #[test]
    fn headers_find_their_index() {
        for header in Header::ALL {
            let expected = STATIC_TABLE.iter().position(|entry| entry.name == header.as_str());
            assert_eq!(usize::from(index_of(*header)), expected.map_or(0, |at| at + 1), "{header:?}");
        }
        assert_eq!(index_of(Header::Other), 0);
    }
}
