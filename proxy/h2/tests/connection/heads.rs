//! What the heads of requests and responses may be (RFC 9113 8), one rule per line.

use h1::{Limits, Scheme, Underscores};
use selvedge_h2::{Code, Config, Event, Received, Role};

use crate::support::{End, get, request};
use crate::wire::{ACK, DATA, END_HEADERS, END_STREAM, GET, HEADERS, PREFACE, SETTINGS, block, describe_frames, frame};

type Field = (&'static str, &'static str);

/// A server that resets streams only, so that one rule does not hide another.
fn server(heads: Limits, allow_connect: bool) -> End {
    let config = Config { close_on_malformed_message: false, heads, allow_connect, ..Config::default() };
    let mut end = End::new(Role::Server, config);
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()).unwrap();
    end
}

/// What a server makes of a request with these fields.
fn taken(fields: &[Field], flags: u8, end: &mut End) -> String {
    let lines = end.receive(&frame(HEADERS, flags | END_HEADERS, 1, &block(fields))).unwrap();
    lines.join("; ")
}

fn with(fields: &[Field]) -> Vec<Field> {
    [&GET, fields].concat()
}

/// The pseudo-headers of a GET, some of them other ones; an empty name takes one out.
fn replaced(name: &'static str, by: &[Field]) -> Vec<Field> {
    GET.iter().copied().flat_map(|field| if field.0 == name { by.to_vec() } else { vec![field] }).collect()
}

#[test]
fn requests_that_are_taken() {
    let connect = [(":method", "CONNECT"), (":authority", "a:443")];
    let cases: &[(&str, Vec<Field>, u8, &str)] = &[
        ("the least", GET.to_vec(), END_STREAM, "1: GET / @a None end"),
        ("with content", GET.to_vec(), 0, "1: GET / @a Chunked"),
        ("pseudo-headers in any order", GET.iter().rev().copied().collect(), END_STREAM, "1: GET / @a None end"),
        (
            "host alone",
            [&replaced(":authority", &[])[..], &[("host", "b:1")]].concat(),
            END_STREAM,
            "1: GET / @b:1 None end",
        ),
        (
            "host that agrees",
            with(&[("x-a", "1"), ("host", "A"), ("x-b", "2")]),
            END_STREAM,
            "1: GET / @a None | x-a=1 | x-b=2 end",
        ),
        ("another scheme", replaced(":scheme", &[(":scheme", "ftp+x-1.0")]), END_STREAM, "1: GET / @a None end"),
        ("a query", replaced(":path", &[(":path", "/a%20b?c=/d?e")]), END_STREAM, "1: GET /a%20b?c=/d?e @a None end"),
        ("a fragment", replaced(":path", &[(":path", "/a?b#c")]), END_STREAM, "1: GET /a?b @a None end"),
        (
            "OPTIONS *",
            vec![(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "a")],
            END_STREAM,
            "1: OPTIONS * @a None end",
        ),
        ("PROPFIND", replaced(":method", &[(":method", "PROPFIND")]), END_STREAM, "1: PROPFIND / @a None end"),
        ("content-length", with(&[("content-length", "5")]), 0, "1: GET / @a Fixed(5) | content-length=5"),
        (
            "content-length of nothing",
            with(&[("content-length", "0")]),
            END_STREAM,
            "1: GET / @a Fixed(0) | content-length=0 end",
        ),
        ("te", with(&[("te", "trailers"), ("te", "Trailers")]), END_STREAM, "1: GET / @a None | te=trailers end"),
        ("trailer", with(&[("trailer", "x-a")]), END_STREAM, "1: GET / @a None | trailer=x-a end"),
        (
            "cookies",
            with(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]),
            END_STREAM,
            "1: GET / @a None | cookie=a=1; b=2; c=3 end",
        ),
        (
            "cookies here and there",
            with(&[("cookie", "a=1"), ("cookie", "b=2"), ("x-a", "1"), ("cookie", "c=3"), ("x-b", "2")]),
            END_STREAM,
            "1: GET / @a None | cookie=a=1; b=2; c=3 | x-a=1 | x-b=2 end",
        ),
        (
            "what is joined in HTTP/1",
            with(&[("via", "1"), ("x-a", "1"), ("via", "2"), ("x-a", "2")]),
            END_STREAM,
            "1: GET / @a None | via=1,2 | x-a=1 | x-a=2 end",
        ),
        (
            "values",
            with(&[("x-a", ""), ("x-b", "a\tb c"), ("x-c", "\u{e9}\u{20ac}"), ("x_d", "(:")]),
            END_STREAM,
            "1: GET / @a None | x-a= | x-b=a\tb c | x-c=\u{e9}\u{20ac} | x_d=(: end",
        ),
        ("names", with(&[("!#$%&'*+-.^_`|~09", "x")]), END_STREAM, "1: GET / @a None | !#$%&'*+-.^_`|~09=x end"),
        ("CONNECT", connect.to_vec(), 0, "1: CONNECT  @a:443 None"),
        ("CONNECT that ends", connect.to_vec(), END_STREAM, "1: CONNECT  @a:443 None end"),
        ("CONNECT without a port", vec![(":method", "CONNECT"), (":authority", "a")], 0, "1: CONNECT  @a None"),
        (
            "extended CONNECT",
            [&connect[..], &[(":protocol", "websocket"), (":scheme", "https"), (":path", "/chat"), ("x-a", "1")]]
                .concat(),
            0,
            "1: GET /chat @a:443 None upgrade=websocket | x-a=1 | connection=upgrade | upgrade=websocket",
        ),
    ];
    for (rule, fields, flags, expected) in cases {
        assert_eq!(taken(fields, *flags, &mut server(Limits::DEFAULT, true)), *expected, "{rule}");
    }
}

