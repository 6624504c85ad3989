//! What the frames that carry messages may be (RFC 9113 6.1, 6.2, 6.10).

use super::{GET_ENDED, GET_OPEN, check, client, server};
use crate::wire::{
    CONTINUATION, DATA, END, END_HEADERS, END_STREAM, GET, HEADERS, PADDED, PING, PRIORITY_FLAG, block, frame, request,
    reset,
};

#[test]
fn data() {
    let padded = |padding: u8, content: &[u8]| [&[padding], content, &vec![0; padding.into()]].concat();
    check(
        server,
        &[
            (
                "content",
                vec![request(1, 0), frame(DATA, 0, 1, b"ab"), frame(DATA, END_STREAM, 1, b"c")],
                &[GET_OPEN, "1: data \"abc\" end"],
            ),
            ("an empty end", vec![request(1, 0), frame(DATA, END_STREAM, 1, b"")], &[GET_OPEN, "1: data \"\" end"]),
            ("nothing", vec![request(1, 0), frame(DATA, 0, 1, b"")], &[GET_OPEN]),
            (
                "padding",
                vec![request(1, 0), frame(DATA, PADDED | END_STREAM, 1, &padded(200, b"ab"))],
                &[GET_OPEN, "1: data \"ab\" end"],
            ),
            (
                "padding only",
                vec![
                    request(1, 0),
                    frame(DATA, PADDED, 1, &padded(9, b"")),
                    frame(DATA, PADDED | END_STREAM, 1, &padded(0, b"")),
                    request(3, END_STREAM),
                ],
                &[GET_OPEN, "1: data \"\" end", "3: GET / @a None end"],
            ),
            (
                "more padding than payload",
                vec![request(1, 0), frame(DATA, PADDED, 1, &[3, 0, 0])],
                &[GET_OPEN, "error: more padding than payload", "GOAWAY 1 PROTOCOL_ERROR"],
            ),
            (
                "padded without padding",
                vec![request(1, 0), frame(DATA, PADDED, 1, &[])],
                &[GET_OPEN, "error: padded frame without padding", "GOAWAY 1 FRAME_SIZE_ERROR"],
            ),
            (
                "of the connection",
                vec![frame(DATA, 0, 0, b"a")],
                &["error: DATA of the connection", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "on an idle stream",
                vec![frame(DATA, 0, 1, b"a")],
                &["error: DATA on an idle stream", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "on a stream that we may open",
                vec![frame(DATA, 0, 2, b"a")],
                &["error: DATA on an idle stream", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "behind the end",
                vec![request(1, END_STREAM), frame(DATA, 0, 1, b"abcdef")],
                &[GET_ENDED, "1: reset STREAM_CLOSED DATA behind the end", "RST_STREAM 1 STREAM_CLOSED"],
            ),
            (
                "behind a reset",
                vec![request(1, 0), reset(1, 8), frame(DATA, 0, 1, b"abcdef")],
                &[GET_OPEN, "1: reset CANCEL by peer", "RST_STREAM 1 STREAM_CLOSED"],
            ),
            (
                "on a stream that was passed over",
                vec![request(3, END_STREAM), frame(DATA, 0, 1, b"abcdef")],
                &["3: GET / @a None end", "RST_STREAM 1 STREAM_CLOSED"],
            ),
        ],
    );
    check(
        client,
        &[(
            "before a response",
            vec![frame(DATA, 0, 1, b"a")],
            &["1: reset PROTOCOL_ERROR DATA before a head", "RST_STREAM 1 PROTOCOL_ERROR"],
        )],
    );
}

#[test]
fn headers_and_continuation() {
    let block = block(&GET);
    let (first, second) = block.split_at(7);
    let with_priority = |dependency: u32| [&dependency.to_be_bytes()[..], &[16], &block].concat();
    let padded = |padding: u8| [&[padding], &block[..], &vec![0; padding.into()]].concat();
    let started = || frame(HEADERS, END_STREAM, 1, first);
    let ended = |stream| frame(CONTINUATION, END_HEADERS, stream, second);
    check(
        server,
        &[
            (
                "padding and priority",
                vec![frame(HEADERS, END | PADDED | PRIORITY_FLAG, 1, &[&[2][..], &with_priority(0), &[0, 0]].concat())],
                &[GET_ENDED],
            ),
            ("padding", vec![frame(HEADERS, END | PADDED, 1, &padded(255))], &[GET_ENDED]),
            ("continued", vec![started(), frame(CONTINUATION, 0, 1, b""), ended(1)], &[GET_ENDED]),
            (
                "more padding than payload",
                vec![frame(HEADERS, END | PADDED, 1, &[5, 0x82])],
                &["error: more padding than payload", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "no room for the priority",
                vec![frame(HEADERS, END | PRIORITY_FLAG, 1, &[0, 0, 0, 0])],
                &["error: HEADERS without its priority", "GOAWAY 0 FRAME_SIZE_ERROR"],
            ),
            (
                "depends on itself",
                vec![frame(HEADERS, END | PRIORITY_FLAG, 1, &with_priority(1))],
                &["error: a stream that depends on itself", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "of the connection",
                vec![frame(HEADERS, END, 0, &block)],
                &["error: HEADERS of the connection", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "an even number",
                vec![request(2, END_STREAM)],
                &["error: HEADERS on a stream that the peer may not open", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "a lower number",
                vec![request(3, END_STREAM), request(1, END_STREAM)],
                &["3: GET / @a None end", "error: stream numbers went back", "GOAWAY 3 PROTOCOL_ERROR"],
            ),
            (
                "behind the end",
                vec![request(1, END_STREAM), request(1, END_STREAM)],
                &[GET_ENDED, "1: reset STREAM_CLOSED HEADERS behind the end", "RST_STREAM 1 STREAM_CLOSED"],
            ),
            (
                "behind a reset",
                vec![request(1, 0), reset(1, 8), request(1, END_STREAM)],
                &[GET_OPEN, "1: reset CANCEL by peer", "error: HEADERS on a closed stream", "GOAWAY 1 STREAM_CLOSED"],
            ),
            (
                "too many",
                vec![request(1, 0), request(3, 0), request(5, 0), request(7, 0), frame(DATA, 0, 7, b"abcdef")],
                &[
                    GET_OPEN,
                    "3: GET / @a Chunked",
                    "5: GET / @a Chunked",
                    "refused REFUSED_STREAM too many streams",
                    "RST_STREAM 7 REFUSED_STREAM",
                ],
            ),
            (
                "an interrupted block",
                vec![started(), frame(PING, 0, 0, &[0; 8])],
                &["error: a field section was not continued", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "interrupted by an unknown type",
                vec![started(), frame(0x20, 0, 0, &[])],
                &["error: a field section was not continued", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "continued on another stream",
                vec![started(), ended(3)],
                &["error: a field section was not continued", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "continued after its end",
                vec![request(1, END_STREAM), ended(1)],
                &[GET_ENDED, "error: CONTINUATION of nothing", "GOAWAY 1 PROTOCOL_ERROR"],
            ),
            (
                "no block",
                vec![frame(HEADERS, END, 1, &[0xff])],
                &["error: truncated header block", "GOAWAY 0 COMPRESSION_ERROR"],
            ),
        ],
    );
    check(
        client,
        &[
            (
                "a response on an idle stream",
                vec![frame(HEADERS, END, 5, &[0x88])],
                &["error: HEADERS on a stream that the peer may not open", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
            (
                "a response on a stream of the server",
                vec![frame(HEADERS, END, 2, &[0x88])],
                &["error: HEADERS on a stream that the peer may not open", "GOAWAY 0 PROTOCOL_ERROR"],
            ),
        ],
    );
}
