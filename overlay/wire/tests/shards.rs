//! A stream that is opened again, because the answer was lost, may reach two shards of the other edge. It stays with one of them, and the other gives it up.
//! Under schedules that are made from seeds: `SEEDS=<number>` runs more of them.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use overlay_wire::leg::{self, LegFrame, Open, RefuseCode, StreamKey};
use overlay_wire::stream::{End, Leg, LegError, Limits, Read, Route, Stream};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

const SEEDS: u64 = 2_000;
const SHARDS: u16 = 3;
const NOW: Duration = Duration::ZERO;
const QUESTION: &[u8] = b"which shard are you?";

fn open() -> Stream {
    let (from, to, tenant) = ("a".into(), "b".into(), "t".into());
    let route = Route { from, from_shard: 7, to, to_shard: None, tenant, class: 0 };
    Stream::open(StreamKey { session: [5; 16], number: 1 }, route, Limits::default(), NOW)
}

fn sent(stream: &mut Stream, leg: Leg) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.fill(leg, &mut bytes, 10_000, NOW);
    bytes
}

/// What a leg begins with that a side opens, and what follows.
fn first(stream: &mut Stream, leg: Leg) -> Open {
    stream.add_leg(leg);
    let bytes = sent(stream, leg);
    match leg::take(&bytes) {
        Ok(Some((LegFrame::Open(open), length))) if length == bytes.len() => open,
        other => panic!("a leg begins with {other:?}"),
    }
}

fn read(stream: &mut Stream) -> Vec<u8> {
    let mut bytes = vec![0; 1000];
    match stream.read(&mut bytes) {
        Read::Bytes(count) => bytes[..count].to_vec(),
        Read::Nothing | Read::End => Vec::new(),
    }
}

#[test]
fn the_first_shard_that_answers_has_the_stream() {
    let mut near = open();
    let opened = [Leg(0), Leg(1)].map(|leg| first(&mut near, leg));
    assert!(opened.iter().all(|open| (open.from_shard, open.to_shard, open.resumes) == (7, None, false)));
    let mut shards = [2, 1].map(|shard| Stream::accept(&opened[0], shard, Leg(0), Limits::default()));
    let answers = shards.each_mut().map(|shard| sent(shard, Leg(0)));
    near.receive(Leg(0), &answers[0], NOW).unwrap();
    assert_eq!(near.receive(Leg(1), &answers[1], NOW), Err(LegError::OtherShard { known: 2, shard: 1 }));
    assert_eq!(near.legs().collect::<Vec<_>>(), [Leg(0)]);
    let resumed = first(&mut near, Leg(2));
    assert_eq!((resumed.to_shard, resumed.resumes), (Some(2), true));
    // The other one comes back for it.
    let resumed = first(&mut shards[1], Leg(3));
    assert_eq!((resumed.from_shard, resumed.to_shard), (1, Some(7)));
    assert_eq!(near.add_opened_leg(Leg(3), &resumed), Err(LegError::OtherShard { known: 2, shard: 1 }));
}

/// The near edge, and the shards of the far one with the stream, if they know it. Legs live for one exchange or are lost in it.
struct World {
    random: SmallRng,
    near: Stream,
    shards: Vec<Option<Stream>>,
    legs: u64,
}

impl World {
    fn is_lost(&mut self, likely: f64) -> bool {
        self.random.random_bool(likely)
    }

    fn next_leg(&mut self) -> Leg {
        self.legs += 1;
        Leg(self.legs)
    }

    /// The near edge opens a leg, which a hub takes to the shard that it names, or to any.
    fn open(&mut self, likely_lost: f64) {
        let leg = self.next_leg();
        let opened = first(&mut self.near, leg);
        let at = usize::from(opened.to_shard.unwrap_or_else(|| self.random.random_range(0..SHARDS)));
        if !self.is_lost(likely_lost) {
            match &mut self.shards[at] {
                Some(stream) => stream.add_opened_leg(leg, &opened).unwrap(),
                None => {
                    assert!(!opened.resumes, "shard {at} does not know what it is said to have");
                    self.shards[at] = Some(Stream::accept(&opened, at as u16, leg, Limits::default()));
                }
            }
        }
        self.exchange(at, leg, likely_lost);
    }

    /// A shard opens a leg.
    fn resume(&mut self, at: usize, likely_lost: f64) {
        let leg = self.next_leg();
        let Some(stream) = self.shards[at].as_mut().filter(|stream| stream.end().is_none()) else { return };
        let opened = first(stream, leg);
        assert_eq!((opened.from_shard, opened.to_shard, opened.resumes), (at as u16, Some(7), true));
        if !self.is_lost(likely_lost) {
            match self.near.add_opened_leg(leg, &opened) {
                Ok(()) => {}
                Err(LegError::OtherShard { .. }) => return self.refuse(at, leg),
                Err(error) => panic!("{error}"),
            }
        }
        self.exchange(at, leg, likely_lost);
    }

    fn refuse(&mut self, at: usize, leg: Leg) {
        let mut refusal = Vec::new();
        leg::put(&mut refusal, &LegFrame::Refuse(RefuseCode::UnknownStream, "it is with another shard".into()));
        if let Some(stream) = &mut self.shards[at] {
            assert!(stream.receive(leg, &refusal, NOW).is_err());
        }
    }

    /// What both have for a leg passes, or is lost; then the leg is.
    fn exchange(&mut self, at: usize, leg: Leg, likely_lost: f64) {
        for _ in 0..4 {
            if self.is_lost(likely_lost) {
                break;
            }
            let Some(stream) = &mut self.shards[at] else { break };
            let (there, back) = (sent(&mut self.near, leg), sent(stream, leg));
            stream.receive(leg, &there, NOW).unwrap();
            match self.near.receive(leg, &back, NOW) {
                Ok(()) => {}
                Err(LegError::OtherShard { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.near.lose_leg(leg, NOW);
        if let Some(stream) = &mut self.shards[at] {
            stream.lose_leg(leg, NOW);
        }
    }
}

fn run(seed: u64) {
    let shards = (0..SHARDS).map(|_| None).collect();
    let mut world = World { random: SmallRng::seed_from_u64(seed), near: open(), shards, legs: 0 };
    assert_eq!(world.near.write(QUESTION), QUESTION.len());
    for _ in 0..10 {
        match world.random.random_range(0..=SHARDS) {
            SHARDS => world.open(0.3),
            at => world.resume(usize::from(at), 0.3),
        }
    }
    world.open(0.0);
    let with = world.near.route().to_shard.unwrap();
    let (mut heard, mut spoken) = (0, 0);
    for at in 0..usize::from(SHARDS) {
        world.resume(at, 0.0);
        let Some(stream) = &mut world.shards[at] else { continue };
        heard += usize::from(read(stream) == QUESTION);
        if at == usize::from(with) {
            assert_eq!(stream.end(), None);
            stream.write(format!("shard {at}").as_bytes());
            spoken += 1;
        } else {
            assert_eq!(stream.end(), Some(End::Unknown), "shard {at} keeps a stream that is with shard {with}");
        }
    }
    world.resume(usize::from(with), 0.0);
    assert_eq!((heard, spoken), (1, 1));
    assert_eq!(read(&mut world.near), format!("shard {with}").as_bytes());
}

#[test]
fn simulation_of_answers_that_are_lost_leaves_a_stream_with_one_shard() {
    let seeds = std::env::var("SEEDS").map_or(SEEDS, |value| value.parse().unwrap());
    for seed in 0..seeds {
        let run = std::panic::catch_unwind(|| run(seed));
        assert!(run.is_ok(), "seed {seed} fails");
    }
}
