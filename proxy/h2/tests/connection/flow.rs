//! Flow control (RFC 9113 5.2, 6.9): what may be sent, and what is given back.

use h1::{BodyLength, Scheme};
use selvedge_h2::{Code, Config, Key, Role};

use crate::support::{End, Pair, get, response};
use crate::wire::{
    ACK, DATA, END_STREAM, HEADERS, PADDED, PREFACE, SETTINGS, describe_frames, frame, request, reset, setting,
    window_update,
};

const SMALL: fn() -> Config =
    || Config { initial_stream_window: 100, initial_connection_window: 65_535, ..Config::default() };

/// A server that has received a request and answered with a head.
fn answering(settings: &[u8]) -> (End, Key) {
    let mut end = End::new(Role::Server, Config::default());
    end.receive(&[PREFACE, settings, &request(1, END_STREAM)].concat()).unwrap();
    let key = end.key(1);
    end.connection.send_response(key, &response(200, BodyLength::Chunked), false, &mut end.out);
    end.out.clear();
    (end, key)
}

#[test]
fn sending_stops_at_the_windows() {
    let (mut end, key) = answering(&setting(4, 10));
    assert_eq!(end.connection.send_window(key), 10);
    assert_eq!(end.connection.send_data(key, b"hello worlds", true, &mut end.out), 10);
    assert_eq!(end.connection.send_data(key, b"ds", true, &mut end.out), 0);
    assert_eq!(describe_frames(&end.out), ["DATA 1 \"hello worl\""]);
    end.out.clear();
    assert_eq!(end.receive(&window_update(1, 1)).unwrap(), ["writable Some(1)"]);
    assert_eq!(end.receive(&window_update(1, 1)).unwrap(), [""; 0]);
    assert_eq!(end.connection.send_data(key, b"ds", true, &mut end.out), 2);
    assert_eq!(describe_frames(&end.out), ["DATA 1 \"ds\" end"]);
    assert_eq!(end.connection.send_window(key), 0);
}

#[test]
fn an_empty_end_needs_no_window() {
    let (mut end, key) = answering(&setting(4, 0));
    assert_eq!(end.connection.send_data(key, b"x", true, &mut end.out), 0);
    assert!(end.out.is_empty());
    assert_eq!(end.connection.send_data(key, b"", false, &mut end.out), 0);
    assert!(end.out.is_empty());
    assert_eq!(end.connection.send_data(key, b"", true, &mut end.out), 0);
    assert_eq!(describe_frames(&end.out), ["DATA 1 \"\" end"]);
}

#[test]
fn the_window_of_the_connection_counts_for_all_streams() {
    let (mut end, first) = answering(&setting(4, 1 << 20));
    end.receive(&request(3, END_STREAM)).unwrap();
    let second = end.key(3);
    end.connection.send_response(second, &response(200, BodyLength::Chunked), false, &mut end.out);
    let body = vec![b'x'; 100_000];
    assert_eq!(end.connection.send_data(first, &body[..60_000], false, &mut end.out), 60_000);
    assert_eq!(end.connection.send_data(second, &body, false, &mut end.out), 5_535);
    assert_eq!((end.connection.send_window(first), end.connection.send_window(second)), (0, 0));
    assert_eq!(end.receive(&window_update(0, 7)).unwrap(), ["writable None"]);
    assert_eq!((end.connection.send_window(first), end.connection.send_window(second)), (7, 7));
}

#[test]
fn settings_change_windows_even_below_zero() {
    let (mut end, key) = answering(&setting(4, 10));
    assert_eq!(end.connection.send_data(key, b"12345678", false, &mut end.out), 8);
    end.receive(&setting(4, 5)).unwrap();
    assert_eq!(end.connection.send_window(key), 0);
    assert_eq!(end.receive(&window_update(1, 3)).unwrap(), [""; 0], "three below zero are still nothing");
    assert_eq!(end.receive(&window_update(1, 1)).unwrap(), ["writable Some(1)"]);
    assert_eq!(end.connection.send_window(key), 1);
    end.receive(&setting(4, 105)).unwrap();
    assert_eq!(end.connection.send_window(key), 101);
}

#[test]
fn content_is_cut_into_frames_of_the_size_the_peer_takes() {
    for (settings, expected) in [
        (setting(4, 100_000), &[16_384, 16_384, 7_232][..]),
        ([setting(4, 100_000), setting(5, 20_000)].concat(), &[20_000, 20_000]),
    ] {
        let (mut end, key) = answering(&settings);
        assert_eq!(end.connection.send_data(key, &[b'x'; 40_000], true, &mut end.out), 40_000);
        let written = describe_frames(&end.out);
        let sizes: Vec<usize> = written.iter().map(|line| line.matches('x').count()).collect();
        assert_eq!(sizes, expected);
        let ends: Vec<bool> = written.iter().map(|line| line.ends_with("end")).collect();
        assert!(ends[..ends.len() - 1].iter().all(|end| !end) && ends[ends.len() - 1]);
    }
}

