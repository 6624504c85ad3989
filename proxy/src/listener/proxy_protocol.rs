//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): who the client of a load balancer is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest version 1 line, with CR LF (section 2.1).
const MAX_V1: usize = 107;
/// Version 2 may announce 64 KiB; no honest sender comes near this.
const MAX_V2: usize = 4096;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEADER: usize = 16;

/// What the header says of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoints {
    /// Nothing (`UNKNOWN`, or a `LOCAL` health check): the socket's own addresses count.
    Unknown,
    /// Where the client came from and where it wanted to go.
    Known {
        /// The client.
        source: SocketAddr,
        /// Its destination.
        destination: SocketAddr,
    },
}

/// The connection does not begin with a header that can be used. It is closed without an answer, as Envoy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyProtocolError {
    /// There is no header.
    #[error("no PROXY protocol header")]
    Missing,
    /// It is malformed or too long.
    #[error("malformed PROXY protocol header")]
    Malformed,
}

/// Reads the header at the start of `received`: its length and content, or `None` if more bytes are needed.
///
/// # Errors
/// There is no usable header.
pub fn parse(received: &[u8]) -> Result<Option<(usize, Endpoints)>, ProxyProtocolError> {
    if begins_alike(received, V2_SIGNATURE) {
        return parse_v2(received);
    }
    if begins_alike(received, b"PROXY ") {
        return parse_v1(received);
    }
    Err(ProxyProtocolError::Missing)
}

/// Whether the shorter one is the beginning of the other.
fn begins_alike(left: &[u8], right: &[u8]) -> bool {
    left.iter().zip(right).all(|(left, right)| left == right)
}

fn parse_v1(received: &[u8]) -> Result<Option<(usize, Endpoints)>, ProxyProtocolError> {
    let window = received.get(..MAX_V1).unwrap_or(received);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if received.len() >= MAX_V1 { Err(ProxyProtocolError::Malformed) } else { Ok(None) };
    };
    let line =
        window.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(ProxyProtocolError::Malformed)?;
    let endpoints = parse_v1_line(line).ok_or(ProxyProtocolError::Malformed)?;
    Ok(Some((end + 2, endpoints)))
}

fn parse_v1_line(line: &str) -> Option<Endpoints> {
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Endpoints::Unknown);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    let source_port = port(words.next()?)?;
    let destination_port = port(words.next()?)?;
    let family_fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (family_fits && words.next().is_none()).then_some(Endpoints::Known {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

/// Decimal without sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

fn parse_v2(received: &[u8]) -> Result<Option<(usize, Endpoints)>, ProxyProtocolError> {
    let Some((header, rest)) = received.split_at_checked(V2_HEADER) else { return Ok(None) };
    let &[.., version_command, family, high, low] = header else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_command >> 4 != 2 || length > MAX_V2 {
        return Err(ProxyProtocolError::Malformed);
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let endpoints = match (version_command & 0xf, family) {
        (0, _) => Endpoints::Unknown,
        (1, 0x11) => v2_addresses::<4>(body)?,
        (1, 0x21) => v2_addresses::<16>(body)?,
        _ => return Err(ProxyProtocolError::Malformed),
    };
    Ok(Some((V2_HEADER + length, endpoints)))
}

/// Two addresses of `SIZE` bytes, then two ports. What follows (TLVs) is skipped.
fn v2_addresses<const SIZE: usize>(body: &[u8]) -> Result<Endpoints, ProxyProtocolError>
where
    [u8; SIZE]: IntoAddress,
{
    let mut rest = body;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count).ok_or(ProxyProtocolError::Malformed)?;
        rest = left;
        Ok::<&[u8], ProxyProtocolError>(taken)
    };
    let malformed = |_| ProxyProtocolError::Malformed;
    let source = <[u8; SIZE]>::try_from(take(SIZE)?).map_err(malformed)?.into_address();
    let destination = <[u8; SIZE]>::try_from(take(SIZE)?).map_err(malformed)?.into_address();
    let source_port = u16::from_be_bytes(take(2)?.try_into().map_err(malformed)?);
    let destination_port = u16::from_be_bytes(take(2)?.try_into().map_err(malformed)?);
    Ok(Endpoints::Known {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

trait IntoAddress {
    fn into_address(self) -> IpAddr;
}

impl IntoAddress for [u8; 4] {
    fn into_address(self) -> IpAddr {
        Ipv4Addr::from(self).into()
    }
}

impl IntoAddress for [u8; 16] {
    fn into_address(self) -> IpAddr {
        Ipv6Addr::from(self).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(source: &str, destination: &str) -> Endpoints {
        Endpoints::Known { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([version_command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    const V4_BODY: &[u8] = &[10, 9, 8, 7, 192, 0, 2, 1, 0x12, 0x34, 0, 80];

    #[test]
    fn version_1_lines() {
        let line = b"PROXY TCP4 10.9.8.7 192.0.2.1 4660 80\r\nGET";
        assert_eq!(parse(line), Ok(Some((39, known("10.9.8.7:4660", "192.0.2.1:80")))));
        assert_eq!(parse(b"PROXY TCP6 ::1 ::2 1 2\r\n"), Ok(Some((24, known("[::1]:1", "[::2]:2")))));
        assert_eq!(parse(b"PROXY UNKNOWN whatever follows\r\n"), Ok(Some((32, Endpoints::Unknown))));
    }

    #[test]
    fn version_2_headers() {
        assert_eq!(parse(&v2(0x21, 0x11, V4_BODY)), Ok(Some((28, known("10.9.8.7:4660", "192.0.2.1:80")))));
        let mut with_tlv = V4_BODY.to_vec();
        with_tlv.extend([4, 0, 1, 0]);
        assert_eq!(parse(&v2(0x21, 0x11, &with_tlv)), Ok(Some((32, known("10.9.8.7:4660", "192.0.2.1:80")))));
        assert_eq!(parse(&v2(0x20, 0, &[])), Ok(Some((16, Endpoints::Unknown))));
    }

    #[test]
    fn every_prefix_needs_more() {
        for whole in [b"PROXY TCP4 10.9.8.7 192.0.2.1 4660 80\r\n".to_vec(), v2(0x21, 0x11, V4_BODY)] {
            for end in 0..whole.len() {
                assert_eq!(parse(&whole[..end]), Ok(None), "{end} of {whole:?}");
            }
        }
    }

    #[test]
    fn what_envoy_closes_is_refused() {
        for bytes in [
            b"PROXY TCP4 10.9.8.7 192.0.2.1 70000 80\r\n".to_vec(),
            b"PROXY TCP4 10.9.8.7 192.0.2.1 -1 80\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::2 1 2\r\n".to_vec(),
            b"PROXY TCP4 10.9.8.7 192.0.2.1 1 2 3\r\n".to_vec(),
            b"PROXY TCP5 10.9.8.7 192.0.2.1 1 2\r\n".to_vec(),
            [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
            v2(0x21, 0x00, &[]),
            v2(0x21, 0x11, &[1, 2, 3]),
            v2(0x31, 0x11, V4_BODY),
            v2(0x21, 0x11, &[0; 5000]),
        ] {
            assert_eq!(parse(&bytes), Err(ProxyProtocolError::Malformed), "{bytes:?}");
        }
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Err(ProxyProtocolError::Missing));
    }
}
