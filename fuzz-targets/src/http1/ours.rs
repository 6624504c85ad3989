//! Messages as our codec reads them.

use h1::{BodyDecoder, BodyError, BodyLength, Expectation, Fields, Limits, Method, RequestHead, ResponseHead};

use crate::pieces;

/// A message, whoever read it. Fields have lower-case names.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Message {
    /// Method and target, or the status.
    pub(super) start: String,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// The whole messages at the beginning of a stream.
#[derive(Debug, PartialEq)]
pub(super) struct Stream {
    pub(super) messages: Vec<Message>,
    /// The targets of requests as they stood there.
    pub(super) targets: Vec<String>,
    /// Nothing may follow the last one.
    pub(super) ended: bool,
}

impl Stream {
    /// Reads requests up to one that is refused, cut off, or the last one.
    pub(super) fn read(stream: &[u8], piece: u8) -> Self {
        let mut read = Stream { messages: Vec::new(), targets: Vec::new(), ended: false };
        let mut at = 0;
        while !read.ended {
            let Some((message, length, last)) = request(&stream[at..], piece) else { break };
            read.messages.push(message);
            read.targets.push(target(&stream[at..]));
            read.ended = last;
            at += length;
        }
        read
    }
}

/// The second word of the first line that is not empty.
fn target(stream: &[u8]) -> String {
    text(stream.trim_ascii_start().split(|byte| *byte == b' ').nth(1).unwrap_or_default())
}

/// One request, its length, and whether it must be the last one.
fn request(stream: &[u8], piece: u8) -> Option<(Message, usize, bool)> {
    let mut head = RequestHead::new();
    let limits = Limits { accept_http_10: true, ..Limits::DEFAULT };
    let parse = |input: &[u8]| head.parse(input, &limits).map_err(drop);
    let head_length = in_pieces(stream, piece, parse)?;
    let (body, body_length) = body(&stream[head_length..], head.body, piece)?;
    let start = format!("{} {}", head.method.as_str(), text(head.path_and_query()));
    let last = !head.keep_alive || head.upgrade().is_some() || head.method == Method::Connect;
    Some((Message { start, fields: list(head.fields()), body }, head_length + body_length, last))
}

/// The response to a request with `method`; `None` for an interim one, too, and for one that is cut off.
pub(super) fn response(stream: &[u8], method: Method, piece: u8) -> Option<Message> {
    let mut head = ResponseHead::new();
    let expectation = Expectation { method, upgrade: false };
    let parse = |input: &[u8]| head.parse(input, expectation, &Limits::DEFAULT).map_err(drop);
    let head_length = in_pieces(stream, piece, parse)?;
    if head.is_interim() {
        return None;
    }
    let (body, _) = body(&stream[head_length..], head.body, piece)?;
    Some(Message { start: head.status.to_string(), fields: list(head.fields()), body })
}

/// Gives a parser more and more of the stream, until it says where the head ends.
fn in_pieces(stream: &[u8], piece: u8, mut parse: impl FnMut(&[u8]) -> Result<Option<usize>, ()>) -> Option<usize> {
    for end in pieces::ends(stream.len(), piece) {
        if let Some(length) = parse(&stream[..end]).ok()? {
            assert!(length <= end, "a head of {length} bytes in {end}");
            return Some(length);
        }
    }
    None
}

/// The body at the start of `stream` and its length there, if all of it is.
fn body(stream: &[u8], length: BodyLength, piece: u8) -> Option<(Vec<u8>, usize)> {
    let mut decoder = BodyDecoder::new(length);
    let (mut body, mut at) = (Vec::new(), 0);
    for end in pieces::ends(stream.len(), piece) {
        while !decoder.is_complete() && at < end {
            let decoded = decoder.decode(&stream[at..end]).ok()?;
            assert!(decoded.consumed > 0 && decoded.consumed <= end - at, "{decoded:?} of {}", end - at);
            assert_eq!(decoded.complete, decoder.is_complete());
            body.extend_from_slice(&stream[at..end][decoded.data]);
            at += decoded.consumed;
        }
    }
    match decoder.end() {
        Ok(()) => Some((body, at)),
        Err(error) => {
            assert_eq!(error, BodyError::Truncated);
            None
        }
    }
}

fn list(fields: &Fields) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|field| (text(field.name), field.value.to_vec())).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
