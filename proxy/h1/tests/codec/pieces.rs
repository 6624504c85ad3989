//! However the bytes arrive, the outcome is the same.

use selvedge_h1::{BodyDecoder, BodyError, BodyLength, Limits, RequestError, RequestHead, ResponseHead};

use crate::support::{Outcome, Random, describe_request, describe_response, parse_request, parse_response};
use crate::{bodies, requests, responses};

const ROUNDS: u64 = 40;

/// Ends of growing pieces of `length` bytes: sometimes single bytes, sometimes big steps; the last is all of it.
fn ends(random: &mut Random, length: usize) -> Vec<usize> {
    let step = *random.pick(&[1, 2, 5, 30, 200]);
    let mut ends = vec![];
    let mut end = 0;
    while end < length {
        end = (end + 1 + random.below(step)).min(length);
        ends.push(end);
    }
    ends
}

fn request_in_pieces(random: &mut Random, head: &mut RequestHead, input: &[u8]) -> Outcome<RequestError> {
    head.clear();
    for end in ends(random, input.len()) {
        if let Some(consumed) = head.parse(&input[..end], &Limits::DEFAULT)? {
            return Ok(Some((consumed, describe_request(head))));
        }
    }
    Ok(None)
}

#[test]
fn requests_in_pieces() {
    let inputs = requests::ACCEPTED.iter().map(|case| case.0).chain(requests::REFUSED.iter().map(|case| case.0));
    let mut head = RequestHead::new();
    for (number, input) in inputs.enumerate() {
        // What follows must not matter, and lets a refusal that waits for its line end happen.
        let input = format!("{input}body\r\n\r\n");
        let whole = parse_request(input.as_bytes(), &Limits::DEFAULT);
        for seed in 0..ROUNDS {
            let mut random = Random(seed << 32 | number as u64);
            let pieces = request_in_pieces(&mut random, &mut head, input.as_bytes());
            assert_eq!(pieces, whole, "{input:?} seed {seed}");
        }
    }
}

#[test]
fn responses_in_pieces() {
    let accepted = responses::ACCEPTED.iter().map(|case| (case.0, case.1));
    let refused = responses::REFUSED.iter().map(|case| (case.0, case.1));
    let mut head = ResponseHead::new();
    for (number, (expectation, input)) in accepted.chain(refused).enumerate() {
        let input = format!("{input}body\r\n\r\n");
        let whole = parse_response(input.as_bytes(), expectation, &Limits::DEFAULT);
        for seed in 0..ROUNDS {
            head.clear();
            let mut pieces = Ok(None);
            for end in ends(&mut Random(seed << 32 | number as u64), input.len()) {
                pieces = head.parse(&input.as_bytes()[..end], expectation, &Limits::DEFAULT);
                if pieces != Ok(None) {
                    break;
                }
            }
            let pieces = pieces.map(|consumed| consumed.map(|consumed| (consumed, describe_response(&head))));
            assert_eq!(pieces, whole, "{input:?} seed {seed}");
        }
    }
}

/// Bytes are taken away once consumed, as a connection buffer does.
fn body_in_pieces(random: &mut Random, length: BodyLength, input: &[u8]) -> Result<(usize, Vec<u8>, bool), BodyError> {
    let mut decoder = BodyDecoder::new(length);
    let (mut start, mut data) = (0, vec![]);
    for end in ends(random, input.len()) {
        loop {
            let decoded = decoder.decode(&input[start..end])?;
            data.extend_from_slice(&input[start..end][decoded.data.clone()]);
            start += decoded.consumed;
            if decoded.complete {
                return Ok((start, data, true));
            }
            if decoded.consumed == 0 {
                break;
            }
        }
    }
    Ok((start, data, false))
}

#[test]
fn bodies_in_pieces() {
    for (number, (input, expected)) in bodies::CHUNKED.iter().enumerate() {
        for seed in 0..ROUNDS {
            let mut random = Random(seed << 32 | number as u64);
            let outcome = body_in_pieces(&mut random, BodyLength::Chunked, input.as_bytes());
            match expected {
                Ok((consumed, data)) => {
                    let expected = Ok((*consumed, data.as_bytes().to_vec(), true));
                    assert_eq!(outcome, expected, "{input:?} seed {seed}");
                }
                Err(error) => assert_eq!(outcome, Err(*error), "{input:?} seed {seed}"),
            }
        }
    }
}

/// A slow head must not cost a new look at the whole line for every byte that arrives.
#[test]
fn bytes_already_searched_are_not_looked_at_again() {
    let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    let mut head = RequestHead::new();
    assert_eq!(head.parse(format!("{start}aaaa").as_bytes(), &Limits::DEFAULT), Ok(None));
    // No client can do this; a parser that started the line again would refuse it.
    assert_eq!(head.parse(format!("{start}\0\0\0\0b").as_bytes(), &Limits::DEFAULT), Ok(None));
    assert_eq!(head.parse(format!("{start}aaaabc").as_bytes(), &Limits::DEFAULT), Ok(None));
    assert!(matches!(head.parse(format!("{start}aaaabc\r\n\r\n").as_bytes(), &Limits::DEFAULT), Ok(Some(_))));
    assert_eq!(head.fields().find(b"x"), Some(&b"aaaabc"[..]));

    let mut head = RequestHead::new();
    assert_eq!(head.parse(b"GET /aaaa", &Limits::DEFAULT), Ok(None));
    assert_eq!(head.parse(b"GE\0 /aaaab", &Limits::DEFAULT), Ok(None));
}