#[test]
fn requests_that_are_malformed() {
    let connect = [(":method", "CONNECT"), (":authority", "a:443")];
    let more = |fields: &[Field]| [&connect, fields].concat();
    let path = |path: &'static str| replaced(":path", &[(":path", path)]);
    let authority = |authority: &'static str| replaced(":authority", &[(":authority", authority)]);
    let cases: &[(&str, Vec<Field>)] = &[
        ("pseudo-headers missing or superfluous", vec![]),
        ("pseudo-headers missing or superfluous", replaced(":method", &[])),
        ("pseudo-headers missing or superfluous", replaced(":scheme", &[])),
        ("pseudo-headers missing or superfluous", replaced(":path", &[])),
        ("pseudo-headers missing or superfluous", replaced(":authority", &[])),
        ("pseudo-headers missing or superfluous", replaced(":method", &[(":method", "")])),
        ("pseudo-headers missing or superfluous", replaced(":method", &[(":method", "G ET")])),
        ("pseudo-headers missing or superfluous", more(&[(":scheme", "http")])),
        ("pseudo-headers missing or superfluous", more(&[(":path", "/")])),
        ("pseudo-headers missing or superfluous", vec![(":method", "CONNECT"), ("host", "a:443")]),
        ("pseudo-headers missing or superfluous", more(&[(":protocol", "websocket")])),
        ("duplicate pseudo-header", with(&[(":method", "GET")])),
        ("duplicate pseudo-header", with(&[(":scheme", "http")])),
        ("duplicate pseudo-header", with(&[(":path", "/")])),
        ("duplicate pseudo-header", with(&[(":authority", "a")])),
        ("duplicate pseudo-header", more(&[(":protocol", "a"), (":protocol", "a")])),
        ("pseudo-header behind a field", [&[("x-a", "1")], &GET[..]].concat()),
        ("pseudo-header behind a field", [&GET[..3], &[("host", "a"), GET[3]]].concat()),
        ("unknown pseudo-header", with(&[(":status", "200")])),
        ("unknown pseudo-header", with(&[(":foo", "200")])),
        ("unknown pseudo-header", with(&[(":", "200")])),
        ("unknown pseudo-header", with(&[(":Method", "GET")])),
        ("invalid scheme", replaced(":scheme", &[(":scheme", "")])),
        ("invalid scheme", replaced(":scheme", &[(":scheme", "1http")])),
        ("invalid scheme", replaced(":scheme", &[(":scheme", "http://")])),
        ("invalid path", path("")),
        ("invalid path", path("a")),
        ("invalid path", path("*")),
        ("invalid path", path("http://a/")),
        ("invalid path", path("/ HTTP/1.1")),
        ("invalid path", path("/a b")),
        ("invalid path", path("/\u{e9}")),
        ("invalid path", path("#a")),
        ("invalid path", path("?a")),
        ("invalid path", vec![(":method", "OPTIONS"), (":scheme", "http"), (":path", "*x"), (":authority", "a")]),
        ("invalid authority", authority("a b")),
        ("invalid authority", authority("a/b")),
        ("invalid authority", authority("u@a")),
        ("invalid authority", with(&[("host", "a b")])),
        ("invalid authority", with(&[("host", "a"), ("host", "a")])),
        ("invalid authority", authority("")),
        ("invalid authority", [&replaced(":authority", &[])[..], &[("host", "")]].concat()),
        ("invalid authority", vec![(":method", "CONNECT"), (":authority", "")]),
        ("authority and host differ", with(&[("host", "b")])),
        ("authority and host differ", with(&[("host", "a:80")])),
        ("unexpected extended connect", with(&[(":protocol", "websocket")])),
        ("unexpected extended connect", more(&[(":protocol", ""), (":scheme", "http"), (":path", "/")])),
        ("unexpected extended connect", more(&[(":protocol", "web socket"), (":scheme", "http"), (":path", "/")])),
        ("invalid field name", with(&[("X-a", "1")])),
        ("invalid field name", with(&[("Host", "a")])),
        ("invalid field name", with(&[("content-Type", "1")])),
        ("invalid field name", with(&[("", "1")])),
        ("invalid field name", with(&[("x a", "1")])),
        ("invalid field name", with(&[("x-a:", "1")])),
        ("invalid field name", with(&[("x\r\nb", "1")])),
        ("invalid field name", with(&[("x-\u{e9}", "1")])),
        ("invalid field value", with(&[("x-a", "1\r\nhost: b")])),
        ("invalid field value", with(&[("x-a", "1\n")])),
        ("invalid field value", with(&[("x-a", "1\r")])),
        ("invalid field value", with(&[("x-a", "a\0b")])),
        ("invalid field value", with(&[("x-a", "a\u{7f}b")])),
        ("invalid field value", with(&[("x-a", " a")])),
        ("invalid field value", with(&[("x-a", "a\t")])),
        ("invalid field value", with(&[("cookie", "a=1"), ("cookie", "b\r\nx: y")])),
        ("invalid field value", with(&[("host", "a\r\n")])),
        ("invalid field value", replaced(":path", &[(":path", "/ HTTP/1.1\r\nhost: b\r\n\r\n")])),
        ("invalid field value", replaced(":method", &[(":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET")])),
        ("invalid field value", replaced(":scheme", &[(":scheme", "http\r\n")])),
        ("invalid field value", authority("a\r\nx: y")),
        ("connection-specific field", with(&[("connection", "close")])),
        ("connection-specific field", with(&[("proxy-connection", "keep-alive")])),
        ("connection-specific field", with(&[("keep-alive", "1")])),
        ("connection-specific field", with(&[("transfer-encoding", "chunked")])),
        ("connection-specific field", with(&[("upgrade", "websocket")])),
        ("connection-specific field", with(&[("te", "gzip")])),
        ("connection-specific field", with(&[("te", "trailers, gzip")])),
        ("content-length and content differ", with(&[("content-length", "5")])),
        ("invalid content-length", with(&[("content-length", "")])),
        ("invalid content-length", with(&[("content-length", "+0")])),
        ("invalid content-length", with(&[("content-length", "0x0")])),
        ("invalid content-length", with(&[("content-length", "0, 0")])),
        ("invalid content-length", with(&[("content-length", "0"), ("content-length", "0")])),
        ("invalid content-length", with(&[("content-length", "18446744073709551616")])),
        ("content where there is none", more(&[("content-length", "1")])),
    ];
    for (reason, fields) in cases {
        let mut end = server(Limits::DEFAULT, true);
        assert_eq!(taken(fields, END_STREAM, &mut end), format!("refused PROTOCOL_ERROR {reason}"), "{fields:?}");
        assert_eq!(taken_on(3, &GET, &mut end), "3: GET / @a None end", "after {fields:?}");
    }
}

