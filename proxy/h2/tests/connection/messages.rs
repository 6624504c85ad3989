//! Whole messages from one end to the other.

use h1::{BodyLength, Fields, Scheme};
use selvedge_h2::{Code, Config};

use crate::support::{Pair, get, request, response};

const DEFAULT: fn() -> Config = Config::default;

#[test]
fn a_request_and_its_response() {
    let mut pair = Pair::new(DEFAULT(), DEFAULT());
    let head = request("POST /a?b HTTP/1.1\nHost: example.com\nX-A: 1\nContent-Length: 5\nTE: gzip, trailers\n\n");
    let Pair { client, .. } = &mut pair;
    let key = client.connection.open(&head, Scheme::Http, false, (), &mut client.out).unwrap();
    assert_eq!(client.connection.send_data(key, b"hello", true, &mut client.out), 5);
    let (_, told) = pair.exchange();
    assert_eq!(
        told,
        ["1: POST /a?b @example.com Fixed(5) | x-a=1 | te=trailers | content-length=5", "1: data \"hello\" end"]
    );
    let server = &mut pair.server;
    let key = server.key(1);
    server.connection.send_response(key, &response(103, BodyLength::None), false, &mut server.out);
    server.connection.send_response(key, &response(200, BodyLength::Chunked), false, &mut server.out);
    assert_eq!(server.connection.send_data(key, b"answer", false, &mut server.out), 6);
    let mut trailers = Fields::new();
    trailers.append(b"grpc-status", b"0").unwrap();
    server.connection.send_trailers(key, &trailers, &mut server.out);
    assert_eq!(server.connection.release(key, &mut server.out), Some(()));
    let (told, _) = pair.exchange();
    assert_eq!(told, ["1: 103 None", "1: 200 Chunked", "1: data \"answer\"", "1: trailers | grpc-status=0"]);
    assert_eq!((pair.server.connection.active(), pair.client.connection.active()), (0, 1));
}

#[test]
fn a_stream_may_be_given_up() {
    let mut pair = Pair::new(DEFAULT(), DEFAULT());
    let client = &mut pair.client;
    let key = client.connection.open(&get("/"), Scheme::Https, false, (), &mut client.out).unwrap();
    pair.exchange();
    assert_eq!(pair.client.connection.release(key, &mut pair.client.out), Some(()));
    let (_, told) = pair.exchange();
    assert_eq!(told, ["1: reset CANCEL by peer"]);
    let server = &mut pair.server;
    let key = server.key(1);
    // It is gone: nothing that is done to it is sent.
    server.connection.reset(key, Code::INTERNAL_ERROR, &mut server.out);
    server.connection.send_response(key, &response(200, BodyLength::None), true, &mut server.out);
    assert_eq!(server.connection.send_data(key, b"x", true, &mut server.out), 0);
    assert_eq!(server.connection.release(key, &mut server.out), None);
    assert_eq!(server.out, b"");
}
