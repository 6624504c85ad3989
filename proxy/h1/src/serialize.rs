//! Heads and local replies as HTTP/1 writes them. Everything is appended to a buffer that the caller keeps.

use crate::body_length::BodyLength;
use crate::fields::Fields;
use crate::method::Method;
use crate::request::RequestHead;
use crate::response::ResponseHead;
use crate::status;
use crate::version::Version;

/// Writes a request head: method, path, `host` from the authority, the live fields, framing, and an upgrade if the head
/// has one. `close` asks the server to close the connection afterwards.
pub fn write_request(head: &RequestHead, close: bool, out: &mut Vec<u8>) {
    put(out, head.method.as_str().as_bytes());
    out.push(b' ');
    if head.method == Method::Connect {
        put(out, head.authority());
    } else {
        put(out, head.path_and_query());
    }
    put(out, b" HTTP/1.1\r\nhost: ");
    put(out, head.authority());
    put(out, b"\r\n");
    head.fields().write(out);
    match head.body {
        BodyLength::Fixed(length) => write_content_length(length, out),
        BodyLength::Chunked => put(out, TRANSFER_ENCODING),
        BodyLength::None if head.method.usually_has_no_body() || head.upgrade().is_some() => {}
        BodyLength::None | BodyLength::UntilClose => write_content_length(0, out),
    }
    match head.upgrade() {
        Some(protocol) => write_upgrade(protocol, out),
        None if close => put(out, CONNECTION_CLOSE),
        None => {}
    }
    put(out, b"\r\n");
}

/// Writes a response head for a client of `version`: status, the live fields, framing, and the protocol of a 101. The
/// caller chose [`ResponseHead::body`] with [`BodyLength::towards`]; a body that ends with the connection is announced as
/// such even if `close` is not set.
pub fn write_response(head: &ResponseHead, version: Version, close: bool, out: &mut Vec<u8>) {
    status::write_line(head.status, version, out);
    head.fields().write(out);
    if head.status < 200 {
        if let Some(protocol) = head.upgrade() {
            write_upgrade(protocol, out);
        }
        put(out, b"\r\n");
        return;
    }
    match (head.body, head.content_length) {
        _ if head.status == 204 => {}
        (BodyLength::Fixed(length), _) | (BodyLength::None, Some(length)) => write_content_length(length, out),
        (BodyLength::Chunked, _) => put(out, TRANSFER_ENCODING),
        (BodyLength::None | BodyLength::UntilClose, _) => {}
    }
    write_connection(version, close || head.body == BodyLength::UntilClose, out);
    put(out, b"\r\n");
}

/// An answer of our own.
#[derive(Clone, Copy, Debug)]
pub struct LocalReply<'a> {
    /// The status.
    pub status: u16,
    /// The type of the body; not written when the body is empty.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// Further fields.
    pub fields: &'a Fields,
    /// The version of the client.
    pub version: Version,
    /// Whether the connection closes afterwards.
    pub close: bool,
    /// Whether the request was HEAD: then the body is announced but not sent.
    pub head_request: bool,
}

/// Writes a whole answer of our own.
pub fn write_local_reply(reply: &LocalReply<'_>, out: &mut Vec<u8>) {
    status::write_line(reply.status, reply.version, out);
    let bodiless = reply.status < 200 || reply.status == 204 || reply.status == 304;
    if !bodiless {
        write_content_length(reply.body.len() as u64, out);
        if !reply.body.is_empty() {
            for part in [b"content-type: ", reply.content_type.as_bytes(), b"\r\n"] {
                put(out, part);
            }
        }
    }
    reply.fields.write(out);
    write_connection(reply.version, reply.close, out);
    put(out, b"\r\n");
    if !bodiless && !reply.head_request {
        put(out, reply.body);
    }
}

const TRANSFER_ENCODING: &[u8] = b"transfer-encoding: chunked\r\n";
const CONNECTION_CLOSE: &[u8] = b"connection: close\r\n";

/// HTTP/1.1 connections stay unless something is said, those of HTTP/1.0 the other way round (RFC 9112 9.3).
fn write_connection(version: Version, close: bool, out: &mut Vec<u8>) {
    if close {
        put(out, CONNECTION_CLOSE);
    } else if version == Version::Http10 {
        put(out, b"connection: keep-alive\r\n");
    }
}

fn write_content_length(length: u64, out: &mut Vec<u8>) {
    put(out, b"content-length: ");
    put(out, itoa::Buffer::new().format(length).as_bytes());
    put(out, b"\r\n");
}

fn write_upgrade(protocol: &[u8], out: &mut Vec<u8>) {
    put(out, b"connection: Upgrade\r\nupgrade: ");
    put(out, protocol);
    put(out, b"\r\n");
}

#[inline(always)]
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}
