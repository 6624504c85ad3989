//! Our ends against those of the crate h2, which has another encoder: Huffman code, a dynamic table, its own windows.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use h1::{BodyLength, Fields, Method, RequestHead, ResponseHead, Scheme};
use h2_oracle::{RecvStream, SendStream};
use selvedge_h2::{Config, Connection, Event, Key, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const REQUESTS: usize = 40;
const BODY: usize = 300_000;

/// Fields that differ from request to request, so that entries of the table come and go; some are larger than it.
fn fields_of(request: usize) -> Vec<(String, String)> {
    let mut fields = vec![
        ("user-agent".to_owned(), "oracle/1.0 (x; y) ~|<>{}".to_owned()),
        ("x-number".to_owned(), request.to_string()),
        ("x-sometimes".to_owned(), (request % 5).to_string()),
        (format!("x-name-{}", request % 7), "\u{e9}\u{fc} and more".repeat(request % 9)),
    ];
    if request % 10 == 3 {
        fields.push(("x-large".to_owned(), "large ".repeat(1_000) + "."));
    }
    fields
}

fn content(request: usize) -> Vec<u8> {
    let length = if request.is_multiple_of(8) { BODY } else { request * 100 };
    (0..length).map(|at| (at * 7 + request) as u8).collect()
}

fn small_windows() -> Config {
    Config {
        initial_stream_window: 20_000,
        initial_connection_window: 70_000,
        max_concurrent_streams: 50,
        ..Config::default()
    }
}

/// What one of our ends keeps for a stream.
#[derive(Default)]
struct Work {
    fields: Vec<(String, String)>,
    received: Vec<u8>,
    trailer: Option<String>,
    to_send: Vec<u8>,
    sent: usize,
}

struct Ours {
    connection: Connection<Work>,
    out: Vec<u8>,
    stream: DuplexStream,
    input: Vec<u8>,
}

impl Ours {
    fn new(role: Role, stream: DuplexStream) -> Self {
        let mut ours =
            Ours { connection: Connection::new(role, small_windows()), out: Vec::new(), stream, input: Vec::new() };
        ours.connection.start(&mut ours.out);
        ours
    }

    /// Sends what was written and takes what arrives next; the events come with the content.
    async fn turn(&mut self) -> Option<Vec<(Event, Vec<u8>)>> {
        self.stream.write_all(&self.out).await.ok()?;
        self.out.clear();
        if self.stream.read_buf(&mut self.input).await.ok()? == 0 {
            return None;
        }
        let mut at = 0;
        let mut events = Vec::new();
        while let Some(received) =
            self.connection.receive(&self.input[at..], Instant::now(), &mut self.out).expect("a peaceful oracle")
        {
            if let Some(event) = received.event {
                let content = match &event {
                    Event::Data { range, .. } => self.input[at..][range.clone()].to_vec(),
                    _ => Vec::new(),
                };
                self.note(&event, &content);
                events.push((event, content));
            }
            at += received.consumed;
        }
        self.input.drain(..at);
        Some(events)
    }

    /// Keeps what belongs to a stream.
    fn note(&mut self, event: &Event, content: &[u8]) {
        match event {
            Event::Request { key, .. } => {
                let fields = list(self.connection.request_head().fields());
                self.connection.accept(*key, Work { fields, ..Work::default() });
            }
            Event::Response { key, .. } => {
                let fields = list(self.connection.response_head().fields());
                self.connection.get(*key).unwrap().fields = fields;
            }
            Event::Data { key, .. } => {
                self.connection.get(*key).unwrap().received.extend_from_slice(content);
                self.connection.consumed(*key, content.len(), &mut self.out);
            }
            Event::Trailers { key } => {
                let trailer = self.connection.trailers().find(b"x-trailer").map(text);
                self.connection.get(*key).unwrap().trailer = trailer;
            }
            _ => {}
        }
    }

    fn pump(&mut self, key: Key) {
        let Some(work) = self.connection.get(key) else { return };
        let (to_send, sent) = (std::mem::take(&mut work.to_send), work.sent);
        let taken = self.connection.send_data(key, &to_send[sent..], false, &mut self.out);
        let work = self.connection.get(key).unwrap();
        work.sent += taken;
        let done = work.sent == to_send.len();
        work.to_send = to_send;
        if done {
            let mut trailers = Fields::new();
            trailers.append(b"x-trailer", b"ours").unwrap();
            self.connection.send_trailers(key, &trailers, &mut self.out);
        }
    }

    fn pump_all(&mut self) {
        let keys: Vec<Key> = self.connection.values().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.pump(key));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn list(fields: &Fields) -> Vec<(String, String)> {
    fields.iter().map(|field| (text(field.name), text(field.value))).collect()
}

/// Receives a whole message of the oracle's.
async fn collect(mut body: RecvStream) -> (Vec<u8>, Option<String>) {
    let mut received = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        received.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await.unwrap();
    (received, trailers.map(|trailers| text(trailers["x-trailer"].as_bytes())))
}

/// Sends a whole message of the oracle's.
fn send(mut stream: SendStream<Bytes>, content: Vec<u8>) {
    stream.send_data(content.into(), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-trailer", "theirs".parse().unwrap());
    stream.send_trailers(trailers).unwrap();
}

fn header_map(request: usize) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in fields_of(request) {
        let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    map
}

fn fields_in(map: &http::HeaderMap) -> Vec<(String, String)> {
    map.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

/// A test that waits for ever fails instead.
async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(std::time::Duration::from_secs(120), test).await.expect("an end");
}

#[tokio::test]
async fn our_server_understands_their_client() {
    in_time(talk_to_their_client()).await;
}

async fn talk_to_their_client() {
    let (theirs, ours) = tokio::io::duplex(30_000);
    let server = tokio::spawn(async move {
        let mut ours = Ours::new(Role::Server, ours);
        while let Some(events) = ours.turn().await {
            for (event, _) in events {
                let (Event::Request { key, end: true } | Event::Data { key, end: true, .. } | Event::Trailers { key }) =
                    event
                else {
                    ours.pump_all();
                    continue;
                };
                let work = ours.connection.get(key).unwrap();
                assert_eq!(work.trailer.as_deref(), Some("theirs"));
                let mut head = ResponseHead::new();
                head.start(200, BodyLength::Chunked);
                for (name, value) in &work.fields {
                    head.fields_mut().append(name.as_bytes(), value.as_bytes()).unwrap();
                }
                work.to_send = std::mem::take(&mut work.received);
                ours.connection.send_response(key, &head, false, &mut ours.out);
                ours.pump(key);
            }
        }
    });
    // The answers are read one after the other, so the others must have room meanwhile.
    let mut client = h2_oracle::client::Builder::new();
    client.header_table_size(1_000).initial_connection_window_size(10 << 20);
    let (client, connection) = client.handshake(theirs).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let mut answers = Vec::new();
    for request in 0..REQUESTS {
        client = client.ready().await.unwrap();
        let mut head = http::Request::post("http://example.com/path?query").body(()).unwrap();
        *head.headers_mut() = header_map(request);
        let (answer, body) = client.send_request(head, false).unwrap();
        send(body, content(request));
        answers.push(answer);
    }
    for (request, answer) in answers.into_iter().enumerate() {
        let (parts, body) = answer.await.unwrap().into_parts();
        assert_eq!((parts.status.as_u16(), fields_in(&parts.headers)), (200, fields_of(request)));
        assert_eq!(collect(body).await, (content(request), Some("ours".to_owned())), "request {request}");
    }
    drop(client);
    connection.await.unwrap().unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn our_client_understands_their_server() {
    in_time(talk_to_their_server()).await;
}

async fn talk_to_their_server() {
    let (theirs, ours) = tokio::io::duplex(30_000);
    let server = tokio::spawn(async move {
        let mut connection = h2_oracle::server::handshake(theirs).await.unwrap();
        while let Some(request) = connection.accept().await {
            let (request, mut respond) = request.unwrap();
            tokio::spawn(async move {
                let (parts, body) = request.into_parts();
                assert_eq!(
                    (parts.method.as_str(), parts.uri.to_string().as_str()),
                    ("PUT", "https://example.com/path")
                );
                let (received, trailer) = collect(body).await;
                assert_eq!(trailer.as_deref(), Some("ours"));
                let mut head = http::Response::new(());
                *head.headers_mut() = parts.headers;
                send(respond.send_response(head, false).unwrap(), received);
            });
        }
    });
    let mut ours = Ours::new(Role::Client, ours);
    let mut open = HashMap::new();
    let mut next = 0;
    while next < REQUESTS || !open.is_empty() {
        while next < REQUESTS && open.len() < 10 {
            let mut head = RequestHead::new();
            head.start(Method::Put, b"/path", b"example.com").unwrap();
            head.body = BodyLength::Chunked;
            for (name, value) in fields_of(next) {
                head.fields_mut().append(name.as_bytes(), value.as_bytes()).unwrap();
            }
            let work = Work { to_send: content(next), ..Work::default() };
            let key = ours.connection.open(&head, Scheme::Https, false, work, &mut ours.out).unwrap();
            open.insert(key, next);
            next += 1;
        }
        ours.pump_all();
        for (event, _) in ours.turn().await.expect("an open connection") {
            assert!(!matches!(event, Event::Reset { .. }), "{event:?}");
            if let Event::Trailers { key } = event {
                let work = ours.connection.release(key, &mut ours.out).unwrap();
                let request = open.remove(&key).unwrap();
                assert_eq!((work.fields, work.trailer.as_deref()), (fields_of(request), Some("theirs")));
                assert!(work.received == content(request), "request {request}");
            }
        }
    }
    drop(ours);
    server.await.unwrap();
}
