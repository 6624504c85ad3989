//! What we take, httparse takes too, and reads the same in it.

use selvedge_h1::{
    Expectation, Header, HeaderSet, JOINED_IN_REQUESTS, JOINED_IN_RESPONSES, Limits, RequestHead, ResponseHead,
};

use crate::support::{Random, text};
use crate::{requests, responses};

const ROUNDS: u64 = 60_000;

/// Fields that may be missing among ours: they concern the connection, or are read into the head.
const TAKEN_OUT: &[&str] = &[
    "host",
    "connection",
    "proxy-connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "proxy-authenticate",
    "http2-settings",
];

/// Changes a few bytes of a message: replaced, doubled, dropped.
fn mutate(random: &mut Random, message: &mut Vec<u8>) {
    const BYTES: &[u8] = b"\r\n\t :;,aZ09-_%/?#\0\x7f\xe9\x80chunked";
    for _ in 0..random.below(4) {
        let at = random.below(message.len());
        match random.below(4) {
            0 => message[at] = *random.pick(BYTES),
            1 => message.insert(at, *random.pick(BYTES)),
            2 => drop(message.remove(at)),
            _ => {
                let end = (at + 1 + random.below(20)).min(message.len());
                let piece = message[at..end].to_vec();
                message.splice(at..at, piece);
            }
        }
    }
}

/// The lines of those that are `joined` become one, as the parser makes them.
fn join(lines: Vec<(String, Vec<u8>)>, joined: HeaderSet) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, value) in lines {
        let first = fields.iter_mut().find(|(known, _)| *known == name);
        match first.filter(|_| joined.contains(Header::from_name(name.as_bytes()))) {
            Some((_, values)) if values.is_empty() => *values = value,
            Some(_) if value.is_empty() => {}
            Some((_, values)) => *values = [values, &b","[..], &value].concat(),
            None => fields.push((name, value)),
        }
    }
    fields
}

/// `theirs` without the fields that are taken out or nominated must be `ours`.
fn compare_fields(ours: &selvedge_h1::Fields, theirs: &[httparse::Header<'_>], of_request: bool, input: &[u8]) {
    let nominated: Vec<String> = theirs
        .iter()
        .filter(|header| of_request && header.name.eq_ignore_ascii_case("connection"))
        .flat_map(|header| {
            text(header.value).to_ascii_lowercase().split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let is_taken_out = |name: &str| TAKEN_OUT.contains(&name) || nominated.iter().any(|nominated| nominated == name);
    let expected: Vec<(String, Vec<u8>)> = theirs
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), header.value.trim_ascii().to_vec()))
        .filter(|(name, _)| !is_taken_out(name))
        .collect();
    let actual: Vec<(String, Vec<u8>)> = ours
        .iter()
        .map(|field| (text(field.name), field.value.to_vec()))
        .filter(|(name, _)| !is_taken_out(name))
        .collect();
    let expected = join(expected, if of_request { JOINED_IN_REQUESTS } else { JOINED_IN_RESPONSES });
    assert_eq!(actual, expected, "{:?}", text(input));
}

#[test]
fn accepted_requests_are_read_as_httparse_reads_them() {
    let mut accepted = 0;
    let mut head = RequestHead::new();
    for seed in 0..ROUNDS {
        let mut random = Random(seed);
        let (template, _) = random.pick(requests::ACCEPTED);
        let mut input = template.as_bytes().to_vec();
        mutate(&mut random, &mut input);
        head.clear();
        let Ok(Some(consumed)) = head.parse(&input, &Limits::DEFAULT) else { continue };
        accepted += 1;
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut headers);
        let theirs = request.parse(&input);
        assert_eq!(theirs, Ok(httparse::Status::Complete(consumed)), "{:?}", text(&input));
        assert_eq!(request.method, Some(head.method.as_str()));
        assert_eq!(request.version, Some(1));
        let target = request.path.unwrap();
        if target.starts_with('/') {
            assert_eq!(text(head.path_and_query()), target.split('#').next().unwrap());
        }
        compare_fields(head.fields(), request.headers, true, &input);
    }
    assert!(accepted > ROUNDS / 10, "only {accepted} messages were compared");
}

#[test]
fn accepted_responses_are_read_as_httparse_reads_them() {
    let mut accepted = 0;
    let mut head = ResponseHead::new();
    for seed in 0..ROUNDS {
        let mut random = Random(seed << 1 | 1 << 63);
        let (expectation, template, _) = random.pick(responses::ACCEPTED);
        let mut input = template.as_bytes().to_vec();
        mutate(&mut random, &mut input);
        head.clear();
        let Ok(Some(consumed)) = head.parse(&input, *expectation, &Limits::DEFAULT) else { continue };
        accepted += 1;
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut headers);
        let theirs = response.parse(&input);
        if theirs == Err(httparse::Error::Version) {
            continue; // It knows none but 1.0 and 1.1.
        }
        assert_eq!(theirs, Ok(httparse::Status::Complete(consumed)), "{:?}", text(&input));
        assert_eq!(response.code, Some(head.status));
        let lengths_dropped = head.status < 200 || head.status == 204;
        if !lengths_dropped {
            compare_fields(head.fields(), response.headers, false, &input);
        }
    }
    assert!(accepted > ROUNDS / 10, "only {accepted} messages were compared");
}

#[test]
fn noise_is_never_accepted_and_never_panics() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed ^ 0xdead_beef);
        let length = 1 + random.below(120);
        let input: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        let request = RequestHead::new().parse(&input, &Limits::DEFAULT);
        assert!(!matches!(request, Ok(Some(_))), "{input:?}");
        let response = ResponseHead::new().parse(&input, Expectation::default(), &Limits::DEFAULT);
        assert!(!matches!(response, Ok(Some(_))), "{input:?}");
    }
}