fn taken_on(stream: u32, fields: &[Field], end: &mut End) -> String {
    end.receive(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields))).unwrap().join("; ")
}

#[test]
fn a_malformed_message_may_end_its_connection() {
    let mut end = End::new(Role::Server, Config::default());
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    end.out.clear();
    // The user is told before, so that it can write a line about the request.
    let input = frame(HEADERS, END_HEADERS, 1, &block(&with(&[("upgrade", "h2c")])));
    let received = end.connection.receive(&input, end.now, &mut end.out).unwrap().unwrap();
    let (code, reason, detail) = (Code::PROTOCOL_ERROR, "connection-specific field", "http2.invalid.header.field");
    assert_eq!(received, Received { consumed: input.len(), event: Some(Event::Refused { code, reason, detail }) });
    assert!(end.out.is_empty());
    let error = end.receive(&[]).unwrap_err();
    assert_eq!(error.to_string(), "PROTOCOL_ERROR: connection-specific field");
    assert_eq!(describe_frames(&end.out), ["GOAWAY 0 PROTOCOL_ERROR"]);
}

#[test]
fn the_wrong_length_ends_only_its_stream() {
    let mut end = End::new(Role::Server, Config::default());
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    let length = with(&[("content-length", "3")]);
    let head = |stream, flags| frame(HEADERS, END_HEADERS | flags, stream, &block(&length));
    let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 5, &block(&[("x-a", "1")]));
    let input = [head(1, 0), frame(DATA, END_STREAM, 1, b"ab"), head(3, END_STREAM), head(5, 0), trailers].concat();
    let told = end.receive(&input).unwrap();
    const WRONG: &str = "PROTOCOL_ERROR content-length and content differ";
    assert_eq!(
        [&told[1], &told[2], &told[4]],
        [&format!("1: reset {WRONG}"), &format!("refused {WRONG}"), &format!("5: reset {WRONG}"),]
    );
}

