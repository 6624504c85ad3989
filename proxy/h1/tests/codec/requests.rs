//! Which requests are taken and as what, and which are refused and how.

use selvedge_h1::{Limits, Method, RequestError, Underscores};

use crate::support::parse_request;

const DEFAULT: Limits = Limits::DEFAULT;
const HTTP_10: Limits = Limits { accept_http_10: true, ..Limits::DEFAULT };

/// Complete requests and what they mean.
pub(crate) const ACCEPTED: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @a None keep"),
    ("GET /a?b=c%20d&e HTTP/1.1\r\nhost: a:8080\r\n\r\n", "GET /a?b=c%20d&e @a:8080 None keep"),
    ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @a None keep"),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @a None keep"),
    // Hosts.
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / @ None keep"),
    ("GET / HTTP/1.1\r\nHost: \r\n\r\n", "GET / @ None keep"),
    ("GET / HTTP/1.1\r\nHOST: ExAmple.COM.\r\n\r\n", "GET / @ExAmple.COM. None keep"),
    ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / @[::1]:80 None keep"),
    ("GET / HTTP/1.1\r\nHost: a:abc\r\n\r\n", "GET / @a:abc None keep"),
    // Targets.
    ("GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n", "GET /c @b None keep scheme=http"),
    ("GET http://b/c HTTP/1.1\r\n\r\n", "GET /c @b None keep scheme=http"),
    ("GET HTTPS://b:1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @b:1 None keep scheme=https"),
    ("GET http://b?q=1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q=1 @b None keep scheme=http"),
    ("GET http://b#f HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @b None keep scheme=http fragment"),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * @a None keep"),
    ("OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS /x @a None keep"),
    ("CONNECT a:443 HTTP/1.1\r\nHost: b\r\n\r\n", "CONNECT  @a:443 None keep"),
    ("CONNECT [::1]:443 HTTP/1.1\r\nHost: b\r\n\r\n", "CONNECT  @[::1]:443 None keep"),
    (
        "CONNECT a:443 HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
        "CONNECT  @a:443 Fixed(0) keep | content-length=0",
    ),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a @a None keep fragment"),
    ("GET /a?b#c?d HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a?b @a None keep fragment"),
    ("GET /\\\"<>^`{|}[]!~ HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\\\"<>^`{|}[]!~ @a None keep"),
    ("GET //a//b HTTP/1.1\r\nHost: a\r\n\r\n", "GET //a//b @a None keep"),
    ("GET /% HTTP/1.1\r\nHost: a\r\n\r\n", "GET /% @a None keep"),
    // Methods.
    ("PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", "PURGE / @a None keep"),
    ("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "PROPFIND / @a None keep"),
    ("UNSUBSCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n", "UNSUBSCRIBE / @a None keep"),
    // Fields.
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX-A:b\r\nx-B: \t c d \t\r\nX-c:\r\n\r\n",
        "GET / @a None keep | x-a=b | x-b=c d | x-c=",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: a\tb\r\n\r\n", "GET / @a None keep | x-a=a\tb"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: \u{e9}\u{20ac}\r\n\r\n", "GET / @a None keep | x-a=\u{e9}\u{20ac}"),
    ("GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09: x\r\n\r\n", "GET / @a None keep | !#$%&'*+-.^_`|~09=x"),
    ("GET / HTTP/1.1\r\nHost: a\r\nA: b:c: d\r\n\r\n", "GET / @a None keep | a=b:c: d"),
    ("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n", "GET / @a None keep | cookie=a=1 | cookie=b=2"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", "GET / @a None keep | x-forwarded-for=1.2.3.4"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nACCESS-CONTROL-REQUEST-HEADERS: x\r\nX-Envoy-Upstream-Rq-Timeout-Alt-Response: y\r\n\r\n",
        "GET / @a None keep | access-control-request-headers=x | x-envoy-upstream-rq-timeout-alt-response=y",
    ),
    // Framing.
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST / @a Fixed(0) keep | content-length=0"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n", "POST / @a Fixed(7) keep | content-length=007"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
        "POST / @a Fixed(9223372036854775807) keep | content-length=9223372036854775807",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:  5\t\r\n\r\n", "GET / @a Fixed(5) keep | content-length=5"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", "POST / @a Chunked keep"),
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n", "POST / @a None keep expect | expect=100-Continue"),
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: else\r\n\r\n", "POST / @a None keep | expect=else"),
    // Connection.
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / @a None close"),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", "GET / @a None keep"),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive , CLOSE\r\n\r\n", "GET / @a None close"),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", "GET / @a None close"),
    ("GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n", "GET / @a None close"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
        "GET / @a None keep",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nConnection: x-a, X-B\r\nX-B: 2\r\nX-C: 3\r\n\r\n",
        "GET / @a None keep | x-c=3",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-a\r\nConnection: cookie\r\nX-A: 1\r\nCookie: c\r\n\r\n",
        "GET / @a None keep",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Authorization\r\nAuthorization: x\r\nB: c\r\n\r\n",
        "GET / @a None keep | b=c",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: connection\r\n\r\n", "GET / @a None keep"),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: ,,\r\n\r\n", "GET / @a None keep"),
    ("GET / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nProxy-Authenticate: y\r\n\r\n", "GET / @a None keep"),
    ("GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: y\r\n\r\n", "GET / @a None keep | proxy-authorization=y"),
    ("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", "GET / @a None keep | te=trailers"),
    ("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers\r\nB: c\r\n\r\n", "GET / @a None keep | b=c | te=trailers"),
    ("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\nTE: trailers\r\n\r\n", "GET / @a None keep | te=trailers"),
    ("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5\r\n\r\n", "GET / @a None keep"),
    ("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n", "GET / @a None keep | te=trailers"),
    // Upgrades.
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / @a None keep upgrade=websocket | connection=keep-alive, Upgrade | upgrade=websocket",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "GET / @a None keep"),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", "GET / @a None keep"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n",
        "GET / @a None keep upgrade= | connection=upgrade | upgrade=",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: H2C\r\nHTTP2-Settings: AAA\r\n\r\n",
        "GET / @a None keep",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n",
        "POST / @a Fixed(3) keep | content-length=3",
    ),
];

