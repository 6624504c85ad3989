//! The beginning of a connection in a tunnel: a call, or the answer to one, is taken with its last byte and not before, and written again the same.

use overlay_wire::call::{Malformed, put_answer, put_call, take_answer, take_call};

/// Takes a call, or else an answer.
pub fn run(input: &[u8]) -> bool {
    let call = check(input, take_call, |call| {
        let mut written = Vec::new();
        put_call(&mut written, call);
        written
    });
    let answer = check(input, take_answer, |answer| {
        let mut written = Vec::new();
        put_answer(&mut written, answer.outcome, &answer.reason);
        written
    });
    assert!(!(call && answer), "both a call and an answer");
    call || answer
}

type Taken<T> = Result<Option<(T, usize)>, Malformed>;

fn check<T: PartialEq + std::fmt::Debug>(
    input: &[u8],
    take: impl Fn(&[u8]) -> Taken<T>,
    write: impl Fn(&T) -> Vec<u8>,
) -> bool {
    let Ok(Some((value, length))) = take(input) else { return false };
    for cut in 0..length {
        assert_eq!(take(&input[..cut]), Ok(None), "cut off after {cut} of {length} bytes");
    }
    let written = write(&value);
    assert_eq!(take(&written), Ok(Some((value, written.len()))));
    true
}
