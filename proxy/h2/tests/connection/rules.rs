//! What each frame may be, one rule per line (RFC 9113 3.4, 4, 5, 6).

mod messages;

use selvedge_h2::{Config, Role};

use crate::support::{End, get};
use crate::wire::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, describe_frames, frame, request, reset, setting, window_update,
};

/// What came of an input: what the user was told, then what was written, then the error.
fn outcome(end: &mut End, input: &[u8], piece: usize) -> Vec<String> {
    end.out.clear();
    let mut pending = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    for piece in input.chunks(piece) {
        pending.extend_from_slice(piece);
        match end.receive_some(&pending) {
            Ok((consumed, told)) => {
                pending.drain(..consumed);
                told.into_iter().for_each(|line| push_merged(&mut lines, line));
            }
            Err(error) => {
                std::mem::take(&mut end.told).into_iter().for_each(|line| push_merged(&mut lines, line));
                lines.push(format!("error: {}", error.reason));
                break;
            }
        }
    }
    let written = describe_frames(&end.out);
    lines.extend(written.into_iter().filter(|line| !line.starts_with("WINDOW_UPDATE")));
    lines
}

/// Content that arrives in pieces is the same as content that arrives at once.
fn push_merged(lines: &mut Vec<String>, line: String) {
    if let Some(last) = lines.last_mut()
        && let (Some((stream, before)), Some((other, more))) =
            (last.split_once(": data \""), line.split_once(": data \""))
        && stream == other
        && let Some(before) = before.strip_suffix('"')
    {
        *last = format!("{stream}: data \"{before}{more}");
        return;
    }
    lines.push(line);
}

/// A server that has exchanged settings with its client.
fn server() -> End {
    let config = Config { close_on_malformed_message: false, max_concurrent_streams: 3, ..Config::default() };
    let mut end = End::new(Role::Server, config);
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()).unwrap();
    end
}

fn client() -> End {
    let mut end = End::new(Role::Client, Config { close_on_malformed_message: false, ..Config::default() });
    end.receive(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat()).unwrap();
    for _ in 0..2 {
        let key = end.connection.open(&get("/"), h1::Scheme::Http, true, (), &mut end.out).unwrap();
        end.keys.push(key);
    }
    end
}

/// A rule, the frames that show it, and what comes of them.
type Case<'a> = (&'a str, Vec<Vec<u8>>, &'a [&'a str]);