/// A server with small windows that has received an open request, settings acknowledged or not.
fn receiving(acknowledged: bool) -> End {
    let mut end = End::new(Role::Server, SMALL());
    let ack = if acknowledged { frame(SETTINGS, ACK, 0, &[]) } else { Vec::new() };
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &ack, &request(1, 0)].concat()).unwrap();
    end.out.clear();
    end
}

#[test]
fn more_than_the_window_is_refused() {
    const RESET: &str = "1: reset FLOW_CONTROL_ERROR more data than the stream's window";
    let mut end = receiving(true);
    assert_eq!(end.receive(&frame(DATA, 0, 1, &[b'x'; 101])).unwrap(), [RESET]);
    // Padding counts.
    let mut end = receiving(true);
    assert_eq!(end.receive(&frame(DATA, PADDED, 1, &[&[60][..], &[b'x'; 100]].concat())).unwrap(), [RESET]);
    // Before it knows of our settings, the peer has the window of the RFC.
    let mut end = receiving(false);
    let told = end.receive(&[frame(DATA, 0, 1, &[b'x'; 10_000]), frame(DATA, 0, 1, &[b'x'; 10_000])].concat()).unwrap();
    assert_eq!(told.len(), 2);
    end.receive(&frame(SETTINGS, ACK, 0, &[])).unwrap();
    // All was given back, so it has what it should have.
    assert_eq!(end.receive(&frame(DATA, 0, 1, &[b'x'; 101])).unwrap(), [RESET]);
}

#[test]
fn more_than_the_window_of_the_connection_is_refused() {
    let config = Config { initial_stream_window: 1 << 20, initial_connection_window: 65_535, ..Config::default() };
    let mut end = End::new(Role::Server, config);
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &request(1, 0)].concat()).unwrap();
    let mut input = Vec::new();
    for _ in 0..4 {
        input.extend(frame(DATA, 0, 1, &[b'x'; 16_000]));
    }
    // The user keeps all of it: nothing is given back.
    let mut at = 0;
    while let Some(received) = end.connection.receive(&input[at..], end.now, &mut end.out).unwrap() {
        at += received.consumed;
    }
    let error = end.connection.receive(&frame(DATA, 0, 1, &[b'x'; 1_536]), end.now, &mut end.out).unwrap_err();
    assert_eq!((error.code, error.reason), (Code::FLOW_CONTROL_ERROR, "more data than the connection's window"));
}

#[test]
fn credit_is_given_back_by_halves() {
    let mut end = receiving(true);
    end.receive(&frame(DATA, 0, 1, &[b'x'; 49])).unwrap();
    assert_eq!(describe_frames(&end.out), [""; 0]);
    end.receive(&frame(DATA, 0, 1, &[b'x'; 1])).unwrap();
    assert_eq!(describe_frames(&end.out), ["WINDOW_UPDATE 1 50"]);
    end.out.clear();
    // Padding is given back with it.
    end.receive(&frame(DATA, PADDED, 1, &[&[30][..], &[b'x'; 60]].concat())).unwrap();
    assert_eq!(describe_frames(&end.out), ["WINDOW_UPDATE 1 61"]);
    // A stream that has ended needs no more.
    end.out.clear();
    end.receive(&frame(DATA, END_STREAM, 1, &[b'x'; 100])).unwrap();
    assert_eq!(describe_frames(&end.out), [""; 0]);
}

#[test]
fn content_that_nobody_wants_is_given_back() {
    let mut end = receiving(true);
    let key = end.key(1);
    // The head of a frame and a part of its content arrive before the stream is given up.
    let data = frame(DATA, 0, 1, &[b'x'; 100]);
    let (consumed, told) = end.receive_some(&data[..50]).unwrap();
    assert_eq!((consumed, told.len()), (50, 1));
    end.connection.release(key, &mut end.out);
    assert_eq!(end.receive(&data[50..]).unwrap(), [""; 0]);
    end.out.clear();
    // What is under way on streams that are gone goes back to the connection.
    for number in 1..400 {
        let stream = number * 2 + 1;
        end.receive(&request(stream, 0)).unwrap();
        end.connection.release(end.key(stream), &mut end.out);
        assert_eq!(end.receive(&frame(DATA, 0, stream, &[b'x'; 100])).unwrap(), [""; 0]);
    }
    let updates = describe_frames(&end.out).into_iter().filter(|line| line.starts_with("WINDOW_UPDATE"));
    assert_eq!(updates.collect::<Vec<_>>(), ["WINDOW_UPDATE 0 32800"]);
}

#[test]
fn what_is_passed_over_is_bounded_by_the_window() {
    let mut end = receiving(true);
    let key = end.key(1);
    end.connection.release(key, &mut end.out);
    assert_eq!(end.receive(&frame(DATA, 0, 1, &[b'x'; 100])).unwrap(), [""; 0]);
    let error = end.receive(&frame(DATA, 0, 1, &[b'x'; 1])).unwrap_err();
    assert_eq!(error.code, Code::FLOW_CONTROL_ERROR);
}

