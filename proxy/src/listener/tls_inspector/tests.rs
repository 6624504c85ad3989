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

/// A hello with these extensions only.
fn with_extensions(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let vector = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let extensions: Vec<_> =
        extensions.iter().flat_map(|(kind, body)| [&kind.to_be_bytes()[..], &vector(body)].concat()).collect();
    let body = [&[3; 34][..], &[0], &vector(&[0x13, 1]), &[1, 0], &vector(&extensions)].concat();
    let message = [&[CLIENT_HELLO, 0][..], &vector(&body)].concat();
    [&[HANDSHAKE_RECORD, 3, 1][..], &vector(&message)].concat()
}

#[test]
fn a_hello_with_two_meanings_is_refused() {
    let (name, other, protocols) = (&b"\0\x04\0\0\x01a"[..], &b"\0\x04\0\0\x01b"[..], &b"\0\x03\x02h2"[..]);
    assert_eq!(sniff(&with_extensions(&[(0, name), (16, protocols)])), expected(Some("a"), &["h2"]));
    for extensions in [
        &[(0, name), (0, other)][..],
        &[(0, name), (0, name)],
        &[(16, protocols), (0, name), (16, protocols)],
        &[(0, b"\0\x08\0\0\x01a\0\0\x01b")],
        &[(0, b"\0\x08\x01\0\x01a\0\0\x01b")],
        &[(0, b"\0\x04\x01\0\x01a")],
        &[(0, b"\0\0")],
        &[(0, b"\0\x04\0\0\x01a!")],
        &[(16, b"\0\x03\x02h2!")],
    ] {
        assert_eq!(sniff(&with_extensions(extensions)), Sniffed::NotTls, "{extensions:?}");
    }
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