fn check(new_end: fn() -> End, cases: &[Case<'_>]) {
    for (rule, frames, expected) in cases {
        let input = frames.concat();
        for piece in [input.len().max(1), 1, 3] {
            assert_eq!(outcome(&mut new_end(), &input, piece), *expected, "{rule}, in pieces of {piece}");
        }
    }
}

const GET_ENDED: &str = "1: GET / @a None end";
const GET_OPEN: &str = "1: GET / @a Chunked";

#[test]
fn beginnings() {
    let settings = || frame(SETTINGS, 0, 0, &[]);
    let fresh = || End::new(Role::Server, Config::default());
    check(
        fresh,
        &[
            ("the preface", vec![PREFACE.to_vec(), settings()], &["writable None", "SETTINGS ack"]),
            (
                "HTTP/1",
                vec![b"GET / HTTP/1.1\r\n\r\n".to_vec()],
                &["error: invalid connection preface", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "nearly the preface",
                vec![b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx".to_vec()],
                &["error: invalid connection preface", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "no settings",
                vec![PREFACE.to_vec(), request(1, END_STREAM)],
                &["error: the first frame is not SETTINGS", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "an answer to settings",
                vec![PREFACE.to_vec(), frame(SETTINGS, ACK, 0, &[])],
                &["error: the first frame is not SETTINGS", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
        ],
    );
    let fresh = || End::new(Role::Client, Config::default());
    check(fresh, &[("a client gets no preface", vec![settings()], &["writable None", "SETTINGS ack"])]);
}

#[test]
fn frames_in_general() {
    check(
        server,
        &[
            ("an unknown type", vec![frame(0x16, 0xff, 7, b"anything"), request(1, END_STREAM)], &[GET_ENDED]),
            ("an unknown type without payload", vec![frame(0xff, 0, 0, b""), request(1, END_STREAM)], &[GET_ENDED]),
            ("unknown flags", vec![frame(PING, 0xfe, 0, b"12345678")], &["PING ack"]),
            ("the reserved bit", vec![request(1 | 1 << 31, END_STREAM)], &[GET_ENDED]),
            (
                "too large",
                vec![frame(DATA, 0, 1, &[0; 16_385])],
                &["error: frame too large", "GOAWAY 0 FRAME_SIZE_ERROR"],
            ),
            (
                "too large, of an unknown type",
                vec![frame(0x16, 0, 1, &[0; 16_385])],
                &["error: frame too large", "GOAWAY 0 FRAME_SIZE_ERROR"],
            ),
            (
                "a push",
                vec![frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])],
                &["error: PUSH_PROMISE was not allowed", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
        ],
    );
    check(
        client,
        &[(
            "a push to a client",
            vec![frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x88])],
            &["error: PUSH_PROMISE was not allowed", "GOAWAY 0 PROTOCOL_ERROR"],
        )],
    );
}

#[test]
fn frames_that_steer() {
    check(
        server,
        &[
            ("priority", vec![frame(PRIORITY, 0, 7, &[0, 0, 0, 1, 9])], &[]),
            (
                "priority of the connection",
                vec![frame(PRIORITY, 0, 0, &[0; 5])],
                &["error: PRIORITY of the connection", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "priority of the wrong size",
                vec![request(1, 0), frame(PRIORITY, 0, 1, &[0; 4])],
                &[GET_OPEN, "1: reset FRAME_SIZE_ERROR frame of the wrong size", "RST_STREAM 1 FRAME_SIZE_ERROR"],
            ),
            (
                "depends on itself",
                vec![request(1, 0), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 9])],
                &[GET_OPEN, "1: reset PROTOCOL_ERROR a stream that depends on itself", "RST_STREAM 1 PROTOCOL_ERROR"],
            ),
            ("reset", vec![request(1, 0), reset(1, 2), reset(1, 2)], &[GET_OPEN, "1: reset INTERNAL_ERROR by peer"]),
            (
                "reset of an idle stream",
                vec![reset(1, 8)],
                &["error: RST_STREAM on an idle stream", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "reset of the connection",
                vec![reset(0, 8)],
                &["error: RST_STREAM of the connection", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "reset of the wrong size",
                vec![request(1, 0), frame(RST_STREAM, 0, 1, &[0; 3])],
                &[GET_OPEN, "error: frame of the wrong size", "GOAWAY 1 FRAME_SIZE_ERROR"],
            ),
            ("ping", vec![frame(PING, 0, 0, b"12345678")], &["PING ack"]),
            ("answer to no ping", vec![frame(PING, ACK, 0, b"12345678")], &[]),
            (
                "ping on a stream",
                vec![frame(PING, 0, 1, b"12345678")],
                &["error: PING on a stream", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "ping of the wrong size",
                vec![frame(PING, 0, 0, b"1234567")],
                &["error: frame of the wrong size", "GOAWAY 0 FRAME_SIZE_ERROR"],
            ),
            (
                "going away",
                vec![frame(GOAWAY, 0, 0, &[0, 0, 0, 9, 0, 0, 0, 2, b'w', b'h', b'y'])],
                &["goaway 9 INTERNAL_ERROR"],
            ),
            (
                "going away on a stream",
                vec![frame(GOAWAY, 0, 1, &[0; 8])],
                &["error: GOAWAY on a stream", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "going away, half of it",
                vec![frame(GOAWAY, 0, 0, &[0; 7])],
                &["error: frame of the wrong size", "GOAWAY 0 FRAME_SIZE_ERROR"],
            ),
        ],
    );
}

#[test]
fn settings() {
    let writable: &[&str] = &["writable None", "SETTINGS ack"];
    check(
        server,
        &[
            ("an unknown one", vec![setting(0xff00, 7)], writable),
            ("no push", vec![setting(2, 0)], writable),
            ("push from a client", vec![setting(2, 1)], writable),
            ("half a push", vec![setting(2, 2)], &["error: invalid SETTINGS_ENABLE_PUSH", "GOAWAY 0 PROTOCOL_ERROR"]),
            ("the largest window", vec![setting(4, (1 << 31) - 1)], writable),
            (
                "a larger window",
                vec![setting(4, 1 << 31)],
                &["error: invalid SETTINGS_INITIAL_WINDOW_SIZE", "GOAWAY 0 FLOW_CONTROL_ERROR"],
            ),
            (
                "frames too small",
                vec![setting(5, 16_383)],
                &["error: invalid SETTINGS_MAX_FRAME_SIZE", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            ("the largest frames", vec![setting(5, (1 << 24) - 1)], writable),
            (
                "frames too large",
                vec![setting(5, 1 << 24)],
                &["error: invalid SETTINGS_MAX_FRAME_SIZE", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "half of extended CONNECT",
                vec![setting(8, 2)],
                &["error: invalid SETTINGS_ENABLE_CONNECT_PROTOCOL", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "extended CONNECT, given and taken",
                vec![setting(8, 1), setting(8, 0)],
                &[
                    "writable None",
                    "error: invalid SETTINGS_ENABLE_CONNECT_PROTOCOL",
                    "SETTINGS ack",
                    "GOAWAY 0 PROTOCOL_ERROR",
                ],
            ),
            (
                "on a stream",
                vec![frame(SETTINGS, 0, 1, &[])],
                &["error: SETTINGS on a stream", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "of the wrong size",
                vec![frame(SETTINGS, 0, 0, &[0; 7])],
                &["error: frame of the wrong size", "GOAWAY 0 FRAME_SIZE_ERROR"],
            ),
            (
                "an answer that says something",
                vec![frame(SETTINGS, ACK, 0, &[0; 6])],
                &["error: frame of the wrong size", "GOAWAY 0 FRAME_SIZE_ERROR"],
            ),
        ],
    );
    check(
        client,
        &[(
            "push from a server",
            vec![setting(2, 1)],
            &["error: invalid SETTINGS_ENABLE_PUSH", "GOAWAY 0 PROTOCOL_ERROR"],
        )],
    );
}

#[test]
fn window_updates() {
    const MOST: u32 = (1 << 31) - 1;
    check(
        server,
        &[
            ("of the connection", vec![window_update(0, MOST - 65_535)], &[]),
            (
                "too much for the connection",
                vec![window_update(0, MOST - 65_534)],
                &["error: window too large", "GOAWAY 0 FLOW_CONTROL_ERROR"],
            ),
            ("of nothing", vec![window_update(0, 0)], &["error: WINDOW_UPDATE by nothing", "GOAWAY 0 PROTOCOL_ERROR"]),
            ("of a stream", vec![request(1, 0), window_update(1, 5)], &[GET_OPEN]),
            (
                "too much for a stream",
                vec![request(1, 0), window_update(1, MOST)],
                &[GET_OPEN, "1: reset FLOW_CONTROL_ERROR window too large", "RST_STREAM 1 FLOW_CONTROL_ERROR"],
            ),
            (
                "of nothing, for a stream",
                vec![request(1, 0), window_update(1, 0)],
                &[GET_OPEN, "1: reset PROTOCOL_ERROR WINDOW_UPDATE by nothing", "RST_STREAM 1 PROTOCOL_ERROR"],
            ),
            (
                "of an idle stream",
                vec![window_update(1, 1)],
                &["error: WINDOW_UPDATE on an idle stream", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "of a stream that is gone",
                vec![request(1, 0), reset(1, 8), window_update(1, 1)],
                &[GET_OPEN, "1: reset CANCEL by peer"],
            ),
            (
                "of the wrong size",
                vec![frame(WINDOW_UPDATE, 0, 0, &[0; 5])],
                &["error: frame of the wrong size", "GOAWAY 0 FRAME_SIZE_ERROR"],
            ),
            (
                "settings that make a window too large",
                vec![request(1, 0), window_update(1, MOST - 65_535), setting(4, 65_536)],
                &[GET_OPEN, "error: window too large", "GOAWAY 1 FLOW_CONTROL_ERROR"],
            ),
        ],
    );
}

#[test]
fn an_error_stays() {
    let mut end = server();
    end.receive(&frame(PING, 0, 1, &[0; 8])).unwrap_err();
    end.out.clear();
    assert_eq!(end.receive(&request(1, END_STREAM)).unwrap_err().reason, "PING on a stream");
    assert!(end.out.is_empty());
}