#[test]
fn limits_reset_the_stream() {
    let mut end = server(Limits { max_headers: 6, ..Limits::DEFAULT }, false);
    assert_eq!(taken_on(1, &with(&[("x-a", "1"), ("x-b", "2")]), &mut end), "1: GET / @a None | x-a=1 | x-b=2 end");
    assert_eq!(taken_on(3, &with(&[("cookie", "1"), ("cookie", "2")]), &mut end), "3: GET / @a None | cookie=1; 2 end");
    assert_eq!(
        taken_on(5, &with(&[("x-a", "1"), ("x-b", "2"), ("x-c", "3")]), &mut end),
        "refused INTERNAL_ERROR too many fields"
    );
    // Each crumb is a field.
    assert_eq!(
        taken_on(7, &with(&[("cookie", "1"), ("cookie", "2"), ("cookie", "3")]), &mut end),
        "refused INTERNAL_ERROR too many fields"
    );
    // 4 pseudo-headers of 153 bytes, and 37 for a field of 5.
    let mut end = server(Limits { max_head_bytes: 210, ..Limits::DEFAULT }, false);
    assert_eq!(taken_on(1, &with(&[("x-a", "12")]), &mut end), "1: GET / @a None | x-a=12 end");
    assert_eq!(
        taken_on(3, &with(&[("x-a", "1234567890123456789012345")]), &mut end),
        "refused INTERNAL_ERROR field section too large"
    );
    let mut end = server(Limits { max_headers: 1_000, ..Limits::DEFAULT }, false);
    let many: Vec<Field> = (0..250).map(|_| ("x-a", "1")).collect();
    assert_eq!(taken_on(1, &with(&many), &mut end), "refused INTERNAL_ERROR too many fields");
    assert_eq!(
        taken_on(3, &replaced(":method", &[(":method", "QUERY")]), &mut end),
        "refused PROTOCOL_ERROR unknown method"
    );
}

#[test]
fn underscores() {
    for (underscores, expected) in [
        (Underscores::Allow, "1: GET / @a None | x_a=1 | x-b=2 end"),
        (Underscores::Drop, "1: GET / @a None | x-b=2 end"),
        (Underscores::Reject, "refused INTERNAL_ERROR underscore in a field name"),
    ] {
        let mut end = server(Limits { underscores, ..Limits::DEFAULT }, false);
        assert_eq!(taken_on(1, &with(&[("x_a", "1"), ("x-b", "2")]), &mut end), expected);
    }
}

