//! The beginning of TLS: what is decided of the first bytes stays so whatever follows, and rustls reads the same names.
//!
//! The first byte of an input is the size of the pieces.

use std::net::IpAddr;

use rustls::pki_types::DnsName;
use rustls::server::{Accepted, Acceptor};
use rustls::{Error, InvalidMessage};
use selvedge::listener::tls_inspector::{ClientHello, MAX_CLIENT_HELLO, Sniffed, bytes_wanted, sniff};

use crate::pieces;

/// Looks at a connection as it arrives.
pub fn run(input: &[u8]) -> bool {
    let Some((piece, stream)) = input.split_first() else { return false };
    let stream = &stream[..stream.len().min(MAX_CLIENT_HELLO)];
    let whole = sniff(stream);
    check_pieces(stream, *piece, &whole);
    let looked = look_when_wanted(stream);
    assert!(looked == whole || looked == Sniffed::Incomplete, "{looked:?}, then {whole:?}");
    match (&whole, oracle(stream)) {
        (Sniffed::Tls(ours), Ok(Some(theirs))) => {
            check_equal(ours, theirs);
            assert_eq!(looked, whole, "when as many bytes are there as were wanted");
        }
        (Sniffed::NotTls, Ok(Some(theirs))) if !is_the_only_name(theirs.server_name.as_deref(), stream) => {}
        (_, Ok(Some(theirs))) => panic!("{whole:?}, but rustls reads {theirs:?}"),
        (Sniffed::Tls(ours), Err(Error::InvalidMessage(InvalidMessage::DuplicateExtension(kind)))) => {
            assert!(!matches!(kind, SERVER_NAME | ALPN), "{ours:?} is one of two");
        }
        (Sniffed::Tls(ours), Err(Error::InvalidMessage(InvalidMessage::InvalidServerName))) => {
            let name = ours.server_name.as_deref().expect("a hello with a name");
            assert!(DnsName::try_from(name).is_err(), "{name:?} is one of two");
        }
        (_, _) => {}
    }
    matches!(whole, Sniffed::Tls(_))
}

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

fn check_pieces(stream: &[u8], piece: u8, whole: &Sniffed) {
    for end in pieces::ends(stream.len(), piece) {
        let seen = sniff(&stream[..end]);
        if seen != Sniffed::Incomplete {
            assert_eq!(seen, *whole, "after {end} bytes");
            return;
        }
    }
}

/// What somebody sees who looks only when as many bytes are there as were wanted. A message that ends before its record does
/// is waited for with the record, as rustls does.
fn look_when_wanted(stream: &[u8]) -> Sniffed {
    let mut end = 0;
    loop {
        let seen = sniff(&stream[..end]);
        let wanted = bytes_wanted(&stream[..end]);
        if seen != Sniffed::Incomplete || wanted > stream.len() {
            return seen;
        }
        assert!(wanted > end, "{wanted} bytes wanted after {end}");
        end = wanted;
    }
}

fn check_equal(ours: &ClientHello, mut theirs: ClientHello) {
    // rustls leaves out a name that is an address, though it may not be one (RFC 6066 section 3). Envoy and we take it.
    if theirs.server_name.is_none() {
        theirs.server_name = ours.server_name.clone().filter(|name| name.parse::<IpAddr>().is_ok());
    }
    assert_eq!(*ours, theirs);
}

/// Whether this is surely all that the extension holds. Names of other types rustls leaves out; Envoy and we refuse them.
fn is_the_only_name(name: Option<&str>, stream: &[u8]) -> bool {
    let (Some(name), Some(extension)) = (name, server_name_extension(stream)) else { return false };
    let length = |bytes: usize| u16::try_from(bytes).expect("less than the hello").to_be_bytes();
    let list = [&length(name.len() + 3)[..], &[0], &length(name.len()), name.as_bytes()].concat();
    extension.eq_ignore_ascii_case(&list)
}

/// The extension, in a hello that lies in one record.
fn server_name_extension(stream: &[u8]) -> Option<&[u8]> {
    let mut records = stream.get(3..)?;
    let mut record = vector(&mut records, 2)?.get(1..)?;
    let mut hello = vector(&mut record, 3)?.get(2 + 32..)?;
    for width in [1, 2, 1] {
        vector(&mut hello, width)?; // session, cipher suites, compression methods
    }
    let mut extensions = vector(&mut hello, 2)?;
    while let Some((kind, rest)) = extensions.split_first_chunk() {
        extensions = rest;
        let body = vector(&mut extensions, 2)?;
        if u16::from_be_bytes(*kind) == SERVER_NAME {
            return Some(body);
        }
    }
    None
}

/// Takes what stands behind its length, a number of `width` bytes.
fn vector<'a>(bytes: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_at_checked(width)?;
    let length = length.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    let (taken, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// What rustls reads, or why it refuses the hello; `None` if it waits for more.
fn oracle(mut stream: &[u8]) -> Result<Option<ClientHello>, Error> {
    let mut acceptor = Acceptor::default();
    while !stream.is_empty() {
        acceptor.read_tls(&mut stream).map_err(|error| Error::General(error.to_string()))?;
        if let Some(accepted) = acceptor.accept().map_err(|(error, _)| error)? {
            return Ok(Some(describe(&accepted)));
        }
    }
    Ok(None)
}

fn describe(accepted: &Accepted) -> ClientHello {
    let hello = accepted.client_hello();
    ClientHello {
        server_name: hello.server_name().map(str::to_ascii_lowercase),
        protocols: hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect(),
    }
}
