//! Reading a ClientHello without answering it: the server name and protocols by which a filter chain is chosen
//! (`envoy.filters.listener.tls_inspector`). RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301 section 3.1.
//!
//! The bytes stay where they are: TLS termination or the upstream reads them again. Nothing is trusted; what does not parse as a
//! ClientHello is not TLS.

/// A ClientHello larger than this is refused; Envoy's limit is 16 KiB as well.
pub const MAX_CLIENT_HELLO: usize = 16 * 1024;

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
/// RFC 8446 section 5.1: a plaintext record holds at most 2^14 bytes.
const MAX_RECORD: usize = 1 << 14;
const SERVER_NAME_EXTENSION: u16 = 0;
const ALPN_EXTENSION: u16 = 16;
const HOST_NAME: u8 = 0;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniffed {
    /// The beginning of a ClientHello, or too little to tell.
    Incomplete,
    /// Something else.
    NotTls,
    /// A ClientHello.
    Tls(ClientHello),
}

/// What matters of a ClientHello.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Server name, lower case.
    pub server_name: Option<String>,
    /// ALPN protocols, in the client's order.
    pub protocols: Vec<Vec<u8>>,
}

/// Looks at what has been received so far.
pub fn sniff(received: &[u8]) -> Sniffed {
    match received.first() {
        None => return Sniffed::Incomplete,
        Some(first) if *first != HANDSHAKE_RECORD => return Sniffed::NotTls,
        Some(_) => {}
    }
    match handshake_bytes(received) {
        Records::Malformed => Sniffed::NotTls,
        Records::Prefix(bytes) => match parse_message(&bytes) {
            Message::Incomplete if received.len() >= MAX_CLIENT_HELLO => Sniffed::NotTls,
            Message::Incomplete => Sniffed::Incomplete,
            Message::Malformed => Sniffed::NotTls,
            Message::Hello(hello) => Sniffed::Tls(hello),
        },
    }
}

/// How many bytes there must be before another look at an incomplete hello can tell more: the records that have begun, whole. A
/// client that sends single bytes is not parsed anew for each of them.
pub fn bytes_wanted(received: &[u8]) -> usize {
    let mut end = 0;
    while let Some(&[_, _, _, high, low]) = received.get(end..end + RECORD_HEADER) {
        end += RECORD_HEADER + usize::from(u16::from_be_bytes([high, low]));
    }
    end.max(received.len() + 1).min(MAX_CLIENT_HELLO)
}

enum Records {
    Malformed,
    /// Handshake bytes received so far, without record headers.
    Prefix(Vec<u8>),
}

/// Takes the record layer off; a ClientHello may be spread over several records.
fn handshake_bytes(mut received: &[u8]) -> Records {
    let mut bytes = Vec::new();
    while let Some((header, rest)) = received.split_at_checked(RECORD_HEADER) {
        let &[kind, major, _minor, high, low] = header else { break };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if kind != HANDSHAKE_RECORD || major != 3 || length == 0 || length > MAX_RECORD {
            // What follows a complete hello is the caller's business, so this only matters while the hello is incomplete.
            return if bytes.is_empty() { Records::Malformed } else { Records::Prefix(bytes) };
        }
        let available = rest.len().min(length);
        bytes.extend_from_slice(rest.get(..available).unwrap_or_default());
        received = rest.get(available..).unwrap_or_default();
        if available < length || bytes.len() > MAX_CLIENT_HELLO {
            break;
        }
    }
    Records::Prefix(bytes)
}

enum Message {
    Incomplete,
    Malformed,
    Hello(ClientHello),
}

fn parse_message(bytes: &[u8]) -> Message {
    let Some((header, rest)) = bytes.split_at_checked(4) else {
        return match bytes.first() {
            Some(kind) if *kind != CLIENT_HELLO => Message::Malformed,
            _ => Message::Incomplete,
        };
    };
    let &[kind, high, middle, low] = header else { return Message::Incomplete };
    let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
    if kind != CLIENT_HELLO || length > MAX_CLIENT_HELLO {
        return Message::Malformed;
    }
    match rest.get(..length) {
        None => Message::Incomplete,
        Some(body) => parse_hello(&mut Reader(body)).map_or(Message::Malformed, Message::Hello),
    }
}

fn parse_hello(reader: &mut Reader<'_>) -> Option<ClientHello> {
    reader.take(2 + 32)?; // legacy_version, random
    reader.vector8()?; // legacy_session_id
    reader.vector16()?; // cipher_suites
    reader.vector8()?; // legacy_compression_methods
    let mut hello = ClientHello::default();
    if reader.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(reader.vector16()?);
    if !reader.0.is_empty() {
        return None;
    }
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let mut body = Reader(extensions.vector16()?);
        match kind {
            SERVER_NAME_EXTENSION => hello.server_name = parse_server_name(&mut body)?,
            ALPN_EXTENSION => hello.protocols = parse_protocols(&mut body)?,
            _ => {}
        }
    }
    Some(hello)
}