/// Complete requests that are refused.
pub(crate) const REFUSED: &[(&str, RequestError)] = &[
    // The request line.
    ("get / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Method),
    ("Get / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Method),
    ("QUERY / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Method),
    ("GETGETGETGETGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Method),
    (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Method),
    ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Method),
    ("GET\r\nHost: a\r\n\r\n", RequestError::Method),
    ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Method),
    ("\u{16}\u{3}\u{1}\r\n\r\n", RequestError::Method),
    ("GET /\r\nHost: a\r\n\r\n", RequestError::RequestLine),
    ("GET / \r\nHost: a\r\n\r\n", RequestError::RequestLine),
    ("GET / HTTP\r\nHost: a\r\n\r\n", RequestError::RequestLine),
    ("GET / HTTP/1\r\nHost: a\r\n\r\n", RequestError::RequestLine),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", RequestError::RequestLine),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", RequestError::RequestLine),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET / HTTP/1.x\r\nHost: a\r\n\r\n", RequestError::RequestLine),
    ("GET / XTTP/1.1\r\nHost: a\r\n\r\n", RequestError::RequestLine),
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", RequestError::BareLineFeed),
    ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", RequestError::Version),
    ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", RequestError::Version),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", RequestError::Version),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", RequestError::Version),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", RequestError::Version),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", RequestError::Method),
    // Targets.
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET  HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /a\u{c}b HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /a\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /?\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /?a b HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET /#\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("CONNECT :80 HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("CONNECT a:b HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("CONNECT u@a:80 HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    ("CONNECT http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::AbsoluteTarget),
    ("GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::AbsoluteTarget),
    ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::AbsoluteTarget),
    ("GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::AbsoluteTarget),
    ("GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::AbsoluteTarget),
    ("GET http://b\\c/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::AbsoluteTarget),
    ("GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::AbsoluteTarget),
    ("GET http://b/\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::Target),
    // Hosts.
    ("GET / HTTP/1.1\r\n\r\n", RequestError::MissingHost),
    ("GET / HTTP/1.1\r\nX-A: b\r\n\r\n", RequestError::MissingHost),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", RequestError::DuplicateHost),
    ("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", RequestError::DuplicateHost),
    ("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", RequestError::DuplicateHost),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", RequestError::Host),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", RequestError::Host),
    ("GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", RequestError::Host),
    ("GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n", RequestError::Host),
    ("GET / HTTP/1.1\r\nHost: \u{e9}\r\n\r\n", RequestError::Host),
    // Field lines.
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A\t: b\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\nno-colon\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\nno-colon\r\nX-A: b\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: b\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\nX(a): b\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent\u{d}Length: 5\r\n\r\n", RequestError::BareCarriageReturn),
    ("GET / HTTP/1.1\r\nHost: a\r\n\0: b\r\n\r\n", RequestError::FieldName),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", RequestError::Fold),
    ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", RequestError::Fold),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\n\r\n", RequestError::Fold),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n", RequestError::FieldValue),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: \u{1}\r\n\r\n", RequestError::FieldValue),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: b\u{b}c\r\n\r\n", RequestError::FieldValue),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: b\u{1b}c\r\n\r\n", RequestError::FieldValue),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: b\u{7f}c\r\n\r\n", RequestError::FieldValue),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: b\nc\r\n\r\n", RequestError::BareLineFeed),
    ("GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", RequestError::BareLineFeed),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n", RequestError::BareCarriageReturn),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\r\n\r\n", RequestError::BareCarriageReturn),
    ("GET / HTTP/1.1\r\nHost: a\r\n\rX-A: b\r\n\r\n", RequestError::BareCarriageReturn),
    ("GET / HTTP/1.1\r\nHost: a\r\n\n", RequestError::BareLineFeed),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\nA: b\r\n\r\n", RequestError::BareLineFeed),
    // Framing.
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        RequestError::ContentLengthWithTransferEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        RequestError::ContentLengthWithTransferEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\n",
        RequestError::ContentLengthWithTransferEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        RequestError::DuplicateContentLength,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n",
        RequestError::DuplicateContentLength,
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", RequestError::ContentLength),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", RequestError::TransferEncoding),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", RequestError::TransferEncoding),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", RequestError::TransferEncoding),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        RequestError::TransferEncoding,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        RequestError::TransferEncoding,
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", RequestError::TransferEncoding),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;x\r\n\r\n", RequestError::TransferEncoding),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", RequestError::TransferEncoding),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n", RequestError::FieldValue),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", RequestError::IdentityTransferEncoding),
    ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", RequestError::BodyDisallowed),
    ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", RequestError::TransferEncoding),
    // Connection and upgrades.
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Forwarded-For\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-proto\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-host\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-client-cert\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-request-id\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Envoy-Anything\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: :path\r\n\r\n", RequestError::ConnectionNomination),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: a,b,c,d,e,f,g,h,i,j\r\n\r\n", RequestError::ConnectionNomination),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n",
        RequestError::ConnectionNomination,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n",
        RequestError::DuplicateUpgrade,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n",
        RequestError::BodyDisallowed,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n",
        RequestError::BodyDisallowed,
    ),
];

