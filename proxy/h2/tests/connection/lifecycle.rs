//! How streams and connections begin and end, and who is told.

use h1::{BodyLength, Fields, Scheme};
use selvedge_h2::{Code, Config, Key, OpenError, Role};

use crate::support::{End, Pair, get, request as parsed, response};
use crate::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PREFACE, SETTINGS, block, describe_frames,
    frame, request, reset, setting, window_update,
};

fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// A client with so many open streams, whose server said these settings.
fn client(streams: usize, settings: &[u8]) -> End {
    let mut end = End::new(Role::Client, Config::default());
    end.receive(settings).unwrap();
    for _ in 0..streams {
        let key = open(&mut end).unwrap();
        end.keys.push(key);
    }
    end.out.clear();
    end
}

fn open(end: &mut End) -> Result<Key, OpenError> {
    let may_open = end.connection.can_open();
    let opened = end.connection.open(&get("/"), Scheme::Http, true, (), &mut end.out);
    assert_eq!(opened.is_ok(), may_open);
    opened
}

fn server(input: &[u8]) -> End {
    let mut end = End::new(Role::Server, Config { max_concurrent_streams: 10, ..Config::default() });
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), input].concat()).unwrap();
    end.out.clear();
    end
}

#[test]
fn a_peer_takes_so_many_streams() {
    let mut end = client(2, &setting(3, 2));
    assert_eq!(open(&mut end), Err(OpenError::TooManyStreams));
    end.connection.release(end.key(1), &mut end.out);
    assert!(open(&mut end).is_ok());
    end.receive(&setting(3, 0)).unwrap();
    assert_eq!(open(&mut end), Err(OpenError::TooManyStreams));
    end.receive(&setting(3, 9)).unwrap();
    assert!(open(&mut end).is_ok());
    // Before it said so, a hundred are guessed; if it says nothing there is no bound.
    let mut end = End::new(Role::Client, Config::default());
    assert!(!end.connection.has_settings());
    assert_eq!((0..200).take_while(|_| open(&mut end).is_ok()).count(), 100);
    end.receive(&frame(SETTINGS, 0, 0, &[])).unwrap();
    assert!(open(&mut end).is_ok() && end.connection.has_settings());
}

#[test]
fn a_peer_that_goes_away_refuses_the_streams_beyond_its_last() {
    let mut end = client(4, &frame(SETTINGS, 0, 0, &[]));
    assert_eq!(
        end.receive(&go_away(3, 0)).unwrap(),
        ["goaway 3 NO_ERROR", "5: reset REFUSED_STREAM by peer", "7: reset REFUSED_STREAM by peer"]
    );
    assert_eq!(open(&mut end), Err(OpenError::GoingAway));
    assert!(end.connection.is_going_away());
    assert!(end.out.is_empty(), "a refused stream is not reset");
    // Those up to it go on, and a later word cannot take the others back.
    assert_eq!(end.receive(&frame(1, 5, 1, &[0x88])).unwrap(), ["1: 200 None end"]);
    assert_eq!(end.receive(&go_away(9, 0)).unwrap(), ["goaway 9 NO_ERROR"]);
    assert_eq!(end.receive(&go_away(1, 2)).unwrap(), ["goaway 1 INTERNAL_ERROR", "3: reset REFUSED_STREAM by peer"]);
}

#[test]
fn draining_refuses_nobody() {
    let mut end = server(&request(1, END_STREAM));
    end.connection.drain(&mut end.out);
    end.connection.drain(&mut end.out);
    assert_eq!(describe_frames(&end.out), ["GOAWAY 2147483647 NO_ERROR"]);
    assert_eq!(end.receive(&request(3, END_STREAM)).unwrap().len(), 1);
    end.out.clear();
    end.connection.go_away(Code::NO_ERROR, &mut end.out);
    assert_eq!(describe_frames(&end.out), ["GOAWAY 3 NO_ERROR"]);
    // What was under way then is passed over, its content too.
    end.out.clear();
    assert_eq!(end.receive(&[request(5, 0), frame(DATA, 0, 5, b"abc"), reset(5, 8)].concat()).unwrap(), [""; 0]);
    assert!(end.out.is_empty());
    let key = end.key(3);
    end.connection.send_response(key, &response(200, BodyLength::None), true, &mut end.out);
    assert_eq!(describe_frames(&end.out), ["HEADERS 3 end"]);
}

