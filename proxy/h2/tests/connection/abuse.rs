//! What a peer may do only so often.

use std::time::Duration;

use h1::{BodyLength, Limits, Scheme};
use selvedge_h2::{AbuseLimits, Code, Config, Role};

use crate::support::{End, get, response};
use crate::wire::{
    ACK, CONTINUATION, DATA, END, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, SETTINGS,
    block, frame, request, reset, setting, window_update,
};

pub(crate) const LIMITS: AbuseLimits = AbuseLimits::DEFAULT;

/// SETTINGS_MAX_CONCURRENT_STREAMS.
const MAX_CONCURRENT_STREAMS: u16 = 3;

pub(crate) fn server_with(config: Config) -> End {
    let mut end = End::new(Role::Server, config);
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()).unwrap();
    end.out.clear();
    end
}

pub(crate) fn server() -> End {
    server_with(Config { close_on_malformed_message: false, max_concurrent_streams: 10, ..Config::default() })
}

/// How many of these inputs, each made for its number, are taken before one ends the connection, and why.
pub(crate) fn flood(end: &mut End, most: u32, mut input: impl FnMut(u32) -> Vec<u8>) -> (u32, &'static str) {
    for number in 0..most {
        if let Err(error) = end.receive(&input(number)) {
            assert_eq!(error.code, Code::ENHANCE_YOUR_CALM, "{error}");
            return (number, error.reason);
        }
        // The peer reads what is sent to it.
        end.out.clear();
    }
    (most, "never")
}

#[test]
fn floods_within_a_second() {
    let ping = |_| frame(PING, 0, 0, &[0; 8]);
    assert_eq!(flood(&mut server(), 200, ping), (LIMITS.pings_per_second, "pings per second"));
    let answer = |_| frame(PING, ACK, 0, &[0; 8]);
    assert_eq!(flood(&mut server(), 200, answer), (LIMITS.pings_per_second, "pings per second"));
    let settings = |_| frame(SETTINGS, 0, 0, &[]);
    // The first frame of the connection was one of them.
    assert_eq!(flood(&mut server(), 200, settings), (LIMITS.settings_per_second - 1, "settings per second"));
    let update = |_| window_update(0, 1);
    let expected = (LIMITS.connection_window_updates_per_second, "window updates of the connection per second");
    assert_eq!(flood(&mut server(), 200, update), expected);
    let priority = |_| frame(PRIORITY, 0, 9, &[0; 5]);
    assert_eq!(flood(&mut server(), 2_000, priority), (LIMITS.ignored_frames_per_second, "ignored frames per second"));
    let leave = |_| frame(GOAWAY, 0, 0, &[0; 8]);
    assert_eq!(flood(&mut server(), 2_000, leave), (LIMITS.ignored_frames_per_second, "ignored frames per second"));
    // The one for our settings was there before.
    let acknowledge = |_| frame(SETTINGS, ACK, 0, &[]);
    assert_eq!(
        flood(&mut server(), 2_000, acknowledge),
        (LIMITS.ignored_frames_per_second, "ignored frames per second")
    );
    let unknown = |number: u32| frame(0x77, 0, number, &[0; 3]);
    assert_eq!(flood(&mut server(), 2_000, unknown), (LIMITS.ignored_frames_per_second, "ignored frames per second"));
}

#[test]
fn floods_on_a_stream() {
    let opened = || {
        let mut end = server();
        end.receive(&request(1, 0)).unwrap();
        end
    };
    let empty = |_| frame(DATA, 0, 1, &[]);
    assert_eq!(flood(&mut opened(), 200, empty), (LIMITS.empty_data_per_second, "empty data per second"));
    let tiny = |_| frame(DATA, 0, 1, b"1234");
    assert_eq!(flood(&mut opened(), 2_000, tiny), (LIMITS.tiny_data_per_second, "tiny data per second"));
    let update = |_| window_update(1, 1);
    let expected = (LIMITS.stream_window_updates_per_second, "window updates of streams per second");
    assert_eq!(flood(&mut opened(), 2_000, update), expected);
    let content = |_| frame(DATA, 0, 1, b"12345");
    assert_eq!(flood(&mut opened(), 20_000, content), (20_000, "never"));
}

