//! What a peer may do only so often.

use std::time::Duration;

use h1::{BodyLength, Scheme};
use selvedge_h2::{AbuseLimits, Code, Config, Role};

use crate::support::{End, get, response};
use crate::wire::{
    ACK, CONTINUATION, DATA, END, END_HEADERS, END_STREAM, GET, HEADERS, PING, PREFACE, PRIORITY, SETTINGS, block,
    frame, request, reset, window_update,
};

const LIMITS: AbuseLimits = AbuseLimits::DEFAULT;

fn server_with(config: Config) -> End {
    let mut end = End::new(Role::Server, config);
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()).unwrap();
    end.out.clear();
    end
}

fn server() -> End {
    server_with(Config { close_on_malformed_message: false, max_concurrent_streams: 10, ..Config::default() })
}

/// How many of these inputs, each made for its number, are taken before one ends the connection, and why.
fn flood(end: &mut End, most: u32, mut input: impl FnMut(u32) -> Vec<u8>) -> (u32, &'static str) {
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

#[test]
fn answers_to_content_are_not_counted() {
    let mut end = server();
    end.receive(&request(1, END_STREAM)).unwrap();
    let key = end.key(1);
    end.connection.send_response(key, &response(200, BodyLength::Chunked), false, &mut end.out);
    for _ in 0..1_000 {
        end.out.clear();
        assert_eq!(end.connection.send_data(key, b"x", false, &mut end.out), 1);
        let mut answers = frame(PING, 0, 0, &[0; 8]);
        (0..4).for_each(|_| answers.extend(window_update(0, 1)));
        (0..5).for_each(|_| answers.extend(window_update(1, 1)));
        end.out.clear();
        end.receive(&answers).unwrap();
    }
}

#[test]
fn rapid_resets() {
    let rapid = |number: u32| [request(number * 2 + 1, END_STREAM), reset(number * 2 + 1, 8)].concat();
    assert_eq!(flood(&mut server(), 200, rapid), (LIMITS.premature_resets, "premature resets"));
    // With answers begun they are still too many for a second.
    let mut end = server();
    let answered = |end: &mut End, stream| {
        end.receive(&request(stream, 0)).unwrap();
        let key = end.key(stream);
        end.connection.send_response(key, &response(200, BodyLength::Chunked), false, &mut end.out);
    };
    for number in 0..LIMITS.resets_per_second {
        answered(&mut end, number * 2 + 1);
        end.out.clear();
        end.receive(&reset(number * 2 + 1, 8)).unwrap();
    }
    answered(&mut end, 1_001);
    assert_eq!(end.receive(&reset(1_001, 8)).unwrap_err().reason, "resets per second");
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
    // The fields count as they come out, not as they came: one field, then indices that mean it.
    let bomb = [&[0x40, 1, b'x', 127, 0x80 | 0x01, 0x1e][..], &[b'y'; 3_968], &[0xbe; 10_000]].concat();
    let mut end = server();
    let told = end.receive(&frame(HEADERS, END, 1, &[&block(&GET)[..], &bomb].concat())).unwrap();
    assert_eq!(told, ["refused INTERNAL_ERROR field section too large"]);
    assert_eq!(end.receive(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&GET))).unwrap().len(), 1);
}

#[test]
fn answers_that_nobody_reads() {
    let mut config = Config::default();
    config.abuse.pings_per_second = u32::MAX;
    config.abuse.pings_in_all = u32::MAX;
    let mut end = server_with(config);
    let mut pings = 0;
    let error = (0..2_000).find_map(|_| match end.receive(&frame(PING, 0, 0, &[0; 8])) {
        Ok(_) => {
            pings += 1;
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!((pings, error.map(|error| error.reason)), (LIMITS.unsent_replies, Some("unsent replies")));
    assert!(end.out.len() < 20_000);
}

#[test]
fn a_server_may_reset_what_it_likes() {
    let mut end = End::new(Role::Client, Config::default());
    end.receive(&frame(SETTINGS, 0, 0, &[])).unwrap();
    for number in 0..2_000 {
        end.connection.open(&get("/"), Scheme::Http, true, (), &mut end.out).unwrap();
        assert_eq!(end.receive(&reset(number * 2 + 1, 7)).unwrap().len(), 1);
    }
    // But not what is gone already.
    let (taken, reason) = flood(&mut end, 2_000, |_| reset(1, 7));
    assert_eq!((taken, reason), (LIMITS.ignored_frames_per_second, "ignored frames per second"));
}

#[test]
fn heads_on_streams_that_are_gone() {
    let mut end = server();
    end.receive(&request(1, 0)).unwrap();
    end.connection.release(end.key(1), &mut end.out);
    let (taken, reason) = flood(&mut end, 2_000, |_| request(1, 0));
    assert_eq!((taken, reason), (LIMITS.ignored_frames_per_second, "ignored frames per second"));
}
