//! What arrives on streams that are over.

use selvedge_h2::Config;

use crate::abuse::{LIMITS, flood, server, server_with};
use crate::support::End;
use crate::wire::{DATA, END, END_STREAM, GET, HEADERS, block, frame, request};

/// Requests that were opened together and then given up by the server, each number of them.
fn given_up_by_server(max_concurrent_streams: u32, count: u32) -> End {
    let mut end = server_with(Config { max_concurrent_streams, ..Config::default() });
    for number in 0..count {
        let stream = 2 * number + 1;
        end.receive(&request(stream, 0)).unwrap();
        if number % max_concurrent_streams == max_concurrent_streams - 1 {
            for key in std::mem::take(&mut end.keys) {
                end.connection.release(key, &mut end.out);
            }
        }
        end.out.clear();
    }
    end
}

#[test]
fn what_was_under_way_on_as_many_streams_as_may_be_open_is_passed_over() {
    let mut end = given_up_by_server(800, 800);
    for number in 0..800 {
        let stream = 2 * number + 1;
        let under_way = [frame(DATA, 0, stream, &[0; 80]), request(stream, END_STREAM)].concat();
        assert!(end.receive(&under_way).unwrap().is_empty());
    }
    assert!(end.out.is_empty(), "nobody is to blame");
}

#[test]
fn heads_on_streams_that_are_forgotten_are_counted_and_ignored() {
    let mut end = given_up_by_server(10, 1_000);
    // What it adds to the table of HPACK is there for others.
    let kept = [&block(&GET)[..], &[0x40, 1, b'x', 1, b'y']].concat();
    assert!(end.receive(&frame(HEADERS, END, 1, &kept)).unwrap().is_empty());
    let used = [&block(&GET)[..], &[0xbe]].concat();
    assert_eq!(end.receive(&frame(HEADERS, END, 2_001, &used)).unwrap(), ["2001: GET / @a None | x=y end"]);
    let (taken, reason) = flood(&mut end, 2_000, |_| request(1, END_STREAM));
    assert_eq!((taken, reason), (LIMITS.ignored_frames_per_second - 1, "ignored frames per second"));
    // Those that never were are none of them.
    let mut end = given_up_by_server(10, 1_000);
    end.receive(&request(2_003, END_STREAM)).unwrap();
    assert_eq!(end.receive(&request(2_001, END_STREAM)).unwrap_err().reason, "stream numbers went back");
}

#[test]
fn heads_on_streams_that_are_gone() {
    let mut end = server();
    end.receive(&request(1, 0)).unwrap();
    end.connection.release(end.key(1), &mut end.out);
    let (taken, reason) = flood(&mut end, 2_000, |_| request(1, 0));
    assert_eq!((taken, reason), (LIMITS.ignored_frames_per_second, "ignored frames per second"));
}
