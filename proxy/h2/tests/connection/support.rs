//! Both ends of a connection, and what they say as text.

use std::time::Instant;

use h1::{BodyLength, Fields, Limits, Method, RequestHead, ResponseHead};
use selvedge_h2::{Config, Connection, ConnectionError, Event, Key, Role};

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn describe_fields(fields: &Fields) -> String {
    fields.iter().map(|field| format!(" | {}={}", text(field.name), text(field.value))).collect()
}

/// One end, and what it wrote.
pub(crate) struct End {
    pub(crate) connection: Connection<()>,
    pub(crate) out: Vec<u8>,
    pub(crate) now: Instant,
    /// Streams it was told of or opened, by number.
    pub(crate) keys: Vec<Key>,
    /// What it was told before the error that ended it.
    pub(crate) told: Vec<String>,
}

impl End {
    pub(crate) fn new(role: Role, config: Config) -> Self {
        let mut end = End {
            connection: Connection::new(role, config),
            out: Vec::new(),
            now: Instant::now(),
            keys: Vec::new(),
            told: Vec::new(),
        };
        end.connection.start(&mut end.out);
        end
    }

    pub(crate) fn key(&self, stream: u32) -> Key {
        *self.keys.iter().find(|key| key.stream_id() == stream).expect("a known stream")
    }

    /// Takes all of `input` and says what it was told, as lines.
    pub(crate) fn receive(&mut self, input: &[u8]) -> Result<Vec<String>, ConnectionError> {
        let (consumed, lines) = self.receive_some(input)?;
        assert_eq!(consumed, input.len(), "unfinished input");
        Ok(lines)
    }

    /// Takes what it can, and says how much that was. A stream that is reset is released.
    pub(crate) fn receive_some(&mut self, input: &[u8]) -> Result<(usize, Vec<String>), ConnectionError> {
        let mut at = 0;
        let mut lines = Vec::new();
        while let Some(received) = self
            .connection
            .receive(&input[at..], self.now, &mut self.out)
            .inspect_err(|_| self.told = std::mem::take(&mut lines))?
        {
            if let Some(event) = received.event {
                lines.push(self.describe(event, &input[at..]));
            }
            at += received.consumed;
        }
        Ok((at, lines))
    }

    pub(crate) fn describe(&mut self, event: Event, input: &[u8]) -> String {
        match event {
            Event::Request { key, end } => {
                self.connection.accept(key, ());
                self.keys.push(key);
                let head = self.connection.request_head();
                let mut line = format!("{}: {}", key.stream_id(), describe_request(head));
                line += if end { " end" } else { "" };
                line
            }
            Event::Response { key, end } => {
                let head = self.connection.response_head();
                let mut line = format!("{}: {}", key.stream_id(), describe_response(head));
                line += if end { " end" } else { "" };
                line
            }
            Event::Trailers { key } => {
                format!("{}: trailers{}", key.stream_id(), describe_fields(self.connection.trailers()))
            }
            Event::Data { key, range, end } => {
                let line = format!(
                    "{}: data {:?}{}",
                    key.stream_id(),
                    text(&input[range.clone()]),
                    if end { " end" } else { "" }
                );
                self.connection.consumed(key, range.len(), &mut self.out);
                line
            }
            Event::Reset { key, code, by_peer, reason } => {
                let who = if by_peer { "by peer" } else { reason };
                self.connection.release(key, &mut self.out);
                format!("{}: reset {} {who}", key.stream_id(), code.name())
            }
            Event::Refused { code, reason, .. } => format!("refused {} {reason}", code.name()),
            Event::Writable { key } => format!("writable {:?}", key.map(Key::stream_id)),
            Event::Pong(payload) => format!("pong {payload:?}"),
            Event::GoAway { last, code } => format!("goaway {last} {}", code.name()),
        }
    }
}

pub(crate) fn describe_request(head: &RequestHead) -> String {
    let mut line =
        format!("{} {} @{} {:?}", head.method.as_str(), text(head.path_and_query()), text(head.authority()), head.body);
    if let Some(protocol) = head.upgrade() {
        line += &format!(" upgrade={}", text(protocol));
    }
    line + &describe_fields(head.fields())
}

pub(crate) fn describe_response(head: &ResponseHead) -> String {
    let mut line = format!("{} {:?}", head.status, head.body);
    if let Some(protocol) = head.upgrade() {
        line += &format!(" upgrade={}", text(protocol));
    }
    line + &describe_fields(head.fields())
}

/// A client and a server that talk to each other.
pub(crate) struct Pair {
    pub(crate) client: End,
    pub(crate) server: End,
}

impl Pair {
    pub(crate) fn new(client: Config, server: Config) -> Self {
        let mut pair = Pair { client: End::new(Role::Client, client), server: End::new(Role::Server, server) };
        pair.exchange();
        pair
    }

    /// Carries over what was written until nobody has anything to say. Returns what client and server were told.
    pub(crate) fn exchange(&mut self) -> (Vec<String>, Vec<String>) {
        let (mut client, mut server) = (Vec::new(), Vec::new());
        while !self.client.out.is_empty() || !self.server.out.is_empty() {
            let to_server = std::mem::take(&mut self.client.out);
            server.extend(self.server.receive(&to_server).expect("a peaceful client"));
            let to_client = std::mem::take(&mut self.server.out);
            client.extend(self.client.receive(&to_client).expect("a peaceful server"));
        }
        (client, server)
    }
}

/// A request head, parsed from HTTP/1.
pub(crate) fn request(text: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let parsed = head.parse(text.replace('\n', "\r\n").as_bytes(), &Limits::DEFAULT);
    assert!(matches!(parsed, Ok(Some(_))), "{parsed:?}");
    head
}

pub(crate) fn get(path: &str) -> RequestHead {
    let mut head = RequestHead::new();
    head.start(Method::Get, path.as_bytes(), b"example.com").unwrap();
    head
}

pub(crate) fn response(status: u16, body: BodyLength) -> ResponseHead {
    let mut head = ResponseHead::new();
    head.start(status, body);
    head
}
