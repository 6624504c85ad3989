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
    if reader.0.is_empty() {
        return Some(ClientHello::default());
    }
    let mut extensions = Reader(reader.vector16()?);
    if !reader.0.is_empty() {
        return None;
    }
    let (mut server_name, mut protocols) = (None, None);
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let mut body = Reader(extensions.vector16()?);
        // Two of a type are refused (RFC 8446 section 4.2): whoever terminates might heed the other one.
        let again = match kind {
            SERVER_NAME_EXTENSION => server_name.replace(parse_server_name(&mut body)?).is_some(),
            ALPN_EXTENSION => protocols.replace(parse_protocols(&mut body)?).is_some(),
            _ => false,
        };
        if again {
            return None;
        }
    }
    Some(ClientHello { server_name, protocols: protocols.unwrap_or_default() })
}

/// One host name and nothing else, as Envoy's TLS library has it: of several names, or one of another type, another reader might
/// heed another one.
fn parse_server_name(body: &mut Reader<'_>) -> Option<String> {
    let mut names = Reader(body.vector16()?);
    let kind = names.take(1)?;
    let name = names.vector16()?;
    if kind != [HOST_NAME] || !names.0.is_empty() || !body.0.is_empty() {
        return None;
    }
    // Names are logged and shown: control characters would forge lines.
    let is_sane = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let text = std::str::from_utf8(name).ok().filter(|_| is_sane)?;
    Some(text.to_ascii_lowercase())
}

fn parse_protocols(body: &mut Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = Reader(body.vector16()?);
    if !body.0.is_empty() {
        return None;
    }
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
mod tests;