#[test]
fn a_large_body_passes_through_small_windows() {
    let mut pair = Pair::new(SMALL(), SMALL());
    let client = &mut pair.client;
    let key = client.connection.open(&get("/"), Scheme::Http, false, (), &mut client.out).unwrap();
    let body: Vec<u8> = (0..10_000).map(|at| b'a' + (at % 26) as u8).collect();
    let mut sent = 0;
    let mut received = String::new();
    while sent < body.len() {
        let client = &mut pair.client;
        let taken = client.connection.send_data(key, &body[sent..], true, &mut client.out);
        assert!(taken > 0, "stuck at {sent}");
        sent += taken;
        for line in pair.exchange().1 {
            received += line.split('"').nth(1).unwrap_or_default();
        }
    }
    assert_eq!(received.as_bytes(), body);
    assert_eq!(pair.client.connection.send_window(key), 0);
}

#[test]
fn streams_that_nobody_reads_do_not_hold_up_the_others_of_a_client() {
    const STALLED: u32 = 100;
    let config = Config { initial_stream_window: 64 << 10, initial_connection_window: 1 << 20, ..Config::default() };
    let mut end = End::new(Role::Client, config);
    end.receive(&frame(SETTINGS, 0, 0, &[])).unwrap();
    let mut window = i64::from(config.initial_connection_window);
    let mut keys = Vec::new();
    for _ in 0..=STALLED {
        keys.push(end.connection.open(&get("/"), Scheme::Http, true, (), &mut end.out).unwrap());
    }
    let victim = keys.pop().unwrap();
    // The server sends all that the windows of the streams allow; whoever asked takes nothing of it.
    for key in &keys {
        let stream = key.stream_id();
        let content: Vec<u8> = (0..4).flat_map(|_| frame(DATA, 0, stream, &[b'x'; 16 << 10])).collect();
        let input = [frame(HEADERS, 4, stream, &[0x88]), content].concat();
        let mut at = 0;
        end.out.clear();
        while let Some(received) = end.connection.receive(&input[at..], end.now, &mut end.out).unwrap() {
            at += received.consumed;
        }
        let said = describe_frames(&end.out);
        assert!(said.iter().all(|line| line.starts_with("WINDOW_UPDATE 0 ")), "no more for the stream: {said:?}");
        let credit = said.iter().map(|line| line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap());
        window += credit.sum::<i64>() - (64 << 10);
        assert!(window >= 512 << 10, "{window}");
    }
    assert_eq!(end.connection.held(), STALLED as usize * (64 << 10));
    let answer = [frame(HEADERS, 4, victim.stream_id(), &[0x88]), frame(DATA, END_STREAM, victim.stream_id(), b"here")];
    assert_eq!(end.receive(&answer.concat()).unwrap().len(), 2);
    // What is taken is given back to its stream, and once only.
    end.out.clear();
    end.connection.consumed(keys[0], 64 << 10, &mut end.out);
    assert_eq!(describe_frames(&end.out), ["WINDOW_UPDATE 1 65536"]);
    assert_eq!(end.connection.held(), (STALLED as usize - 1) * (64 << 10));
    end.out.clear();
    for key in keys {
        end.connection.release(key, &mut end.out);
    }
    assert!(!describe_frames(&end.out).iter().any(|line| line.starts_with("WINDOW_UPDATE")));
    assert_eq!(end.connection.held(), 0);
}

#[test]
fn a_reset_stream_sends_nothing() {
    let (mut end, key) = answering(&frame(SETTINGS, 0, 0, &[]));
    let (consumed, told) = end.receive_some(&reset(1, 8)).unwrap();
    assert_eq!((consumed, told.len()), (13, 1));
    assert_eq!((end.connection.send_window(key), end.connection.send_data(key, b"x", true, &mut end.out)), (0, 0));
    assert!(end.out.is_empty());
}

#[test]
fn what_is_held_is_given_back_at_the_end() {
    let config = Config { initial_stream_window: 60_000, initial_connection_window: 65_535, ..Config::default() };
    let mut end = End::new(Role::Server, config);
    end.receive(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &request(1, 0)].concat()).unwrap();
    let key = end.key(1);
    end.out.clear();
    let data =
        [frame(DATA, 0, 1, &[b'x'; 16_000]), frame(DATA, 0, 1, &[b'x'; 16_000]), frame(DATA, 0, 1, &[b'x'; 16_000])];
    for data in data {
        let received = end.connection.receive(&data, end.now, &mut end.out).unwrap().unwrap();
        assert_eq!(received.consumed, data.len());
    }
    // Only what it has can be given back.
    end.connection.consumed(key, 10_000, &mut end.out);
    assert_eq!(describe_frames(&end.out), [""; 0]);
    end.connection.release(key, &mut end.out);
    assert_eq!(describe_frames(&end.out), ["RST_STREAM 1 CANCEL", "WINDOW_UPDATE 0 48000"]);
    end.out.clear();
    end.connection.consumed(key, 60_000, &mut end.out);
    assert_eq!(describe_frames(&end.out), [""; 0]);
}