#[test]
fn a_new_second_begins_anew() {
    let mut end = server();
    for _ in 0..5 {
        assert_eq!(flood(&mut end, 100, |_| frame(PING, 0, 0, &[0; 8])).1, "never");
        end.now += Duration::from_secs(1);
    }
    // All of them are counted, but for one a second.
    let allowed = LIMITS.pings_in_all;
    let mut end = server();
    let mut taken = 0;
    let reason = loop {
        end.now += Duration::from_secs(1);
        match flood(&mut end, 100, |_| frame(PING, 0, 0, &[0; 8])) {
            (100, _) => taken += 100,
            (some, reason) => {
                taken += some;
                break reason;
            }
        }
    };
    assert_eq!(reason, "pings in all");
    assert!((allowed..allowed + allowed / 90).contains(&taken), "{taken}");
}

/// A request that is given up at once.
fn given_up(stream: u32) -> Vec<u8> {
    [request(stream, END_STREAM), reset(stream, 8)].concat()
}

/// A request that is answered.
fn answered(end: &mut End, stream: u32) {
    end.receive(&request(stream, END_STREAM)).unwrap();
    let key = end.key(stream);
    end.connection.send_response(key, &response(204, BodyLength::None), true, &mut end.out);
    end.connection.release(key, &mut end.out);
    end.out.clear();
    end.keys.clear();
}

#[test]
fn rapid_resets() {
    let rapid = |number: u32| given_up(number * 2 + 1);
    assert_eq!(flood(&mut server(), 200, rapid), (LIMITS.resets_per_second, "resets per second"));
    // Slower ones are too many all the same.
    let mut end = server();
    let slow = |number: u32| given_up(number * 2 + 1);
    let mut taken = 0;
    let reason = loop {
        end.now += Duration::from_secs(1);
        match flood(&mut end, 50, |number| slow(taken + number)) {
            (some, "never") => taken += some,
            (some, reason) => {
                taken += some;
                break reason;
            }
        }
    };
    assert_eq!((taken, reason), (LIMITS.premature_resets, "premature resets"));
    // With answers begun they are still too many for a second.
    let mut end = server();
    let begun = |end: &mut End, stream| {
        end.receive(&request(stream, 0)).unwrap();
        let key = end.key(stream);
        end.connection.send_response(key, &response(200, BodyLength::Chunked), false, &mut end.out);
    };
    for number in 0..LIMITS.resets_per_second {
        begun(&mut end, number * 2 + 1);
        end.out.clear();
        end.receive(&reset(number * 2 + 1, 8)).unwrap();
    }
    begun(&mut end, 1_001);
    assert_eq!(end.receive(&reset(1_001, 8)).unwrap_err().reason, "resets per second");
}

#[test]
fn who_gives_up_one_request_of_five_may_send_a_thousand_in_a_second() {
    let mut end = server();
    for number in 0..20_000 {
        end.now += Duration::from_millis(1);
        match number % 5 {
            0 => drop(end.receive(&given_up(number * 2 + 1)).unwrap()),
            _ => answered(&mut end, number * 2 + 1),
        }
    }
    // All at once, too: whoever leaves a page gives up all that it asked for.
    let many = |number: u32| given_up(40_001 + number * 2);
    assert_eq!(flood(&mut end, 400, many), (400, "never"));
}

#[test]
fn who_gives_up_two_requests_of_three_is_stopped() {
    let mut end = server();
    let mut number = 0;
    let reason = loop {
        end.now += Duration::from_millis(1);
        answered(&mut end, number * 6 + 1);
        let input = [given_up(number * 6 + 3), given_up(number * 6 + 5)].concat();
        match end.receive(&input) {
            Ok(_) => number += 1,
            Err(error) => break error.reason,
        }
    };
    assert_eq!((number * 2, reason), (LIMITS.resets_per_second, "resets per second"));
}

#[test]
fn what_went_well_does_not_allow_any_number_of_resets() {
    let mut end = server();
    for number in 0..10_000 {
        answered(&mut end, number * 2 + 1);
    }
    let rapid = |number: u32| given_up(20_001 + number * 2);
    assert_eq!(flood(&mut end, 2_000, rapid), (1_000 + LIMITS.resets_per_second, "resets per second"));
}

#[test]
fn empty_ends_are_not_counted() {
    let mut end = server();
    for number in 0..500 {
        let stream = number * 2 + 1;
        end.receive(&[request(stream, 0), frame(DATA, END_STREAM, stream, &[])].concat()).unwrap();
        let key = end.key(stream);
        end.connection.send_response(key, &response(204, BodyLength::None), true, &mut end.out);
        end.connection.release(key, &mut end.out);
        end.out.clear();
    }
}