#[test]
fn extended_connect_must_be_offered() {
    let fields =
        [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    assert_eq!(
        taken(&fields, 0, &mut server(Limits::DEFAULT, false)),
        "refused PROTOCOL_ERROR unexpected extended connect"
    );
}

#[test]
fn trailers() {
    let cases: &[(&[Field], u8, &str)] = &[
        (&[("grpc-status", "0"), ("x-a", "1")], END_STREAM, "1: trailers | grpc-status=0 | x-a=1"),
        (&[("te", "x"), ("expect", "x"), ("x-a", "1")], END_STREAM, "1: trailers | x-a=1"),
        (&[("content-length", "1")], END_STREAM, "1: reset PROTOCOL_ERROR field that has no place in trailers"),
        (&[("host", "b")], END_STREAM, "1: reset PROTOCOL_ERROR field that has no place in trailers"),
        (&[(":path", "/")], END_STREAM, "1: reset PROTOCOL_ERROR unknown pseudo-header"),
        (&[("connection", "close")], END_STREAM, "1: reset PROTOCOL_ERROR connection-specific field"),
        (&[("X-A", "1")], END_STREAM, "1: reset PROTOCOL_ERROR invalid field name"),
        (&[("x-a", "a\nb")], END_STREAM, "1: reset PROTOCOL_ERROR invalid field value"),
        (&[("x-a", "1")], 0, "1: reset PROTOCOL_ERROR trailers that are not the end"),
    ];
    for (fields, flags, expected) in cases {
        let mut end = server(Limits::DEFAULT, false);
        taken(&GET, 0, &mut end);
        assert_eq!(taken(fields, *flags, &mut end), *expected, "{fields:?}");
    }
}

#[test]
fn content_is_as_long_as_announced() {
    const WRONG: &str = "1: reset PROTOCOL_ERROR content-length and content differ";
    let trailers = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&[("x-a", "1")]));
    for (frames, expected) in [
        (vec![frame(DATA, 0, 1, b"ab"), frame(DATA, END_STREAM, 1, b"c")], "1: data \"ab\"; 1: data \"c\" end"),
        (vec![frame(DATA, 0, 1, b"abc"), frame(DATA, END_STREAM, 1, b"")], "1: data \"abc\"; 1: data \"\" end"),
        (vec![frame(DATA, 0, 1, b"abc"), trailers.clone()], "1: data \"abc\"; 1: trailers | x-a=1"),
        (vec![frame(DATA, END_STREAM, 1, b"ab")], WRONG),
        (vec![frame(DATA, 0, 1, b"abcd")], WRONG),
        (vec![frame(DATA, END_STREAM, 1, b"abcd")], WRONG),
        (vec![trailers], WRONG),
    ] {
        let mut end = server(Limits::DEFAULT, false);
        taken(&with(&[("content-length", "3")]), 0, &mut end);
        assert_eq!(end.receive(&frames.concat()).unwrap().join("; "), expected);
    }
}

/// What a client makes of a response to a request.
fn answered(head: &h1::RequestHead, frames: &[Vec<u8>]) -> String {
    let mut end = End::new(Role::Client, Config { close_on_malformed_message: false, ..Config::default() });
    let connect = [0, 8, 0, 0, 0, 1];
    end.receive(&[frame(SETTINGS, 0, 0, &connect), frame(SETTINGS, ACK, 0, &[])].concat()).unwrap();
    end.connection.open(head, Scheme::Http, false, (), &mut end.out).unwrap();
    end.receive(&frames.concat()).unwrap().join("; ")
}

fn head(fields: &[Field], flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, 1, &block(fields))
}

