//! Garbage, and valid conversations with some bytes changed: nothing panics, nothing loops, nothing grows, and what is
//! written is always whole frames.
//!
//! `SEED=<number>` repeats one run, `SEEDS=<number>` sets how many there are.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use h1::{BodyLength, Fields, Header, Method, RequestHead, ResponseHead, Scheme};
use selvedge_h2::{Config, Connection, Event, Key, Role};

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
}

const MOST_STREAMS: u32 = 8;

/// One end whose user does what is expected of it.
struct End {
    role: Role,
    connection: Connection<()>,
    out: Vec<u8>,
    open: Vec<Key>,
}

impl End {
    fn new(role: Role, close_on_malformed_message: bool) -> Self {
        let config = Config {
            max_concurrent_streams: MOST_STREAMS,
            allow_connect: true,
            close_on_malformed_message,
            initial_stream_window: 1_000,
            ..Config::default()
        };
        let mut end = End { role, connection: Connection::new(role, config), out: Vec::new(), open: Vec::new() };
        end.connection.start(&mut end.out);
        end
    }

    /// Takes what it can of the input; `None` after an error.
    fn receive(&mut self, input: &[u8], now: Instant) -> Option<usize> {
        let mut at = 0;
        loop {
            match self.connection.receive(&input[at..], now, &mut self.out) {
                Ok(None) => return Some(at),
                Ok(Some(received)) => {
                    assert!(received.consumed > 0 || received.event.is_some(), "no progress");
                    if let Some(event) = received.event {
                        self.handle(event, &input[at..]);
                    }
                    at += received.consumed;
                    assert!(at <= input.len());
                }
                Err(_) => return None,
            }
        }
    }

    fn handle(&mut self, event: Event, input: &[u8]) {
        match event {
            Event::Request { key, end } => {
                self.connection.accept(key, ());
                self.open.push(key);
                if end {
                    self.answer(key);
                }
            }
            Event::Data { key, range, end } => {
                assert!(range.end <= input.len());
                self.connection.consumed(key, range.len(), &mut self.out);
                if end {
                    self.answer(key);
                }
            }
            Event::Trailers { key } => self.answer(key),
            Event::Response { key, end: true } | Event::Reset { key, .. } => self.release(key),
            _ => {}
        }
        assert!(self.connection.active() <= self.open.len());
        assert!(self.role == Role::Client || self.connection.active() <= MOST_STREAMS as usize);
    }

    fn answer(&mut self, key: Key) {
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

    /// Opens some streams and writes all kinds of frames.
    fn talk(&mut self, random: &mut Random) {
        for number in 0..=random.below(6) {
            let mut head = RequestHead::new();
            head.start([Method::Get, Method::Post, Method::Head][random.below(3)], b"/some/path?query", b"example.com")
                .unwrap();
            head.body = if number % 2 == 0 { BodyLength::Fixed(300) } else { BodyLength::Chunked };
            let fields = head.fields_mut();
            fields.append_known(Header::UserAgent, b"garbage").unwrap();
            fields.append_known(Header::Cookie, b"a=b; c=d").unwrap();
            fields.append(b"x-some", &vec![b'v'; random.below(20_000)]).unwrap();
            let Ok(key) = self.connection.open(&head, Scheme::Http, false, (), &mut self.out) else { return };
            self.open.push(key);
            self.connection.send_data(key, &[b'd'; 300], number % 3 == 0, &mut self.out);
            match random.below(4) {
                0 => self.release(key),
                1 => {
                    let mut trailers = Fields::new();
                    trailers.append(b"x-trailer", b"1").unwrap();
                    self.connection.send_trailers(key, &trailers, &mut self.out);
                }
                2 => self.connection.ping(*b"12345678", &mut self.out),
                _ => {}
            }
        }
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn assert_whole_frames(bytes: &[u8]) {
    let mut bytes = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    while let [l1, l2, l3, _, _, _, _, _, _, rest @ ..] = bytes {
        bytes = &rest[u32::from_be_bytes([0, *l1, *l2, *l3]) as usize..];
    }
    assert!(bytes.is_empty());
}

/// Changes, takes out, doubles or adds some bytes.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at..(at + random.below(20)).min(bytes.len()))),
            3 => bytes.insert(at, random.next() as u8),
            _ => {
                let piece = bytes[at..(at + random.below(200)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
        if bytes.is_empty() {
            return;
        }
    }
}

/// Feeds an end in random pieces; says whether it took everything.
fn feed(end: &mut End, bytes: &[u8], random: &mut Random) -> bool {
    let mut now = Instant::now();
    let mut pending = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(1 + random.below(rest.len().min(5_000)));
        rest = behind;
        pending.extend_from_slice(piece);
        now += Duration::from_millis(random.next() % 300);
        match end.receive(&pending, now) {
            Some(consumed) => drop(pending.drain(..consumed)),
            None => break,
        }
        // The next frame is all that ever waits.
        assert!(pending.len() < 16_384 + 9 + 5_000);
    }
    assert_whole_frames(&end.out);
    rest.is_empty()
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(2_000),
    }
}

fn for_each_seed(run: impl Fn(&mut Random) -> bool + std::panic::RefUnwindSafe) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    for seed in seeds() {
        let outcome = std::panic::catch_unwind(|| run(&mut Random(seed))).unwrap_or_else(|panic| {
            eprintln!("SEED={seed}");
            std::panic::resume_unwind(panic)
        });
        if outcome { taken += 1 } else { refused += 1 }
    }
    (taken, refused)
}

#[test]
fn simulation_of_a_client_that_errs() {
    let (taken, refused) = for_each_seed(|random| {
        let mut client = End::new(Role::Client, true);
        client.talk(random);
        let mut said = client.out;
        mutate(&mut said, random);
        feed(&mut End::new(Role::Server, random.below(2) == 0), &said, random)
    });
    assert!(taken + refused < 100 || (taken > 50 && refused > 50), "{taken} taken, {refused} refused");
}

#[test]
fn simulation_of_a_server_that_errs() {
    let (taken, refused) = for_each_seed(|random| {
        let mut client = End::new(Role::Client, random.below(2) == 0);
        client.talk(random);
        let mut server = End::new(Role::Server, true);
        let said = std::mem::take(&mut client.out);
        server.receive(&said, Instant::now());
        let mut answers = server.out;
        mutate(&mut answers, random);
        feed(&mut client, &answers, random)
    });
    assert!(taken + refused < 100 || (taken > 50 && refused > 50), "{taken} taken, {refused} refused");
}

#[test]
fn simulation_of_random_frames() {
    for_each_seed(|random| {
        let role = if random.below(2) == 0 { Role::Server } else { Role::Client };
        let mut end = End::new(role, random.below(2) == 0);
        let mut input = if role == Role::Server { PREFACE.to_vec() } else { Vec::new() };
        input.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        if role == Role::Client {
            end.talk(random);
        }
        for _ in 0..random.below(60) {
            let length = [0, 4, 5, 6, 8, random.below(40), random.below(17_000)][random.below(7)];
            let stream = [0, 1, 3, 5, 7, random.below(20) as u32, random.next() as u32][random.below(7)];
            input.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
            input.extend([random.below(11) as u8, random.next() as u8]);
            input.extend_from_slice(&stream.to_be_bytes());
            // Indices and short literals are likely to be a header block.
            input.extend(
                (0..length).map(|_| [0x82, 0x84, 0x86, 0x88, 0xbe, 0x01, random.next() as u8][random.below(7)]),
            );
        }
        feed(&mut end, &input, random)
    });
}