#[test]
fn an_error_names_the_last_stream() {
    let mut end = server(&[request(1, END_STREAM), request(5, END_STREAM)].concat());
    end.receive(&frame(DATA, 0, 7, b"x")).unwrap_err();
    assert_eq!(describe_frames(&end.out), ["GOAWAY 5 PROTOCOL_ERROR"]);
}

#[test]
fn releasing_resets_what_is_not_over() {
    let ok = || response(200, BodyLength::None);
    // (request ended, response sent, response ended) and what is written in the end.
    for (flags, sent, end_of_response, expected) in [
        (END_STREAM, true, true, None),
        (0, true, true, Some("RST_STREAM 1 NO_ERROR")),
        (0, true, false, Some("RST_STREAM 1 CANCEL")),
        (END_STREAM, true, false, Some("RST_STREAM 1 CANCEL")),
        (END_STREAM, false, false, Some("RST_STREAM 1 CANCEL")),
    ] {
        let mut end = server(&request(1, flags));
        let key = end.key(1);
        if sent {
            end.connection.send_response(key, &ok(), end_of_response, &mut end.out);
        }
        end.out.clear();
        assert_eq!(end.connection.release(key, &mut end.out), Some(()));
        assert_eq!(describe_frames(&end.out), expected.into_iter().collect::<Vec<_>>());
        assert!(end.connection.get(key).is_none());
        assert_eq!(end.connection.active(), 0);
    }
}

#[test]
fn a_key_never_means_another_stream() {
    let mut end = server(&request(1, END_STREAM));
    let old = end.key(1);
    end.connection.release(old, &mut end.out);
    end.receive(&request(3, END_STREAM)).unwrap();
    let new = end.key(3);
    assert!(end.connection.get(old).is_none() && end.connection.get(new).is_some());
    end.out.clear();
    end.connection.reset(old, Code::CANCEL, &mut end.out);
    end.connection.send_response(old, &response(200, BodyLength::None), true, &mut end.out);
    end.connection.accept(old, ());
    assert_eq!(end.connection.release(old, &mut end.out), None);
    assert!(end.out.is_empty());
    assert_eq!(end.connection.values().count(), 1);
}

#[test]
fn a_client_that_gave_up_ignores_the_answer() {
    let mut end = client(1, &frame(SETTINGS, 0, 0, &[]));
    let key = end.key(1);
    end.connection.release(key, &mut end.out);
    assert_eq!(describe_frames(&end.out), ["RST_STREAM 1 CANCEL"]);
    let answer = [frame(1, 4, 1, &[0x88]), frame(DATA, END_STREAM, 1, b"late")].concat();
    assert_eq!(end.receive(&answer).unwrap(), [""; 0]);
    // So it does however many others it gave up since.
    for _ in 0..200 {
        let key = open(&mut end).unwrap();
        end.connection.release(key, &mut end.out);
    }
    end.out.clear();
    assert_eq!(end.receive(&answer).unwrap(), [""; 0]);
    assert!(end.out.is_empty());
}

#[test]
fn streams_that_are_given_up_together_are_no_harm_to_the_others() {
    const GIVEN_UP: u32 = 1_000;
    let mut end = client(GIVEN_UP as usize + 1, &setting(3, 2 * GIVEN_UP));
    let survivor = GIVEN_UP * 2 + 1;
    for number in 0..GIVEN_UP {
        end.connection.release(end.key(number * 2 + 1), &mut end.out);
    }
    end.out.clear();
    // What the server had on its way to them: more than the window of the connection in all, and whatever frames there are.
    for number in 0..GIVEN_UP {
        let stream = number * 2 + 1;
        let answer = [
            frame(1, 4, stream, &[0x88]),
            frame(DATA, 0, stream, &[b'x'; 16_000]),
            frame(DATA, 0, stream, b""),
            frame(DATA, 0, stream, b"x"),
            window_update(stream, 1),
            frame(DATA, END_STREAM, stream, b""),
            reset(stream, 0),
        ];
        assert_eq!(end.receive(&answer.concat()).unwrap(), [""; 0]);
    }
    let said = describe_frames(&end.out);
    assert!(said.iter().all(|line| line.starts_with("WINDOW_UPDATE 0")), "{said:?}");
    let back: u32 = said.iter().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u32>().unwrap()).sum();
    assert!(back > GIVEN_UP * 16_000 - Config::default().initial_connection_window / 2, "{back}");
    let answer = [frame(1, 4, survivor, &[0x88]), frame(DATA, END_STREAM, survivor, b"here")].concat();
    let told = end.receive(&answer).unwrap();
    assert_eq!(told, [format!("{survivor}: 200 Chunked"), format!("{survivor}: data \"here\" end")]);
}