#[test]
fn responses() {
    let ok = (":status", "200");
    let end = END_STREAM;
    let cases: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (vec![head(&[ok, ("x-a", "1")], 0)], "1: 200 Chunked | x-a=1"),
        (vec![head(&[ok], end)], "1: 200 None end"),
        (
            vec![head(&[ok, ("content-length", "2")], 0), frame(DATA, end, 1, b"ab")],
            "1: 200 Fixed(2) | content-length=2; 1: data \"ab\" end",
        ),
        (
            vec![head(&[(":status", "100")], 0), head(&[(":status", "103"), ("link", "a")], 0), head(&[ok], end)],
            "1: 100 None; 1: 103 None | link=a; 1: 200 None end",
        ),
        (vec![head(&[(":status", "204"), ("content-length", "0")], end)], "1: 204 None end"),
        (vec![head(&[(":status", "304"), ("content-length", "9")], end)], "1: 304 None | content-length=9 end"),
        (vec![head(&[(":status", "999")], end)], "1: 999 None end"),
        (
            vec![head(&[ok, ("te", "x"), ("proxy-authenticate", "x"), ("vary", "a"), ("vary", "b")], end)],
            "1: 200 None | vary=a,b end",
        ),
        (
            vec![head(&[(":status", "304")], 0), frame(DATA, end, 1, b"x")],
            "1: 304 None; 1: reset PROTOCOL_ERROR content-length and content differ",
        ),
        (
            vec![head(&[(":status", "204"), ("content-length", "1")], end)],
            "1: reset PROTOCOL_ERROR content where there is none",
        ),
        (vec![head(&[(":status", "101")], 0)], "1: reset PROTOCOL_ERROR invalid status"),
        (vec![head(&[(":status", "103")], end)], "1: reset PROTOCOL_ERROR invalid status"),
        (vec![head(&[(":status", "20")], end)], "1: reset PROTOCOL_ERROR invalid status"),
        (vec![head(&[(":status", "099")], end)], "1: reset PROTOCOL_ERROR invalid status"),
        (vec![head(&[(":status", "200 OK")], end)], "1: reset PROTOCOL_ERROR invalid status"),
        (vec![head(&[("x-a", "1")], end)], "1: reset PROTOCOL_ERROR pseudo-headers missing or superfluous"),
        (vec![head(&[("x-a", "1"), ok], end)], "1: reset PROTOCOL_ERROR pseudo-header behind a field"),
        (vec![head(&[ok, ok], end)], "1: reset PROTOCOL_ERROR duplicate pseudo-header"),
        (vec![head(&[ok, (":path", "/")], end)], "1: reset PROTOCOL_ERROR unknown pseudo-header"),
        (vec![head(&[ok, ("transfer-encoding", "chunked")], 0)], "1: reset PROTOCOL_ERROR connection-specific field"),
        (vec![head(&[ok, ("connection", "close")], 0)], "1: reset PROTOCOL_ERROR connection-specific field"),
        (vec![head(&[ok, ("x-a", "1\r\n")], 0)], "1: reset PROTOCOL_ERROR invalid field value"),
        (vec![head(&[ok, ("content-length", "1")], end)], "1: reset PROTOCOL_ERROR content-length and content differ"),
        (
            vec![head(&[ok, ("content-length", "1"), ("content-length", "1")], 0)],
            "1: reset PROTOCOL_ERROR invalid content-length",
        ),
    ];
    for (frames, expected) in cases {
        assert_eq!(answered(&get("/"), &frames), expected);
    }
}

#[test]
fn responses_depend_on_their_requests() {
    let connect = request("CONNECT a:443 HTTP/1.1\nHost: a\n\n");
    let upgrade = request("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket\n\n");
    let head_request = request("HEAD / HTTP/1.1\nHost: a\n\n");
    let ok = [(":status", "200"), ("content-length", "3")];
    let data = || frame(DATA, 0, 1, b"abcd");
    assert_eq!(answered(&head_request, &[head(&ok, END_STREAM)]), "1: 200 None | content-length=3 end");
    assert_eq!(
        answered(&head_request, &[head(&ok, 0), frame(DATA, END_STREAM, 1, b"")]),
        "1: 200 None | content-length=3; 1: data \"\" end"
    );
    assert_eq!(
        answered(&head_request, &[head(&ok, 0), data()]),
        "1: 200 None | content-length=3; 1: reset PROTOCOL_ERROR content-length and content differ"
    );
    assert_eq!(answered(&connect, &[head(&ok, 0), data()]), "1: 200 None | content-length=3; 1: data \"abcd\"");
    assert_eq!(
        answered(&upgrade, &[head(&ok, 0), data()]),
        "1: 101 None upgrade=websocket | connection=upgrade | upgrade=websocket; 1: data \"abcd\""
    );
    assert_eq!(
        answered(&upgrade, &[head(&[(":status", "403"), ("content-length", "4")], 0), data()]),
        "1: 403 Fixed(4) | content-length=4; 1: data \"abcd\""
    );
}
