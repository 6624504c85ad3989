//! Room that a peer gives for what it was sent, in many small pieces.

use h1::BodyLength;
use selvedge_h2::Key;

use crate::abuse::{LIMITS, server};
use crate::support::{End, response};
use crate::wire::{END_STREAM, PING, frame, request, setting, window_update};

/// SETTINGS_INITIAL_WINDOW_SIZE.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A server that answers with content without end, of which the client takes `stream` bytes of the stream and `connection` bytes more than
/// it does at first of the connection.
fn answering(stream: u32, connection: u32) -> (End, Key) {
    let mut end = server();
    end.receive(&setting(INITIAL_WINDOW_SIZE, stream)).unwrap();
    end.receive(&[request(1, END_STREAM), window_update(0, connection)].concat()).unwrap();
    let key = end.key(1);
    end.connection.send_response(key, &response(200, BodyLength::Chunked), false, &mut end.out);
    (end, key)
}

/// Sends as much as there is room for, and lets the client give room by `updates` when so much is under way, again and again.
fn taking(updates: &[(u32, u32)], at: usize, (mut end, key): (End, Key)) -> (u32, &'static str) {
    let given = updates.iter().map(|(_, bytes)| *bytes as usize).max().unwrap_or(0);
    let updates: Vec<u8> = updates.iter().flat_map(|(stream, bytes)| window_update(*stream, *bytes)).collect();
    let mut under_way = 0;
    for number in 0..20_000 {
        under_way += end.connection.send_data(key, &[0; 16_384], false, &mut end.out);
        end.out.clear();
        if under_way >= at {
            under_way -= given;
            if let Err(error) = end.receive(&updates) {
                return (number, error.reason);
            }
        }
    }
    (20_000, "never")
}

#[test]
fn who_takes_content_byte_by_byte_is_stopped() {
    let (taken, reason) = taking(&[(1, 1)], 1, answering(1, 1 << 20));
    assert_eq!(reason, "window updates of streams per second");
    // It may send one for every 128 bytes beyond.
    let allowed = LIMITS.stream_window_updates_per_second;
    assert!((allowed..=allowed + allowed / 100).contains(&taken), "{taken}");
    let (taken, reason) = taking(&[(0, 1)], 1, answering((1 << 31) - 1, 1));
    assert_eq!(reason, "window updates of the connection per second");
    let allowed = LIMITS.connection_window_updates_per_second + 65_536 / 128;
    // There was room at first.
    assert!((allowed..allowed + 100).contains(&taken), "{taken}");
}

#[test]
fn who_gives_room_for_what_it_took_is_not_stopped() {
    // As browsers do, for much at once.
    assert_eq!(taking(&[(0, 3 << 20), (1, 3 << 20)], 3 << 20, answering(6 << 20, 15 << 20)).1, "never");
    // As some clients of gRPC do, for each frame, while the window is full.
    for bytes in [16_384, 1_000, 256] {
        assert_eq!(taking(&[(0, bytes), (1, bytes)], 65_535, answering(65_535, 1)).1, "never", "{bytes}");
    }
}

#[test]
fn answers_to_content_are_not_counted() {
    let (mut end, key) = answering(65_535, 1);
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
