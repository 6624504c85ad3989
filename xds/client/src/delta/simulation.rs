//! The protocol against a model of istiod, with seeds: pushes, full resends of what has not changed, removals, bad resources,
//! responses that overtake each other across types, lost streams, and subscriptions that come and go meanwhile.
//!
//! `SEED=<number>` repeats one run, `SEEDS=<number>` sets how many there are.

mod server;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use self::server::Server;
use super::*;
use crate::cache::{Cache, Novelty};

const STEPS: usize = 120;
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A body that starts with this is refused.
const BAD: u8 = b'!';

#[test]
fn the_client_ends_up_with_what_the_server_has() {
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(10_000),
    };
    let mut seen = Seen::default();
    for seed in seeds.clone() {
        let mut simulation = Simulation::new(seed);
        for _ in 0..STEPS {
            simulation.step();
        }
        simulation.settle();
        simulation.check();
        seen.add(&simulation.seen);
    }
    if seeds.count() > 1000 {
        assert!(
            seen.acks > 0 && seen.nacks > 0 && seen.reconnects > 0 && seen.removals > 0 && seen.unwanted > 0,
            "{seen:?}"
        );
    }
}

/// What happened: a simulation in which nothing happens proves nothing.
#[derive(Debug, Default)]
struct Seen {
    acks: usize,
    nacks: usize,
    reconnects: usize,
    removals: usize,
    unwanted: usize,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.acks += other.acks;
        self.nacks += other.nacks;
        self.reconnects += other.reconnects;
        self.removals += other.removals;
        self.unwanted += other.unwanted;
    }
}