#[test]
fn what_was_begun_is_owed_until_it_is_there() {
    let mut end = End::new(Role::Server, Config::default());
    let nothing = end.connection.owed(false);
    assert!(nothing.is_some(), "the preface");
    end.receive(PREFACE).unwrap();
    assert_eq!(end.connection.owed(false), nothing, "settings are owed with it");
    end.receive(&frame(SETTINGS, 0, 0, &[])).unwrap();
    assert_eq!(end.connection.owed(false), None);
    let part = end.connection.owed(true);
    assert!(part.is_some() && part != nothing);
    // A head in pieces is one, however many there are.
    end.receive(&frame(HEADERS, END_STREAM, 1, &block(&GET[..2]))).unwrap();
    let head = end.connection.owed(false);
    assert_eq!(head, part);
    end.receive(&frame(CONTINUATION, 0, 1, &block(&GET[2..]))).unwrap();
    assert_eq!((end.connection.owed(false), end.connection.owed(true)), (head, head));
    end.receive(&frame(CONTINUATION, END_HEADERS, 1, &[])).unwrap();
    assert_eq!(end.connection.owed(false), None);
    assert_ne!(end.connection.owed(true), head);
    // Each frame is another one.
    for frame in [request(3, 0), frame(DATA, 0, 3, b"abc"), frame(0x77, 0, 0, b"abc"), frame(0x77, 0, 0, b"")] {
        let before = end.connection.owed(true);
        end.receive(&frame).unwrap();
        assert_eq!(end.connection.owed(false), None);
        assert_ne!(end.connection.owed(true), before);
    }
}

#[test]
fn large_heads_are_continued() {
    let mut pair = Pair::new(Config::default(), Config::default());
    let mut head = get("/");
    for _ in 0..10 {
        head.fields_mut().append(b"x-large", &[b'v'; 5_000]).unwrap();
    }
    let client = &mut pair.client;
    client.connection.open(&head, Scheme::Http, true, (), &mut client.out).unwrap();
    assert_eq!(describe_frames(&client.out), ["HEADERS 1 end", "CONTINUATION 1", "CONTINUATION 1", "CONTINUATION 1"]);
    let (_, told) = pair.exchange();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].matches('v').count(), 50_000);
}

#[test]
fn a_decoder_with_a_smaller_table_is_told_once() {
    let mut end = client(0, &setting(1, 100));
    open(&mut end).unwrap();
    let first = std::mem::take(&mut end.out);
    open(&mut end).unwrap();
    assert_eq!((first[9], &first[10..]), (0x20, &end.out[9..]), "the size of the table, once and first");
}

#[test]
fn an_upgrade_is_an_extended_connect() {
    let head =
        parsed("GET /chat HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\n");
    let mut end = client(0, &frame(SETTINGS, 0, 0, &[]));
    let refused = end.connection.open(&head, Scheme::Http, false, (), &mut end.out);
    assert_eq!(refused, Err(OpenError::ExtendedConnect));
    let mut pair = Pair::new(Config::default(), Config { allow_connect: true, ..Config::default() });
    assert!(pair.client.connection.peer_allows_connect());
    let client = &mut pair.client;
    let key = client.connection.open(&head, Scheme::Https, false, (), &mut client.out).unwrap();
    let (_, told) = pair.exchange();
    assert_eq!(
        told,
        ["1: GET /chat @a None upgrade=websocket | sec-websocket-version=13 | connection=upgrade | upgrade=websocket"]
    );
    let server = &mut pair.server;
    let mut switching = response(101, BodyLength::None);
    switching.fields_mut().append(b"x-a", b"1").unwrap();
    server.connection.send_response(server.key(1), &switching, false, &mut server.out);
    assert_eq!(server.connection.send_data(server.key(1), b"to client", false, &mut server.out), 9);
    assert_eq!(pair.client.connection.send_data(key, b"to server", true, &mut pair.client.out), 9);
    let (client, server) = pair.exchange();
    assert_eq!(
        client,
        ["1: 101 None upgrade=websocket | x-a=1 | connection=upgrade | upgrade=websocket", "1: data \"to client\""]
    );
    assert_eq!(server, ["1: data \"to server\" end"]);
}

