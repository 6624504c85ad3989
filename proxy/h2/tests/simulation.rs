//! A client and a server that talk to each other with random windows, sizes, pieces, ends and resets: every byte of a stream
//! that nobody gave up arrives once and in order, and no credit is lost.
//!
//! `SEED=<number>` repeats one run, `SEEDS=<number>` sets how many there are.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use h1::{BodyLength, Fields, Header, Method, RequestHead, ResponseHead, Scheme};
use selvedge_h2::{AbuseLimits, Code, Config, Connection, Event, Key, Role};

/// A small generator of repeatable numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A size of any magnitude up to `most`.
    fn size(&mut self, most: usize) -> usize {
        let magnitude = 1 << self.below(usize::BITS as usize - most.leading_zeros() as usize + 1);
        self.below(magnitude.min(most) + 1)
    }
}

/// One direction of one stream.
#[derive(Debug, Default)]
struct Message {
    to_send: usize,
    sent: usize,
    trailers: bool,
    received: usize,
    /// How much the other side said it would send.
    expected: usize,
    /// Content that was received and not given back yet.
    held: usize,
    complete: bool,
}

/// What each end keeps for a stream.
#[derive(Debug, Default)]
struct Work {
    message: Message,
    head_sent: bool,
    end_sent: bool,
}

/// Byte `at` of a message of a stream.
fn content(stream: u32, at: usize, role: Role) -> u8 {
    let side = if role == Role::Client { 17 } else { 91 };
    (stream as usize * 31 + at * 7 + at / 251 + side) as u8
}

struct End {
    role: Role,
    connection: Connection<Work>,
    out: Vec<u8>,
    input: Vec<u8>,
    keys: Vec<Key>,
    completed: usize,
    given_up: usize,
}

impl End {
    fn new(role: Role, config: Config) -> Self {
        let mut end = End {
            role,
            connection: Connection::new(role, config),
            out: Vec::new(),
            input: Vec::new(),
            keys: Vec::new(),
            completed: 0,
            given_up: 0,
        };
        end.connection.start(&mut end.out);
        end
    }

    fn other(&self) -> Role {
        if self.role == Role::Client { Role::Server } else { Role::Client }
    }

    /// Takes everything that arrived.
    fn receive(&mut self, now: Instant, random: &mut Random) {
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while let Some(received) = self.connection.receive(&input[at..], now, &mut self.out).expect("peaceful peers") {
            if let Some(event) = received.event {
                self.handle(event, &input[at..], random);
            }
            at += received.consumed;
        }
        self.input = input[at..].to_vec();
    }

    fn handle(&mut self, event: Event, input: &[u8], random: &mut Random) {
        match event {
            Event::Request { key, end } => {
                let expected = length_in(self.connection.request_head().fields());
                let message = Message { complete: end, expected, ..some_message(random) };
                self.connection.accept(key, Work { message, ..Work::default() });
                self.keys.push(key);
            }
            Event::Response { key, end } => {
                let head = self.connection.response_head();
                if head.is_interim() {
                    return assert!(!end);
                }
                let expected = length_in(head.fields());
                let message = &mut self.connection.get(key).expect("a live stream").message;
                message.complete |= end;
                message.expected = expected;
            }
            Event::Trailers { key } => {
                assert_eq!(self.connection.trailers().find(b"x-trailer"), Some(&b"yes"[..]));
                self.connection.get(key).expect("a live stream").message.complete = true;
            }
            Event::Data { key, range, end } => {
                let other = self.other();
                let message = &mut self.connection.get(key).expect("a live stream").message;
                assert!(!message.complete);
                for byte in &input[range.clone()] {
                    assert_eq!(*byte, content(key.stream_id(), message.received, other));
                    message.received += 1;
                }
                message.held += range.len();
                message.complete |= end;
            }
            Event::Reset { key, by_peer, reason, .. } => {
                assert!(by_peer, "{reason}");
                self.give_up(key);
            }
            Event::Refused { reason, .. } => panic!("refused: {reason}"),
            Event::Writable { .. } | Event::Pong(_) | Event::GoAway { .. } => {}
        }
    }

    fn give_up(&mut self, key: Key) {
        self.given_up += 1;
        self.finish(key);
    }

