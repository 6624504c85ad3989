//! Who uses a connection: does what is expected of it and writes down what it was told.

use std::collections::BTreeMap;
use std::time::Instant;

use h1::{BodyLength, Fields, Method, RequestHead, ResponseHead, Scheme};
use h2::{Config, Connection, ConnectionError, Event, Key, Role};

const MOST_STREAMS: u32 = 8;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How many requests a client begins with.
const REQUESTS: usize = 4;

pub(super) struct User {
    role: Role,
    connection: Connection<usize>,
    out: Vec<u8>,
    open: Vec<Key>,
    /// Start lines and fields of the messages, in order.
    pub(super) heads: Vec<String>,
    /// Content by the number of the message it belongs to.
    pub(super) bodies: BTreeMap<usize, Vec<u8>>,
    /// How the connection ended.
    pub(super) failed: Option<ConnectionError>,
}

impl User {
    pub(super) fn new(role: Role, options: u8) -> Self {
        let config = Config {
            max_concurrent_streams: MOST_STREAMS,
            allow_connect: options & 1 != 0,
            close_on_malformed_message: options & 2 != 0,
            initial_stream_window: if options & 4 != 0 { 100 } else { 64 << 10 },
            ..Config::default()
        };
        let connection = Connection::new(role, config);
        let (out, open, heads, bodies) = Default::default();
        let mut user = User { role, connection, out, open, heads, bodies, failed: None };
        user.connection.start(&mut user.out);
        if role == Role::Client {
            user.ask();
        }
        user
    }

    /// Takes what it can of the input and says how much that was.
    pub(super) fn receive(&mut self, input: &[u8], now: Instant) -> usize {
        let mut at = 0;
        loop {
            let received = match self.connection.receive(&input[at..], now, &mut self.out) {
                Ok(Some(received)) => received,
                Ok(None) => return at,
                Err(error) => {
                    self.failed = Some(error);
                    return at;
                }
            };
            assert!(received.consumed > 0 || received.event.is_some(), "no progress");
            assert!(received.consumed <= input.len() - at);
            if let Some(event) = received.event {
                self.handle(event, &input[at..]);
            }
            at += received.consumed;
        }
    }

    pub(super) fn assert_whole_frames(&self) {
        let mut bytes = self.out.strip_prefix(PREFACE).unwrap_or(&self.out);
        while let [high, middle, low, _, _, _, _, _, _, rest @ ..] = bytes {
            bytes = &rest[u32::from_be_bytes([0, *high, *middle, *low]) as usize..];
        }
        assert!(bytes.is_empty(), "{} bytes of a frame", bytes.len());
    }

    fn ask(&mut self) {
        for number in 0..REQUESTS {
            let mut head = RequestHead::new();
            let method = [Method::Get, Method::Post, Method::Head, Method::Put][number % 4];
            head.start(method, b"/path?query", b"example.com").unwrap();
            head.body = if number % 2 == 0 { BodyLength::None } else { BodyLength::Chunked };
            let end = number % 2 == 0;
            let Ok(key) = self.connection.open(&head, Scheme::Http, end, number, &mut self.out) else { return };
            self.open.push(key);
        }
    }

    fn handle(&mut self, event: Event, input: &[u8]) {
        match event {
            Event::Request { key, end } => self.requested(key, end),
            Event::Response { key, end } => self.answered(key, end),
            Event::Data { key, range, end } => {
                let number = *self.connection.get(key).expect("content of a stream that is not open");
                self.bodies.entry(number).or_default().extend_from_slice(&input[range.clone()]);
                self.connection.consumed(key, range.len(), &mut self.out);
                if end {
                    self.finish(key);
                }
            }
            Event::Trailers { key } => {
                let trailers = describe(self.connection.trailers());
                self.heads.push(format!("trailers {trailers}"));
                self.finish(key);
            }
            Event::Reset { key, .. } => self.release(key),
            Event::Refused { .. } | Event::Writable { .. } | Event::Pong(_) | Event::GoAway { .. } => {}
        }
        assert!(self.connection.active() <= self.open.len());
        assert!(self.role == Role::Client || self.connection.active() <= MOST_STREAMS as usize);
    }

    fn requested(&mut self, key: Key, end: bool) {
        let head = self.connection.request_head();
        let start = format!("{} {}", head.method.as_str(), head.path_and_query().escape_ascii());
        let authority = head.authority().escape_ascii().to_string();
        let fields = describe(head.fields());
        self.heads.push(format!("{start} {authority} {fields}"));
        self.connection.accept(key, self.heads.len());
        self.open.push(key);
        if end {
            self.finish(key);
        }
    }

    fn answered(&mut self, key: Key, end: bool) {
        let head = self.connection.response_head();
        let status = head.status;
        let fields = describe(head.fields());
        self.heads.push(format!("{status} {fields}"));
        if end {
            self.finish(key);
        }
    }

    /// The peer has said all of a message.
    fn finish(&mut self, key: Key) {
        if self.role == Role::Server {
            let mut head = ResponseHead::new();
            head.start(200, BodyLength::Chunked);
            self.connection.send_response(key, &head, false, &mut self.out);
            self.connection.send_data(key, &[b'x'; 100], true, &mut self.out);
        }
        self.release(key);
    }

    fn release(&mut self, key: Key) {
        self.connection.release(key, &mut self.out);
        self.open.retain(|other| *other != key);
    }
}

/// The fields in one line. No head that is taken has bytes in it that could end a line of HTTP/1.
fn describe(fields: &Fields) -> String {
    let mut lines = String::new();
    for field in fields.iter() {
        let forged = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        assert!(!field.name.iter().any(forged) && !field.value.iter().any(forged), "{field:?}");
        assert!(!field.name.is_empty() && !field.name.iter().any(u8::is_ascii_uppercase), "{field:?}");
        lines += &format!("{}: {}; ", field.name.escape_ascii(), field.value.escape_ascii());
    }
    lines
}