#[test]
fn streams_that_end_make_up_for_resets() {
    let mut end = server();
    for round in 0..2_000u32 {
        end.now += Duration::from_millis(50);
        let (given_up, answered) = (round * 4 + 1, round * 4 + 3);
        end.receive(&[request(given_up, END_STREAM), reset(given_up, 8), request(answered, END_STREAM)].concat())
            .unwrap();
        let key = end.key(answered);
        end.connection.send_response(key, &response(204, BodyLength::None), true, &mut end.out);
        end.connection.release(key, &mut end.out);
        end.out.clear();
        end.keys.clear();
    }
}

#[test]
fn streams_that_end_make_up_for_resets_that_we_send() {
    let mut end = server();
    for round in 0..2_000u32 {
        end.now += Duration::from_millis(10);
        let (wrong, answered) = (round * 4 + 1, round * 4 + 3);
        let input = [request(wrong, 0), window_update(wrong, 0), request(answered, END_STREAM)].concat();
        assert_eq!(end.receive(&input).unwrap().len(), 3);
        let key = end.key(answered);
        end.connection.send_response(key, &response(204, BodyLength::None), true, &mut end.out);
        end.connection.release(key, &mut end.out);
        end.out.clear();
        end.keys.clear();
    }
}

#[test]
fn streams_that_lived_may_be_given_up_all_at_once() {
    let config = Config { max_concurrent_streams: 1_000, ..Config::default() };
    let mut end = server_with(config);
    for number in 0..1_000 {
        end.receive(&request(number * 2 + 1, END_STREAM)).unwrap();
    }
    end.now += Duration::from_secs(1);
    assert_eq!(flood(&mut end, 1_000, |number| reset(number * 2 + 1, 8)), (1_000, "never"));
}

#[test]
fn resets_that_we_are_made_to_send() {
    // MadeYouReset in three forms, and a malformed request.
    let made: [fn(u32) -> Vec<u8>; 5] = [
        |stream| [request(stream, 0), window_update(stream, 0)].concat(),
        |stream| [request(stream, END_STREAM), frame(DATA, 0, stream, b"12345")].concat(),
        |stream| [request(stream, 0), frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[1]].concat())].concat(),
        |stream| [request(stream, 0), window_update(stream, (1 << 31) - 1)].concat(),
        |stream| frame(HEADERS, END, stream, &block(&[(":method", "GET")])),
    ];
    for form in made {
        let mut end = server();
        let (taken, reason) = flood(&mut end, 1_000, |number| form(number * 2 + 1));
        assert_eq!((taken, reason), (LIMITS.resets_sent, "resets sent"));
        assert!(end.connection.active() <= 1);
    }
}

#[test]
fn field_sections_do_not_go_on_for_ever() {
    let start = || [frame(HEADERS, END_STREAM, 1, &block(&GET))].concat();
    let mut end = server();
    end.receive(&start()).unwrap();
    let (taken, reason) = flood(&mut end, 100, |_| frame(CONTINUATION, 0, 1, &[]));
    assert_eq!((taken, reason), (LIMITS.continuations, "continuations of a field section"));
    let mut end = server();
    end.receive(&start()).unwrap();
    let (taken, reason) = flood(&mut end, 100, |_| frame(CONTINUATION, 0, 1, &[0; 16_384]));
    assert_eq!((taken, reason), (7, "bytes of a field section"));
    // Where heads may be large there may be as many as they fill.
    let heads = Limits { max_head_bytes: 8 << 20, ..Limits::DEFAULT };
    let mut end = server_with(Config { heads, most_head_bytes: 8 << 20, ..Config::default() });
    let large = [block(&GET), block(&[("x-large", "y".repeat(8_000_000))])].concat();
    let pieces: Vec<&[u8]> = large.chunks(16_384).collect();
    for (number, piece) in pieces.iter().enumerate() {
        let last = number == pieces.len() - 1;
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        let flags = if number == 0 { END_STREAM } else { 0 } | if last { END_HEADERS } else { 0 };
        assert_eq!(end.receive(&frame(kind, flags, 1, piece)).unwrap().len(), usize::from(last));
    }
    end.receive(&frame(HEADERS, END_STREAM, 3, &block(&GET))).unwrap();
    let (taken, reason) = flood(&mut end, 2_000, |_| frame(CONTINUATION, 0, 3, &[]));
    assert_eq!((taken, reason), (1_024, "continuations of a field section"));
    // The fields count as they come out, not as they came: one field, then indices that mean it.
    let bomb = [&[0x40, 1, b'x', 127, 0x80 | 0x01, 0x1e][..], &[b'y'; 3_968], &[0xbe; 10_000]].concat();
    let mut end = server();
    let told = end.receive(&frame(HEADERS, END, 1, &[&block(&GET)[..], &bomb].concat())).unwrap();
    assert_eq!(told, ["refused INTERNAL_ERROR field section too large"]);
    assert_eq!(end.receive(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&GET))).unwrap().len(), 1);
}