/// HTTP/1.0, where it is accepted.
pub(crate) const HTTP_10_ACCEPTED: &[(&str, &str)] = &[
    ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / @a None close HTTP/1.0"),
    ("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "GET / @a None keep HTTP/1.0"),
    ("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", "GET / @a None close HTTP/1.0"),
    ("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\n", "POST / @a Fixed(3) close HTTP/1.0 | content-length=3"),
    ("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "GET / @a None close HTTP/1.0"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @a None keep"),
];

#[test]
fn accepted() {
    for (input, expected) in ACCEPTED {
        let outcome = parse_request(input.as_bytes(), &DEFAULT);
        assert_eq!(outcome, Ok(Some((input.len(), (*expected).to_owned()))), "{input:?}");
    }
}

#[test]
fn refused() {
    for (input, error) in REFUSED {
        assert_eq!(parse_request(input.as_bytes(), &DEFAULT), Err(*error), "{input:?}");
    }
}

#[test]
fn a_body_behind_the_head_is_left_alone() {
    for (input, expected) in ACCEPTED {
        for body in ["x", "GET / HTTP/1.1\r\n", "\r\n\r\n", "\0:\u{e9}\n a lot of bytes that are no head at all"] {
            let outcome = parse_request(format!("{input}{body}").as_bytes(), &DEFAULT);
            assert_eq!(outcome, Ok(Some((input.len(), (*expected).to_owned()))), "{input:?}");
        }
    }
}

#[test]
fn http_10_only_where_accepted() {
    for (input, expected) in HTTP_10_ACCEPTED {
        let outcome = parse_request(input.as_bytes(), &HTTP_10);
        assert_eq!(outcome, Ok(Some((input.len(), (*expected).to_owned()))), "{input:?}");
    }
    for (input, error) in [
        ("GET / HTTP/1.0\r\n\r\n", RequestError::MissingHost),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", RequestError::Version),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", RequestError::Version),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", RequestError::TransferEncodingInHttp10),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            RequestError::TransferEncodingInHttp10,
        ),
    ] {
        assert_eq!(parse_request(input.as_bytes(), &HTTP_10), Err(error), "{input:?}");
    }
}

