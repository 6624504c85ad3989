//! Nothing on the way of a message allocates once the buffers have grown.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Instant;

use h1::{BodyLength, Fields, Header, Method, RequestHead, ResponseHead, Scheme};
use selvedge_h2::{AbuseLimits, Config, Connection, Event, Key, Role};

struct Both {
    client: Connection<u32>,
    server: Connection<u32>,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    request: RequestHead,
    response: ResponseHead,
    trailers: Fields,
    spare: RequestHead,
    spare_response: ResponseHead,
    now: Instant,
    answers: usize,
}

impl Both {
    fn new() -> Self {
        // Resets are on purpose here.
        let abuse = AbuseLimits { resets_per_second: u32::MAX, premature_resets: u32::MAX, ..AbuseLimits::DEFAULT };
        let config = Config { abuse, ..Config::default() };
        let mut both = Both {
            client: Connection::new(Role::Client, config),
            server: Connection::new(Role::Server, config),
            to_server: Vec::new(),
            to_client: Vec::new(),
            request: RequestHead::new(),
            response: ResponseHead::new(),
            trailers: Fields::new(),
            spare: RequestHead::new(),
            spare_response: ResponseHead::new(),
            now: Instant::now(),
            answers: 0,
        };
        both.request.start(Method::Post, b"/helloworld.Greeter/SayHello", b"example.com").unwrap();
        let fields = both.request.fields_mut();
        fields.append_known(Header::ContentType, b"application/grpc").unwrap();
        fields.append_known(Header::Te, b"trailers").unwrap();
        fields.append(b"x-other", b"some value").unwrap();
        both.response.start(200, BodyLength::Chunked);
        both.response.fields_mut().append_known(Header::ContentType, b"application/grpc").unwrap();
        both.trailers.append_known(Header::GrpcStatus, b"0").unwrap();
        both.client.start(&mut both.to_server);
        both.server.start(&mut both.to_client);
        both.carry();
        both
    }

    /// A request with content, answered with content and trailers; and one that is given up.
    fn round_trip(&mut self) {
        for given_up in [false, true] {
            let key = self.client.open(&self.request, Scheme::Http, false, 1, &mut self.to_server).unwrap();
            assert_eq!(self.client.send_data(key, b"hello, world", !given_up, &mut self.to_server), 12);
            if given_up {
                self.client.release(key, &mut self.to_server);
            }
        }
        self.carry();
    }

    fn carry(&mut self) {
        while !self.to_server.is_empty() || !self.to_client.is_empty() {
            self.serve();
            self.take_answers();
        }
    }

    fn serve(&mut self) {
        let mut at = 0;
        while let Some(received) = self.server.receive(&self.to_server[at..], self.now, &mut self.to_client).unwrap() {
            at += received.consumed;
            match received.event {
                Some(Event::Request { key, .. }) => {
                    std::mem::swap(self.server.request_head(), &mut self.spare);
                    self.server.accept(key, 7);
                }
                Some(Event::Data { key, range, end }) => {
                    self.server.consumed(key, range.len(), &mut self.to_client);
                    if end {
                        self.answer(key);
                    }
                }
                Some(Event::Reset { key, .. }) => assert_eq!(self.server.release(key, &mut self.to_client), Some(7)),
                _ => {}
            }
        }
        assert_eq!(at, self.to_server.len());
        self.to_server.clear();
    }

    fn answer(&mut self, key: Key) {
        self.server.send_response(key, &self.response, false, &mut self.to_client);
        self.server.send_data(key, b"hello back", false, &mut self.to_client);
        self.server.send_trailers(key, &self.trailers, &mut self.to_client);
        assert_eq!(self.server.release(key, &mut self.to_client), Some(7));
    }

    fn take_answers(&mut self) {
        let mut at = 0;
        while let Some(received) = self.client.receive(&self.to_client[at..], self.now, &mut self.to_server).unwrap() {
            at += received.consumed;
            match received.event {
                Some(Event::Response { .. }) => std::mem::swap(self.client.response_head(), &mut self.spare_response),
                Some(Event::Data { key, range, .. }) => self.client.consumed(key, range.len(), &mut self.to_server),
                Some(Event::Trailers { key }) => {
                    self.answers += 1;
                    self.client.release(key, &mut self.to_server);
                }
                _ => {}
            }
        }
        assert_eq!(at, self.to_client.len());
        self.to_client.clear();
    }
}

#[test]
fn a_thousand_round_trips_allocate_nothing() {
    let mut both = Both::new();
    // As many as are remembered, so that this memory has grown, too.
    (0..200).for_each(|_| both.round_trip());
    both.answers = 0;
    let counted = allocation_counter::measure(|| (0..1_000).for_each(|_| both.round_trip()));
    assert_eq!((both.answers, counted.count_total), (1_000, 0), "{counted:?}");
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| Both::new().round_trip());
    assert!(counted.count_total > 0, "{counted:?}");
}

#[test]
fn an_idle_connection_holds_little() {
    let counted = allocation_counter::measure(|| {
        let connection: Connection<u32> = Connection::new(Role::Server, Config::default());
        drop(connection);
    });
    assert_eq!(counted.bytes_total, 0, "{counted:?}");
    assert!(size_of::<Connection<u32>>() < 2_048, "{}", size_of::<Connection<u32>>());
}
