//! PROXY protocol: a header is taken when its last byte is there and not before, and ppp reads the same addresses.

use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};
use selvedge::listener::proxy_protocol::{Endpoints, parse};

/// Looks at a connection as it arrives, byte by byte.
pub fn run(input: &[u8]) -> bool {
    let whole = parse(input);
    let decided = (0..=input.len()).find(|end| parse(&input[..*end]) != Ok(None));
    let Some(end) = decided else {
        assert_eq!(whole, Ok(None));
        return false;
    };
    assert_eq!(parse(&input[..end]), whole, "after {end} bytes");
    let Ok(Some((length, endpoints))) = whole else { return false };
    assert_eq!(length, end, "the length of the header");
    if let Endpoints::Known { source, destination } = endpoints {
        assert_eq!(oracle(&input[..length]), Some((source, destination)), "{:?}", input.escape_ascii().to_string());
    }
    true
}

fn oracle(header: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Tcp4(found) => Some((
                (found.source_address, found.source_port).into(),
                (found.destination_address, found.destination_port).into(),
            )),
            v1::Addresses::Tcp6(found) => Some((
                (found.source_address, found.source_port).into(),
                (found.destination_address, found.destination_port).into(),
            )),
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(Ok(header)) => match header.addresses {
            v2::Addresses::IPv4(found) => Some((
                (found.source_address, found.source_port).into(),
                (found.destination_address, found.destination_port).into(),
            )),
            v2::Addresses::IPv6(found) => Some((
                (found.source_address, found.source_port).into(),
                (found.destination_address, found.destination_port).into(),
            )),
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => None,
    }
}
