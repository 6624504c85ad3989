//! Which upstream responses are taken and as what, and which are refused.

use selvedge_h1::{Expectation, Limits, Method, ResponseError};

use crate::support::parse_response;

const DEFAULT: Limits = Limits::DEFAULT;
pub(crate) const GET: Expectation = Expectation { method: Method::Get, upgrade: false };
const HEAD: Expectation = Expectation { method: Method::Head, upgrade: false };
const CONNECT: Expectation = Expectation { method: Method::Connect, upgrade: false };
const UPGRADE: Expectation = Expectation { method: Method::Get, upgrade: true };

pub(crate) const ACCEPTED: &[(Expectation, &str, &str)] = &[
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 Fixed(5) keep length=5 | content-length=5"),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 Fixed(0) keep length=0 | content-length=0"),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n", "200 Chunked keep"),
    (GET, "HTTP/1.1 200 OK\r\n\r\n", "200 UntilClose close"),
    (GET, "HTTP/1.1 404\r\nContent-Length: 1\r\n\r\n", "404 Fixed(1) keep length=1 | content-length=1"),
    (GET, "HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\n", "404 Fixed(1) keep length=1 | content-length=1"),
    (
        GET,
        "HTTP/1.1 500 \u{e9}t\u{e9} 1\t2\r\nContent-Length: 0\r\n\r\n",
        "500 Fixed(0) keep length=0 | content-length=0",
    ),
    (GET, "HTTP/1.1 999 Own\r\nContent-Length: 0\r\n\r\n", "999 Fixed(0) keep length=0 | content-length=0"),
    // Keeping the connection.
    (
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
        "200 Fixed(5) close length=5 | content-length=5",
    ),
    (
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: a, Close\r\n\r\n",
        "200 Fixed(5) close length=5 | content-length=5",
    ),
    (
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nProxy-Connection: close\r\n\r\n",
        "200 Fixed(5) close length=5 | content-length=5",
    ),
    (GET, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 Fixed(5) close length=5 | content-length=5"),
    (
        GET,
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
        "200 Fixed(5) keep length=5 | content-length=5",
    ),
    (GET, "HTTP/1.0 200 OK\r\n\r\n", "200 UntilClose close"),
    (GET, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n", "200 Chunked close"),
    // What ends at this hop; what a response nominates stays.
    (
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: x\r\nTE: x\r\nTrailer: x\r\nUpgrade: h2\r\nProxy-Authenticate: x\r\n\r\n",
        "200 Fixed(0) keep length=0 | content-length=0",
    ),
    (
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x-a\r\nX-A: 1\r\n\r\n",
        "200 Fixed(0) keep length=0 | content-length=0 | x-a=1",
    ),
    (
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length:0\r\nServer:  nginx \r\n\r\n",
        "200 Fixed(0) keep length=0 | content-length=0 | server=nginx",
    ),
    (
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
        "200 Fixed(0) keep length=0 | content-length=0 | set-cookie=a | set-cookie=b",
    ),
    // No body by request or status.
    (HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 None keep length=5 | content-length=5"),
    (HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 None keep"),
    (HEAD, "HTTP/1.1 200 OK\r\n\r\n", "200 None keep"),
    (
        GET,
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
        "304 None keep length=5 | content-length=5 | etag=x",
    ),
    (GET, "HTTP/1.1 304 Not Modified\r\n\r\n", "304 None keep"),
    (GET, "HTTP/1.1 204 No Content\r\n\r\n", "204 None keep"),
    (GET, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 None keep"),
    (GET, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "205 Fixed(0) keep length=0 | content-length=0"),
    (GET, "HTTP/1.1 100 Continue\r\n\r\n", "100 None keep"),
    (GET, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "103 None keep | link=x"),
    // Later versions are read as 1.1, and their connections are not kept.
    (GET, "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n", "200 Fixed(5) close length=5 | content-length=5"),
    // Tunnels.
    (CONNECT, "HTTP/1.1 200 OK\r\n\r\n", "200 None close tunnel"),
    (CONNECT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 None close tunnel length=5 | content-length=5"),
    (CONNECT, "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n", "403 Fixed(5) keep length=5 | content-length=5"),
    (
        UPGRADE,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
        "101 None close tunnel upgrade=websocket | connection=Upgrade | upgrade=websocket | sec-websocket-accept=x",
    ),
    (UPGRADE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "200 Fixed(2) keep length=2 | content-length=2"),
];

pub(crate) const REFUSED: &[(Expectation, &str, ResponseError)] = &[
    (GET, "HTTP/2 200 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1. 200 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "http/1.1 200 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "ICY 200 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, " HTTP/1.1 200 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "\r\nHTTP/1.1 200 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1  200 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1\t200 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1 20 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1 2000 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1 200OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1 2x0 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1 +20 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1 099 OK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1 200 O\0K\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1 200 O\rK\r\n\r\n", ResponseError::StatusLine),
    (GET, "HTTP/1.1 200 OK\n\r\n", ResponseError::BareLineFeed),
    (GET, "HTTP/1.1 200 OK\r\nX-A: b\nX-C: d\r\n\r\n", ResponseError::BareLineFeed),
    (GET, "HTTP/1.1 200 OK\r\nX-A: b\rc\r\n\r\n", ResponseError::BareCarriageReturn),
    (GET, "HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n", ResponseError::FieldName),
    (GET, "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n", ResponseError::Fold),
    (GET, "HTTP/1.1 200 OK\r\nX-A: b\0\r\n\r\n", ResponseError::FieldValue),
    (
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ResponseError::ContentLengthWithTransferEncoding,
    ),
    (
        HEAD,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ResponseError::ContentLengthWithTransferEncoding,
    ),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", ResponseError::DuplicateContentLength),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", ResponseError::ContentLength),
    (GET, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ResponseError::ContentLength),
    (HEAD, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ResponseError::ContentLength),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", ResponseError::TransferEncoding),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ResponseError::TransferEncoding),
    (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", ResponseError::TransferEncoding),
    (
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        ResponseError::TransferEncoding,
    ),
    (GET, "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n", ResponseError::BodyDisallowed),
    (GET, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", ResponseError::BodyDisallowed),
    (GET, "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n", ResponseError::BodyDisallowed),
    (
        GET,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ResponseError::UnexpectedUpgrade,
    ),
    (UPGRADE, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n", ResponseError::UnexpectedUpgrade),
];

#[test]
fn accepted() {
    for (expectation, input, expected) in ACCEPTED {
        let outcome = parse_response(input.as_bytes(), *expectation, &DEFAULT);
        assert_eq!(outcome, Ok(Some((input.len(), (*expected).to_owned()))), "{input:?}");
    }
}

#[test]
fn refused() {
    for (expectation, input, error) in REFUSED {
        assert_eq!(parse_response(input.as_bytes(), *expectation, &DEFAULT), Err(*error), "{input:?}");
        assert_eq!(error.status(), 502);
        assert!(error.detail().starts_with("http1."), "{error}");
    }
}

#[test]
fn at_most_a_hundred_headers_and_so_many_bytes() {
    let head = |count: usize| {
        let fields: String = (0..count).map(|number| format!("x-{number}: {number}\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n")
    };
    assert!(matches!(parse_response(head(100).as_bytes(), GET, &DEFAULT), Ok(Some(_))));
    assert_eq!(parse_response(head(101).as_bytes(), GET, &DEFAULT), Err(ResponseError::TooManyHeaders));
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "v".repeat(DEFAULT.max_head_bytes));
    assert_eq!(parse_response(large.as_bytes(), GET, &DEFAULT), Err(ResponseError::HeadTooLarge));
}

#[test]
fn interim_responses_are_followed_by_another() {
    let input = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut head = selvedge_h1::ResponseHead::new();
    let first = head.parse(input, GET, &DEFAULT).unwrap().unwrap();
    assert!(head.is_interim());
    head.clear();
    let second = head.parse(&input[first..], GET, &DEFAULT).unwrap().unwrap();
    assert!(!head.is_interim());
    assert_eq!((head.status, first + second), (200, input.len()));
    assert_eq!(head.fields().find(b"link"), None);
}