#[test]
fn a_server_may_say_goodbye_to_many_streams_and_not_for_ever() {
    let mut end = End::new(Role::Client, Config::default());
    end.receive(&setting(MAX_CONCURRENT_STREAMS, 10_000)).unwrap();
    for _ in 0..10_000 {
        end.connection.open(&get("/"), Scheme::Http, true, (), &mut end.out).unwrap();
    }
    let leave = |last: u32| frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
    // Each that it refuses is told of once, whatever it says later.
    assert_eq!(end.receive(&leave(10_001)).unwrap().len(), 1 + 4_999);
    assert_eq!(end.receive(&leave(20_001)).unwrap().len(), 1);
    assert_eq!(end.receive(&leave(1)).unwrap().len(), 1 + 5_000);
    assert_eq!(end.connection.active(), 1);
    assert_eq!(end.receive(&leave(0)).unwrap().len(), 1 + 1);
    let (taken, reason) = flood(&mut end, 2_000, |_| leave(0));
    assert_eq!((taken, reason), (LIMITS.ignored_frames_per_second - 4, "ignored frames per second"));
}

#[test]
fn a_server_may_reset_what_it_likes() {
    let mut end = End::new(Role::Client, Config::default());
    end.receive(&frame(SETTINGS, 0, 0, &[])).unwrap();
    for number in 0..2_000 {
        end.connection.open(&get("/"), Scheme::Http, true, (), &mut end.out).unwrap();
        assert_eq!(end.receive(&reset(number * 2 + 1, 7)).unwrap().len(), 1);
    }
    // It cannot know what is gone already.
    assert_eq!(flood(&mut end, 2_000, |number| reset(number * 2 + 1, 7)), (2_000, "never"));
}

#[test]
fn heads_hold_so_much_memory_in_all() {
    let limit = 10_000;
    let mut end = server_with(Config { most_head_bytes: limit, ..Config::default() });
    let head = [block(&GET), block(&[("x-large", &"y".repeat(1_000))])].concat();
    let mut streams = (0..).map(|number| number * 2 + 1);
    let mut open = |end: &mut End| {
        let stream = streams.next().unwrap();
        (stream, end.receive(&frame(HEADERS, END, stream, &head)).unwrap().concat())
    };
    let mut taken = Vec::new();
    let refused = loop {
        match open(&mut end) {
            (_, told) if told.starts_with("refused") => break told,
            (stream, _) => taken.push(stream),
        }
    };
    assert_eq!(refused, "refused REFUSED_STREAM too many bytes of heads");
    // Each has a bit more than a thousand.
    assert!((9..=10).contains(&taken.len()), "{taken:?}");
    for stream in taken.drain(..3) {
        end.connection.release(end.key(stream), &mut end.out);
    }
    assert!(!open(&mut end).1.starts_with("refused"), "others go on when there is room again");
    for stream in taken {
        end.connection.release(end.key(stream), &mut end.out);
    }
    assert!(!open(&mut end).1.starts_with("refused"));
}

#[test]
fn trailers_count_with_the_heads() {
    let mut end = server_with(Config { most_head_bytes: 3_000, ..Config::default() });
    let large = block(&[("x-large", &"y".repeat(1_000))]);
    let trailers = |stream| frame(HEADERS, END, stream, &large);
    for stream in [1, 3, 5, 7] {
        end.receive(&request(stream, 0)).unwrap();
    }
    let told = [1, 3, 5].map(|stream| end.receive(&trailers(stream)).unwrap().concat());
    assert!(told.iter().all(|told| told.contains("trailers")), "{told:?}");
    assert_eq!(end.receive(&trailers(7)).unwrap(), ["7: reset ENHANCE_YOUR_CALM too many bytes of heads"]);
    assert_eq!(end.receive(&request(9, 0)).unwrap(), ["refused REFUSED_STREAM too many bytes of heads"]);
    end.connection.release(end.key(1), &mut end.out);
    assert!(end.receive(&request(11, 0)).unwrap().concat().starts_with("11: GET"));
}