    /// Releases a stream; perhaps with content of it that was not given back yet.
    fn finish(&mut self, key: Key) {
        let work = self.connection.release(key, &mut self.out).expect("a live stream");
        self.keys.retain(|other| *other != key);
        // It is too late for that, and does no harm.
        self.connection.consumed(key, work.message.held, &mut self.out);
    }

    /// Does something about one of the streams.
    fn work(&mut self, random: &mut Random) {
        if self.keys.is_empty() {
            return;
        }
        let key = self.keys[random.below(self.keys.len())];
        if random.chance(2) {
            let code = if random.chance(50) { Code::CANCEL } else { Code::INTERNAL_ERROR };
            self.connection.reset(key, code, &mut self.out);
            return self.give_up(key);
        }
        let role = self.role;
        let work = self.connection.get(key).expect("a live stream");
        if role == Role::Server && !work.head_sent {
            return self.answer(key, random);
        }
        if work.message.held > 0 && random.chance(50) {
            let bytes = random.size(work.message.held).max(1);
            let work = self.connection.get(key).expect("a live stream");
            work.message.held -= bytes;
            self.connection.consumed(key, bytes, &mut self.out);
        }
        self.send(key, random);
        let work = self.connection.get(key).expect("a live stream");
        if work.end_sent && work.message.complete && random.chance(50) {
            assert_eq!(work.message.received, work.message.expected);
            self.completed += 1;
            self.finish(key);
        }
    }

    fn answer(&mut self, key: Key, random: &mut Random) {
        let mut head = ResponseHead::new();
        if random.chance(20) {
            head.start(103, BodyLength::None);
            self.connection.send_response(key, &head, false, &mut self.out);
        }
        let work = self.connection.get(key).expect("a live stream");
        let end = work.message.to_send == 0 && !work.message.trailers && random.chance(50);
        work.head_sent = true;
        work.end_sent = end;
        head.start(200, body_of(&work.message));
        let length = work.message.to_send;
        add_fields(head.fields_mut(), length, random);
        self.connection.send_response(key, &head, end, &mut self.out);
    }

    fn send(&mut self, key: Key, random: &mut Random) {
        let role = self.role;
        let work = self.connection.get(key).expect("a live stream");
        if work.end_sent {
            return;
        }
        let (sent, left) = (work.message.sent, work.message.to_send - work.message.sent);
        let piece = random.size(left);
        let end = piece == left && !work.message.trailers;
        let trailers = work.message.trailers && left == 0;
        let data: Vec<u8> = (sent..sent + piece).map(|at| content(key.stream_id(), at, role)).collect();
        let window = self.connection.send_window(key);
        let taken = self.connection.send_data(key, &data, end, &mut self.out);
        assert_eq!(taken, piece.min(window));
        if trailers {
            let mut fields = Fields::new();
            fields.append(b"x-trailer", b"yes").unwrap();
            self.connection.send_trailers(key, &fields, &mut self.out);
        }
        let work = self.connection.get(key).expect("a live stream");
        work.message.sent += taken;
        work.end_sent = trailers || (end && taken == piece);
    }
}

fn some_message(random: &mut Random) -> Message {
    Message {
        to_send: if random.chance(30) { 0 } else { random.size(200_000) },
        trailers: random.chance(20),
        ..Message::default()
    }
}

/// Announced or not, by a property of the message, so that it needs no memory.
fn body_of(message: &Message) -> BodyLength {
    if message.to_send.is_multiple_of(2) { BodyLength::Fixed(message.to_send as u64) } else { BodyLength::Chunked }
}

/// What [`add_fields`] said.
fn length_in(fields: &Fields) -> usize {
    std::str::from_utf8(fields.find(b"x-length").expect("a length")).unwrap().parse().unwrap()
}

fn add_fields(fields: &mut Fields, length: usize, random: &mut Random) {
    fields.append(b"x-length", length.to_string().as_bytes()).unwrap();
    fields.append_known(Header::UserAgent, b"simulation").unwrap();
    for _ in 0..random.below(4) {
        fields.append(b"x-some", &vec![b'v'; random.size(30_000 / 4)]).unwrap();
    }
}

