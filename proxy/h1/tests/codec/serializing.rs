//! What goes out.

use selvedge_h1::{
    BodyLength, Expectation, Fields, Header, Limits, LocalReply, Method, RequestHead, ResponseHead, Version,
    write_local_reply, write_request, write_response,
};

use crate::support::text;

fn request(input: &str) -> RequestHead {
    let mut head = RequestHead::new();
    assert_eq!(head.parse(input.as_bytes(), &Limits::DEFAULT), Ok(Some(input.len())), "{input:?}");
    head
}

fn response(input: &str, method: Method, upgrade: bool) -> ResponseHead {
    let mut head = ResponseHead::new();
    let consumed = head.parse(input.as_bytes(), Expectation { method, upgrade }, &Limits::DEFAULT);
    assert_eq!(consumed, Ok(Some(input.len())), "{input:?}");
    head
}

fn sent(head: &RequestHead, close: bool) -> String {
    let mut out = b"before ".to_vec();
    write_request(head, close, &mut out);
    text(out.strip_prefix(b"before ").unwrap())
}

fn answered(head: &ResponseHead, version: Version, close: bool) -> String {
    let mut out = vec![];
    write_response(head, version, close, &mut out);
    text(&out)
}

#[test]
fn requests_as_the_upstream_sees_them() {
    for (input, output) in [
        ("GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n", "GET /a?b HTTP/1.1\r\nhost: a\r\nx-a: b\r\n\r\n"),
        (
            "GET http://b/c HTTP/1.1\r\nHost: a\r\nX-A:b\r\nX-B: c \r\nX-C: d\r\n\r\n",
            "GET /c HTTP/1.1\r\nhost: b\r\nx-a: b\r\nx-b: c\r\nx-c: d\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 005\r\nX-A: b\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\nx-a: b\r\ncontent-length: 5\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"),
        ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"),
        ("OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: b\r\ncontent-length: 0\r\n\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade, x-a\r\nX-A: b\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
        ),
    ] {
        assert_eq!(sent(&request(input), false), output, "{input:?}");
    }
    let closing = request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(sent(&closing, true), "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
}

#[test]
fn what_is_sent_is_parsed_again_as_the_same() {
    for (input, _) in crate::requests::ACCEPTED {
        let first = sent(&request(input), false);
        let mut again = RequestHead::new();
        if again.parse(first.as_bytes(), &Limits::DEFAULT) == Ok(Some(first.len())) {
            assert_eq!(sent(&again, false), first, "{input:?}");
        } else {
            panic!("{first:?} was not understood");
        }
    }
}

#[test]
fn changed_requests() {
    let mut head = request("GET /a/../b HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-Forwarded-For: 1.1.1.1\r\nX-B: 2\r\n\r\n");
    head.append_path_as(Header::XEnvoyOriginalPath).unwrap();
    head.append_authority_as(Header::XEnvoyOriginalHost).unwrap();
    head.set_path(b"/new?q").unwrap();
    head.set_authority(b"other").unwrap();
    head.fields_mut().extend_list(Header::XForwardedFor, b",", b"2.2.2.2").unwrap();
    head.fields_mut().remove_name(b"x-a");
    head.fields_mut().append(b"x-c", b"3").unwrap();
    assert_eq!(
        sent(&head, false),
        "GET /new?q HTTP/1.1\r\nhost: other\r\nx-b: 2\r\nx-envoy-original-path: /a/../b\r\n\
         x-envoy-original-host: a\r\nx-forwarded-for: 1.1.1.1,2.2.2.2\r\nx-c: 3\r\n\r\n"
    );
    assert_eq!(head.original_path_and_query(), b"/a/../b");
    assert_eq!((head.path(), head.query()), (&b"/new"[..], Some(&b"q"[..])));
}

#[test]
fn framing_fields_are_never_written_as_stored() {
    let mut head = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    for (name, value) in [
        ("content-length", "7"),
        ("transfer-encoding", "chunked"),
        ("connection", "x"),
        ("host", "evil"),
        ("upgrade", "y"),
    ] {
        head.fields_mut().set(name.as_bytes(), value.as_bytes()).unwrap();
    }
    assert_eq!(sent(&head, false), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n");
    head.body = BodyLength::Chunked;
    assert_eq!(sent(&head, false), "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
}

#[test]
fn responses_as_the_client_sees_them() {
    let (get, head) = (Method::Get, Method::Head);
    for (method, input, output) in [
        (
            get,
            "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX-A: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 5\r\n\r\n",
        ),
        (get, "HTTP/1.0 404 Gone\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
        (
            get,
            "HTTP/1.1 299 x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 299 Unknown\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (get, "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"),
        (head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        (head, "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
        (
            get,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        ),
        (get, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        (get, "HTTP/1.1 103 x\r\nLink: y\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: y\r\n\r\n"),
        (get, "HTTP/1.1 100 x\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        assert_eq!(answered(&response(input, method, false), Version::Http11, false), output, "{input:?}");
    }
    let switching = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\n";
    assert_eq!(
        answered(&response(switching, get, true), Version::Http11, true),
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: y\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    );
}

#[test]
fn connection_depends_on_the_client_version() {
    let mut head = response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::Get, false);
    assert_eq!(
        answered(&head, Version::Http11, true),
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        answered(&head, Version::Http10, false),
        "HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n"
    );
    head.body = BodyLength::Chunked.towards(Version::Http10);
    assert_eq!(answered(&head, Version::Http10, false), "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n");
}

#[test]
fn local_replies() {
    let mut fields = Fields::new();
    fields.append(b"location", b"/x").unwrap();
    let reply = LocalReply {
        status: 301,
        content_type: "text/plain",
        body: b"moved",
        fields: &fields,
        version: Version::Http11,
        close: true,
        head_request: false,
    };
    let write = |reply: LocalReply<'_>| {
        let mut out = vec![];
        write_local_reply(&reply, &mut out);
        text(&out)
    };
    let head = "HTTP/1.1 301 Moved Permanently\r\ncontent-length: 5\r\ncontent-type: text/plain\r\nlocation: /x\r\n\
                connection: close\r\n\r\n";
    assert_eq!(write(reply), format!("{head}moved"));
    assert_eq!(write(LocalReply { head_request: true, ..reply }), head);
    let empty = LocalReply { status: 503, body: b"", fields: &Fields::new(), close: false, ..reply };
    assert_eq!(write(empty), "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(
        write(LocalReply { status: 204, ..reply }),
        "HTTP/1.1 204 No Content\r\nlocation: /x\r\nconnection: close\r\n\r\n"
    );
}

#[test]
fn heads_of_our_own() {
    let mut head = RequestHead::new();
    head.start(Method::Get, b"/healthz", b"a:80").unwrap();
    head.fields_mut().append(b"user-agent", b"x").unwrap();
    assert_eq!(sent(&head, false), "GET /healthz HTTP/1.1\r\nhost: a:80\r\nuser-agent: x\r\n\r\n");
    let mut reply = ResponseHead::new();
    reply.start(403, BodyLength::Fixed(19));
    reply.fields_mut().append(b"content-type", b"text/plain").unwrap();
    assert_eq!(
        answered(&reply, Version::Http11, false),
        "HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: 19\r\n\r\n"
    );
}