/// The outer option is `None` for a malformed extension, the inner one where no host name is among the names.
fn parse_server_name(body: &mut Reader<'_>) -> Option<Option<String>> {
    let mut names = Reader(body.vector16()?);
    while !names.0.is_empty() {
        let kind = names.take(1)?;
        let name = names.vector16()?;
        if kind == [HOST_NAME] {
            // Names are logged and shown: control characters would forge lines.
            let is_sane = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
            let text = std::str::from_utf8(name).ok().filter(|_| is_sane)?;
            return Some(Some(text.to_ascii_lowercase()));
        }
    }
    Some(None)
}

fn parse_protocols(body: &mut Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = Reader(body.vector16()?);
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        protocols.push(list.vector8()?.to_vec());
    }
    Some(protocols)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        <[u8; 2]>::try_from(self.take(2)?).ok().map(u16::from_be_bytes)
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let &[length] = self.take(1)? else { return None };
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// What a real client sends first.
    fn hello(name: &str, protocols: &[&str]) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = name.to_owned().try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    fn expected(name: Option<&str>, protocols: &[&str]) -> Sniffed {
        Sniffed::Tls(ClientHello {
            server_name: name.map(str::to_owned),
            protocols: protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect(),
        })
    }

    /// The same message, in records of at most `size` bytes.
    fn fragment(record: &[u8], size: usize) -> Vec<u8> {
        let body = &record[RECORD_HEADER..];
        let mut bytes = Vec::new();
        for part in body.chunks(size) {
            bytes.extend_from_slice(&record[..3]);
            bytes.extend_from_slice(&(part.len() as u16).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    #[test]
    fn a_name_with_control_characters_is_not_one() {
        let hello = hello("forged.example.com", &[]);
        let position = hello.windows(6).position(|window| window == b"forged").unwrap();
        for byte in [b'\n', b'\r', b' ', 0x1b, 0, 0x7f, 0xc3] {
            let mut changed = hello.clone();
            changed[position + 3] = byte;
            assert!(!matches!(sniff(&changed), Sniffed::Tls(_)), "{byte}");
        }
    }

    #[test]
    fn a_real_hello_is_read_and_every_prefix_is_incomplete() {
        let bytes = hello("Shop.Example.com", &["h2", "http/1.1"]);
        assert_eq!(sniff(&bytes), expected(Some("shop.example.com"), &["h2", "http/1.1"]));
        for end in 0..bytes.len() {
            assert_eq!(sniff(&bytes[..end]), Sniffed::Incomplete, "{end} bytes");
        }
    }

    #[test]
    fn a_hello_in_small_records_is_read() {
        let bytes = hello("a.test", &["istio"]);
        for size in [1, 3, 100] {
            assert_eq!(sniff(&fragment(&bytes, size)), expected(Some("a.test"), &["istio"]), "{size}");
        }
    }

    #[test]
    fn an_address_sends_no_name() {
        assert_eq!(sniff(&hello("127.0.0.1", &[])), expected(None, &[]));
    }

    #[test]
    fn other_bytes_are_not_tls() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x02\x01\x00\x05",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\x00\x04\x02\0\0\0",
        ] {
            assert_eq!(sniff(bytes), Sniffed::NotTls, "{bytes:?}");
        }
    }

    #[test]
    fn an_endless_hello_is_given_up() {
        let mut bytes = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc".to_vec();
        bytes.resize(MAX_CLIENT_HELLO, 0);
        assert_eq!(sniff(&bytes), Sniffed::NotTls);
    }

    #[test]
    fn damaged_hellos_never_panic() {
        let bytes = hello("a.test", &["h2"]);
        for position in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[position] = value;
                let _ = sniff(&damaged);
            }
        }
    }

    #[test]
    fn before_the_bytes_that_are_wanted_nothing_more_is_known() {
        let whole = hello("example.com", &["h2"]);
        for bytes in [whole.clone(), fragment(&whole, 7)] {
            for end in 1..bytes.len() {
                let wanted = bytes_wanted(&bytes[..end]);
                assert!(wanted > end && wanted <= bytes.len(), "{wanted} after {end} of {}", bytes.len());
                assert_eq!(sniff(&bytes[..wanted - 1]), Sniffed::Incomplete);
            }
        }
        // However much a record announces: a look at the most that is received decides.
        assert_eq!(bytes_wanted(&[22, 3, 1, 0x40, 0]), MAX_CLIENT_HELLO);
    }
}