#[test]
fn every_known_method_is_taken() {
    for method in Method::ALL {
        let target = if *method == Method::Connect { "a:1" } else { "/" };
        let input = format!("{} {target} HTTP/1.1\r\nHost: a:1\r\n\r\n", method.as_str());
        assert!(matches!(parse_request(input.as_bytes(), &DEFAULT), Ok(Some(_))), "{input:?}");
    }
}

#[test]
fn every_byte_of_a_target_value_and_name_is_judged() {
    for byte in 0..=255u8 {
        let judge = |before: &str, after: &str| {
            let input = [before.as_bytes(), &[byte], after.as_bytes()].concat();
            matches!(parse_request(&input, &DEFAULT), Ok(Some(_)))
        };
        assert_eq!(judge("GET /a", "b HTTP/1.1\r\nHost: a\r\n\r\n"), byte.is_ascii_graphic(), "target {byte:#x}");
        assert_eq!(judge("GET /?a", "b HTTP/1.1\r\nHost: a\r\n\r\n"), byte.is_ascii_graphic(), "query {byte:#x}");
        let in_value = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        assert_eq!(judge("GET / HTTP/1.1\r\nHost: a\r\nX: a", "b\r\n\r\n"), in_value, "value {byte:#x}");
        assert_eq!(
            judge("GET / HTTP/1.1\r\nHost: a\r\nX: 01234567", "890123456789\r\n\r\n"),
            in_value,
            "value {byte:#x}"
        );
        let in_name = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte) || byte == b':';
        assert_eq!(judge("GET / HTTP/1.1\r\nHost: a\r\nX-", "a: b\r\n\r\n"), in_name, "name {byte:#x}");
        assert_eq!(
            judge("GET / HTTP/1.1\r\nHost: a\r\nX-some-longer-name-", "a: b\r\n\r\n"),
            in_name,
            "long name {byte:#x}"
        );
        let in_host = byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@[]".contains(&byte);
        assert_eq!(judge("GET / HTTP/1.1\r\nHost: a", "b\r\n\r\n"), in_host, "host {byte:#x}");
    }
}