fn open(client: &mut End, random: &mut Random) {
    let message = some_message(random);
    let mut head = RequestHead::new();
    head.start(Method::Post, b"/path", b"example.com").unwrap();
    head.body = body_of(&message);
    add_fields(head.fields_mut(), message.to_send, random);
    let end = message.to_send == 0 && !message.trailers && random.chance(50);
    let work = Work { message, head_sent: true, end_sent: end };
    if let Ok(key) = client.connection.open(&head, Scheme::Http, end, work, &mut client.out) {
        client.keys.push(key);
    }
}

/// Carries a random piece over.
fn carry(from: &mut End, to: &mut End, now: Instant, random: &mut Random) {
    let piece = random.size(from.out.len());
    to.input.extend(from.out.drain(..piece));
    to.receive(now, random);
}

fn some_config(random: &mut Random) -> Config {
    let abuse = AbuseLimits { resets_per_second: u32::MAX, premature_resets: u32::MAX, ..AbuseLimits::DEFAULT };
    Config {
        max_concurrent_streams: 200,
        initial_stream_window: random.size(300_000).max(1) as u32,
        initial_connection_window: random.size(600_000).max(65_535) as u32,
        abuse,
        ..Config::default()
    }
}

/// Runs once and says how many streams the client completed and gave up.
fn run(seed: u64) -> (usize, usize) {
    let mut random = Random(seed);
    let (for_client, for_server) = (some_config(&mut random), some_config(&mut random));
    let mut client = End::new(Role::Client, for_client);
    let mut server = End::new(Role::Server, for_server);
    let mut now = Instant::now();
    let mut opened = 0;
    let streams = 1 + random.below(20);
    let mut idle = 0;
    while opened < streams || !client.keys.is_empty() || !server.keys.is_empty() || idle < 50 {
        idle = if client.keys.is_empty() && server.keys.is_empty() { idle + 1 } else { 0 };
        now += Duration::from_millis(10);
        match random.below(6) {
            0 if opened < streams => {
                open(&mut client, &mut random);
                opened += 1;
            }
            1 => client.work(&mut random),
            2 => server.work(&mut random),
            3 => carry(&mut client, &mut server, now, &mut random),
            4 => carry(&mut server, &mut client, now, &mut random),
            _ => {
                client.work(&mut random);
                server.work(&mut random);
            }
        }
        assert!(idle < 10_000);
    }
    settle(&mut client, &mut server, now, &mut random);
    assert_eq!((client.connection.active(), server.connection.active()), (0, 0));
    assert_eq!(client.completed + client.given_up, opened);
    check_credit(&mut client, &mut server, now, &for_server, &mut random);
    (client.completed, client.given_up)
}

/// Carries over what is left.
fn settle(client: &mut End, server: &mut End, now: Instant, random: &mut Random) {
    while !client.out.is_empty() || !server.out.is_empty() {
        server.input.append(&mut client.out);
        server.receive(now, random);
        client.input.append(&mut server.out);
        client.receive(now, random);
    }
}

/// At the end at least half of the connection's window is there: less would mean that some of it got lost.
fn check_credit(client: &mut End, server: &mut End, now: Instant, server_config: &Config, random: &mut Random) {
    let mut head = RequestHead::new();
    head.start(Method::Post, b"/", b"a").unwrap();
    add_fields(head.fields_mut(), 0, random);
    let key = client.connection.open(&head, Scheme::Http, false, Work::default(), &mut client.out).unwrap();
    settle(client, server, now, random);
    let least = server_config.initial_stream_window.min(server_config.initial_connection_window / 2) as usize;
    let window = client.connection.send_window(key);
    assert!(window >= least, "{window} of {least}");
}

#[test]
fn simulation_of_both_ends() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(300),
    };
    let (mut completed, mut given_up) = (0, 0);
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
            eprintln!("SEED={seed}");
            std::panic::resume_unwind(panic)
        });
        completed += outcome.0;
        given_up += outcome.1;
    }
    // A simulation in which nothing happens proves nothing.
    if seeds.count() > 100 {
        assert!(completed > 100 && given_up > 100, "{completed} completed, {given_up} given up");
    }
}