#[test]
fn what_belongs_to_http1_is_left_out() {
    let mut pair = Pair::new(Config::default(), Config::default());
    let mut head =
        parsed("POST / HTTP/1.1\nHost: a\nConnection: x-b\nKeep-Alive: 1\nTransfer-Encoding: chunked\nX-A: 1\n\n");
    head.fields_mut().append(b"te", b"gzip").unwrap();
    head.fields_mut().append(b"x-padded", b" \tv w ").unwrap();
    head.fields_mut().append(b"connection", b"close").unwrap();
    let client = &mut pair.client;
    client.connection.open(&head, Scheme::Http, false, (), &mut client.out).unwrap();
    let (_, told) = pair.exchange();
    assert_eq!(told, ["1: POST / @a Chunked | x-a=1 | x-padded=v w"]);
    let server = &mut pair.server;
    let mut head = response(200, BodyLength::None);
    head.content_length = Some(7);
    head.fields_mut().append(b"transfer-encoding", b"chunked").unwrap();
    head.fields_mut().append(b"content-length", b"9").unwrap();
    server.connection.send_response(server.key(1), &head, true, &mut server.out);
    // It announces what a HEAD would get: a GET must get it, and the client sees that it does not.
    let (told, _) = pair.exchange();
    assert_eq!(told, ["1: reset PROTOCOL_ERROR content-length and content differ"]);
}

#[test]
fn empty_trailers_are_an_empty_end() {
    let mut end = server(&request(1, END_STREAM));
    let key = end.key(1);
    end.connection.send_trailers(key, &Fields::new(), &mut end.out);
    assert!(end.out.is_empty(), "no trailers before a head");
    end.connection.send_response(key, &response(200, BodyLength::Chunked), false, &mut end.out);
    end.connection.send_trailers(key, &Fields::new(), &mut end.out);
    assert_eq!(describe_frames(&end.out), ["HEADERS 1", "DATA 1 \"\" end"]);
}

#[test]
fn a_sign_of_life() {
    let mut pair = Pair::new(Config::default(), Config::default());
    pair.client.connection.ping(*b"abcdefgh", &mut pair.client.out);
    assert_eq!(pair.exchange().0, ["pong [97, 98, 99, 100, 101, 102, 103, 104]"]);
}

#[test]
fn behind_the_peers_own_reset_nothing_may_come() {
    for released in [true, false] {
        let mut end = server(&request(1, 0));
        let received = end.connection.receive(&reset(1, 8), end.now, &mut end.out).unwrap().unwrap();
        assert!(received.event.is_some());
        if released {
            end.connection.release(end.key(1), &mut end.out);
        }
        // Once it is said, what else is under way is passed over.
        for _ in 0..3 {
            assert_eq!(end.receive(&frame(DATA, 0, 1, b"abcdef")).unwrap_or_default(), [""; 0]);
        }
        assert_eq!(describe_frames(&end.out)[0], "RST_STREAM 1 STREAM_CLOSED", "released: {released}");
        let mut end = server(&request(1, 0));
        end.connection.receive(&reset(1, 8), end.now, &mut end.out).unwrap();
        if released {
            end.connection.release(end.key(1), &mut end.out);
        }
        assert_eq!(end.receive(&request(1, END_STREAM)).unwrap_err().code, Code::STREAM_CLOSED);
    }
}

#[test]
fn an_announced_end_needs_no_frame_of_its_own() {
    let mut end = client(0, &frame(SETTINGS, 0, 0, &[]));
    let head = parsed("PUT / HTTP/1.1\nHost: a\nContent-Length: 0\n\n");
    end.connection.open(&head, Scheme::Http, true, (), &mut end.out).unwrap();
    assert_eq!(describe_frames(&end.out), ["HEADERS 1 end"]);
}