fn many_headers(count: usize) -> String {
    let fields: String = (1..count).map(|number| format!("x-{number}: {number}\r\n")).collect();
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn at_most_a_hundred_headers() {
    assert!(matches!(parse_request(many_headers(100).as_bytes(), &DEFAULT), Ok(Some(_))));
    assert_eq!(parse_request(many_headers(101).as_bytes(), &DEFAULT), Err(RequestError::TooManyHeaders));
    let more = Limits { max_headers: 200, ..DEFAULT };
    assert!(matches!(parse_request(many_headers(200).as_bytes(), &more), Ok(Some(_))));
    let unlimited = Limits { max_headers: usize::MAX, ..DEFAULT };
    assert_eq!(parse_request(many_headers(201).as_bytes(), &unlimited), Err(RequestError::TooManyHeaders));
}

#[test]
fn at_most_so_many_bytes() {
    let head = |length: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "v".repeat(length - rest))
    };
    let limit = DEFAULT.max_head_bytes;
    assert_eq!(limit, 61440);
    assert!(matches!(parse_request(head(limit).as_bytes(), &DEFAULT), Ok(Some(_))));
    assert_eq!(parse_request(head(limit + 1).as_bytes(), &DEFAULT), Err(RequestError::HeadTooLarge));
    let incomplete = head(limit + 100);
    assert_eq!(parse_request(&incomplete.as_bytes()[..limit - 1], &DEFAULT), Ok(None));
    assert_eq!(parse_request(&incomplete.as_bytes()[..limit], &DEFAULT), Err(RequestError::HeadTooLarge));
    let long_name = format!("GET / HTTP/1.1\r\nHost: a\r\n{}: b\r\n\r\n", "n".repeat(70_000));
    let large = Limits { max_head_bytes: 1 << 20, ..DEFAULT };
    assert_eq!(parse_request(long_name.as_bytes(), &large), Err(RequestError::HeadTooLarge));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "p".repeat(limit));
    assert_eq!(parse_request(long_target.as_bytes(), &DEFAULT), Err(RequestError::HeadTooLarge));
}

#[test]
fn underscores_follow_their_action() {
    let input = "GET / HTTP/1.1\r\nHost: a\r\nX_A: b\r\nx-c: d\r\n\r\n";
    let with = |underscores| parse_request(input.as_bytes(), &Limits { underscores, ..DEFAULT });
    let taken = |line: &str| Ok(Some((input.len(), line.to_owned())));
    assert_eq!(with(Underscores::Allow), taken("GET / @a None keep | x_a=b | x-c=d"));
    assert_eq!(with(Underscores::Drop), taken("GET / @a None keep | x-c=d"));
    assert_eq!(with(Underscores::Reject), Err(RequestError::Underscore));
}

#[test]
fn errors_have_their_status_and_detail() {
    for (error, status, detail) in [
        (RequestError::Method, 400, "http1.codec_error"),
        (RequestError::Target, 400, "http1.codec_error"),
        (RequestError::AbsoluteTarget, 400, "http1.invalid_url"),
        (RequestError::Version, 426, "low_version"),
        (RequestError::FieldValue, 400, "http1.invalid_characters"),
        (RequestError::TooManyHeaders, 431, "http1.too_many_headers"),
        (RequestError::HeadTooLarge, 431, "http1.headers_too_large"),
        (RequestError::TransferEncoding, 501, "http1.invalid_transfer_encoding"),
        (RequestError::IdentityTransferEncoding, 400, "http1.codec_error"),
        (RequestError::ContentLengthWithTransferEncoding, 400, "http1.content_length_and_chunked_not_allowed"),
        (RequestError::MissingHost, 400, "missing_host_header"),
        (RequestError::ConnectionNomination, 400, "http1.connection_header_rejected"),
        (RequestError::BodyDisallowed, 400, "http1.body_disallowed"),
    ] {
        assert_eq!((error.status(), error.detail()), (status, detail), "{error}");
        assert!(!error.to_string().is_empty());
    }
}