struct Simulation {
    seed: u64,
    random: SmallRng,
    protocol: Protocol,
    cache: Cache,
    wanted: BTreeSet<(ResourceType, &'static str)>,
    server: Server,
    connected: bool,
    /// On the wire, one queue per type: what is of one type stays in order.
    responses: BTreeMap<ResourceType, Vec<Response>>,
    /// Nonces that are to be answered on this stream.
    unanswered: BTreeSet<String>,
    seen: Seen,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: SmallRng::seed_from_u64(seed),
            protocol: Protocol::default(),
            cache: Cache::default(),
            wanted: BTreeSet::new(),
            server: Server::default(),
            connected: false,
            responses: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            seen: Seen::default(),
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..20 => self.change_world(),
            20..35 => self.push(),
            35..55 => self.change_subscription(),
            55..60 => self.disconnect(),
            60..70 => self.connect(),
            _ => self.deliver_one(),
        }
    }

    /// No more changes: the connection stands, and everything under way arrives.
    fn settle(&mut self) {
        self.connect();
        self.send_flush();
        self.drain();
        for kind in ResourceType::ALL {
            self.server.push(kind, false);
        }
        self.drain();
        assert!(self.unanswered.is_empty(), "seed {}: never answered: {:?}", self.seed, self.unanswered);
    }

    fn drain(&mut self) {
        self.take_from_server();
        while self.responses.values().any(|queue| !queue.is_empty()) {
            self.deliver_one();
        }
    }

    fn check(&self) {
        for kind in ResourceType::ALL {
            for name in NAMES {
                let wanted = kind.is_wildcard() || self.wanted.contains(&(kind, name));
                let there = self.server.body(kind, name).filter(|_| wanted);
                let held = self.cache.accepted(kind, name).map(|accepted| &accepted.body);
                match (there, held) {
                    (None, held) => assert_eq!(held, None, "seed {}: {kind} {name} is held for nothing", self.seed),
                    (Some(body), _) if body[0] == BAD => {
                        let old = held.is_none_or(|held| held[0] != BAD);
                        assert!(old, "seed {}: {kind} {name} was accepted", self.seed);
                    }
                    (Some(body), held) => assert_eq!(Some(body), held, "seed {}: {kind} {name}", self.seed),
                }
            }
        }
    }

    fn change_world(&mut self) {
        let (kind, name) = self.any_resource();
        let body = match self.random.random_range(0..10) {
            0..2 => None,
            2..4 => Some(format!("!{}", self.random.random::<u16>())),
            _ => Some(format!("good {}", self.random.random::<u16>())),
        };
        self.server.set(kind, name, body.map(Bytes::from));
    }

    /// istiod often sends everything of a type again though little has changed.
    fn push(&mut self) {
        let kind = ResourceType::ALL[self.random.random_range(0..ResourceType::COUNT)];
        let everything = self.random.random_bool(0.3);
        self.server.push(kind, everything);
        self.take_from_server();
    }

    fn change_subscription(&mut self) {
        let (kind, name) = self.any_resource();
        if kind.is_wildcard() {
            return;
        }
        if self.wanted.insert((kind, name)) {
            self.protocol.subscribe(kind, &name.into());
        } else {
            self.wanted.remove(&(kind, name));
            self.protocol.unsubscribe(kind, &name.into());
            self.cache.remove(kind, name);
        }
        if self.random.random_bool(0.7) {
            self.send_flush();
        }
    }

    fn disconnect(&mut self) {
        if std::mem::take(&mut self.connected) {
            self.protocol.close();
            self.server.disconnect();
            self.responses.clear();
            self.unanswered.clear();
            assert!(self.protocol.flush().is_empty(), "nothing can be sent without a stream");
        }
    }

    fn connect(&mut self) {
        if self.connected {
            return;
        }
        self.connected = true;
        self.seen.reconnects += 1;
        let cache = &self.cache;
        let requests = self.protocol.open(|kind| cache.held(kind));
        self.send(requests);
    }

    fn send_flush(&mut self) {
        let requests = self.protocol.flush();
        self.send(requests);
    }

    fn send(&mut self, requests: Vec<Request>) {
        for request in requests {
            if !request.nonce.is_empty() {
                assert!(
                    self.unanswered.remove(&request.nonce),
                    "seed {}: {} is answered twice",
                    self.seed,
                    request.nonce
                );
            }
            self.server.receive(request);
        }
        self.take_from_server();
    }

    fn take_from_server(&mut self) {
        for response in self.server.take_responses() {
            self.unanswered.insert(response.nonce.clone());
            let kind = ResourceType::from_type_url(&response.type_url).unwrap();
            self.responses.entry(kind).or_default().push(response);
        }
    }

    fn deliver_one(&mut self) {
        let waiting: Vec<ResourceType> =
            self.responses.iter().filter(|(_, queue)| !queue.is_empty()).map(|(kind, _)| *kind).collect();
        if waiting.is_empty() {
            return;
        }
        let kind = waiting[self.random.random_range(0..waiting.len())];
        let response = self.responses.get_mut(&kind).unwrap().remove(0);
        let Delivery { kind, resources, removed, unwanted, receipt } = self.protocol.receive(response).unwrap();
        self.seen.unwanted += unwanted;
        self.seen.removals += removed.len();
        for name in &removed {
            self.cache.remove(kind, name);
        }
        let refused: Vec<Refused> = resources.iter().filter_map(|received| self.judge(kind, received)).collect();
        match refused.is_empty() {
            true => self.seen.acks += 1,
            false => self.seen.nacks += 1,
        }
        let answer = self.protocol.conclude(receipt, resources.len(), &refused);
        self.send(answer.into_iter().collect());
    }

    fn judge(&mut self, kind: ResourceType, received: &Received) -> Option<Refused> {
        let refused = |reason: &str| Some(Refused { name: received.name.clone(), reason: reason.into() });
        match self.cache.compare(kind, received) {
            Novelty::Unchanged { .. } => None,
            Novelty::RefusedBefore(reason) => refused(&reason),
            Novelty::Full => panic!("there is room"),
            Novelty::Changed if received.body[0] == BAD => {
                self.cache.refuse(kind, received, "bad");
                refused("bad")
            }
            Novelty::Changed => {
                self.cache.accept(kind, received, false, &[]);
                None
            }
        }
    }

    fn any_resource(&mut self) -> (ResourceType, &'static str) {
        let kind = ResourceType::ALL[self.random.random_range(0..ResourceType::COUNT)];
        (kind, NAMES[self.random.random_range(0..NAMES.len())])
    }
}
