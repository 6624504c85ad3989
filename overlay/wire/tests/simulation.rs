//! Streams under schedules that are made from seeds: legs that die, stall and come twice. A schedule that fails is made smaller until
//! nothing can be left out, and printed. `SEEDS=<number>` runs more of them, `SEED=<number>` one.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use overlay_wire::leg::{self, LegFrame, Open, RefuseCode, StreamKey};
use overlay_wire::stream::{End, Leg, Limits, Read, Route, Stream};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

const SEEDS: u64 = 10_000;
const STEPS: usize = 60;
/// Of side 1.
const SHARD: u16 = 2;
const KEY: StreamKey = StreamKey { session: [5; 16], number: 1 };
const LIMITS: Limits = Limits {
    first_kept: 3_000,
    kept: 20_000,
    unsent: 8_000,
    window: 15_000,
    acknowledge_after: 2_000,
    acknowledge_within: Duration::from_millis(25),
    without_leg: Duration::from_secs(30),
};

/// What happens next. Sides are 0 (which opened the stream) and 1.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write {
        side: usize,
        count: usize,
    },
    Read {
        side: usize,
        count: usize,
    },
    Finish {
        side: usize,
    },
    OpenLeg {
        side: usize,
    },
    /// Bytes leave a side on a leg.
    Send {
        side: usize,
        leg: usize,
        limit: usize,
    },
    /// Bytes arrive that left the other side.
    Arrive {
        side: usize,
        leg: usize,
        count: usize,
    },
    /// What is under way is lost, and both sides hear of it, one of them later.
    Kill {
        leg: usize,
    },
    /// A side hears that a leg was killed.
    Hear {
        side: usize,
        leg: usize,
    },
    Pass {
        milliseconds: u64,
    },
}

struct Carrier {
    leg: Leg,
    opener: usize,
    /// What left side 0, and side 1.
    under_way: [VecDeque<u8>; 2],
    /// What side 1 (or whoever did not open it) has of a first frame.
    first: Vec<u8>,
    killed: bool,
    heard: [bool; 2],
}

struct World {
    streams: [Option<Stream>; 2],
    carriers: Vec<Carrier>,
    now: Duration,
    written: [u64; 2],
    read: [u64; 2],
    ended: [bool; 2],
    /// How often side 1 took the stream for a new one.
    accepted: usize,
}

fn byte(side: usize, at: u64) -> u8 {
    (at.wrapping_mul(31) >> 3) as u8 ^ (side as u8 * 0x55)
}

impl World {
    fn new() -> Self {
        let (from, to, tenant) = ("a".into(), "b".into(), "t".into());
        let route = Route { from, from_shard: 4, to, to_shard: None, tenant, class: 0 };
        Self {
            streams: [Some(Stream::open(KEY, route, LIMITS, Duration::ZERO)), None],
            carriers: Vec::new(),
            now: Duration::ZERO,
            written: [0; 2],
            read: [0; 2],
            ended: [false; 2],
            accepted: 0,
        }
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Write { side, count } => {
                let start = self.written[side];
                let bytes: Vec<u8> = (start..start + count as u64).map(|at| byte(side, at)).collect();
                if let Some(stream) = &mut self.streams[side] {
                    self.written[side] += stream.write(&bytes) as u64;
                }
            }
            Step::Read { side, count } => self.read(side, count)?,
            Step::Finish { side } => {
                if let Some(stream) = &mut self.streams[side] {
                    stream.finish();
                    self.ended[side] = true;
                }
            }
            Step::OpenLeg { side } => self.open_leg(side),
            Step::Send { side, leg, limit } => self.send(side, leg, limit),
            Step::Arrive { side, leg, count } => self.arrive(side, leg, count)?,
            Step::Kill { leg } => {
                if let Some(carrier) = self.carriers.get_mut(leg) {
                    carrier.killed = true;
                    carrier.under_way.iter_mut().for_each(VecDeque::clear);
                }
            }
            Step::Hear { side, leg } => self.hear(side, leg),
            Step::Pass { milliseconds } => self.now += Duration::from_millis(milliseconds),
        }
        for (side, stream) in self.streams.iter().enumerate() {
            let Some(stream) = stream else { continue };
            if stream.kept() > LIMITS.kept || stream.unread() as u64 > LIMITS.window {
                return Err(format!("side {side} keeps {} and has {} unread", stream.kept(), stream.unread()));
            }
            if let Some(end) = stream.end() {
                return Err(format!("side {side} ended: {end:?}"));
            }
        }
        if self.accepted > 1 { Err("the stream was accepted twice".into()) } else { Ok(()) }
    }

    fn read(&mut self, side: usize, count: usize) -> Result<(), String> {
        let Some(stream) = &mut self.streams[side] else { return Ok(()) };
        let mut bytes = vec![0; count];
        if let Read::Bytes(count) = stream.read(&mut bytes) {
            for got in &bytes[..count] {
                if *got != byte(1 - side, self.read[side]) {
                    return Err(format!("side {side} read a wrong byte at {}", self.read[side]));
                }
                self.read[side] += 1;
            }
        }
        Ok(())
    }

    fn open_leg(&mut self, opener: usize) {
        let Some(stream) = &mut self.streams[opener] else { return };
        if stream.legs().count() >= 6 {
            return;
        }
        let leg = Leg(self.carriers.len() as u64);
        stream.add_leg(leg);
        let under_way = [VecDeque::new(), VecDeque::new()];
        self.carriers.push(Carrier { leg, opener, under_way, first: Vec::new(), killed: false, heard: [false; 2] });
    }

    fn send(&mut self, side: usize, leg: usize, limit: usize) {
        let (Some(stream), Some(carrier)) = (&mut self.streams[side], self.carriers.get_mut(leg)) else { return };
        let mut bytes = Vec::new();
        stream.fill(carrier.leg, &mut bytes, limit, self.now);
        if !carrier.killed {
            carrier.under_way[side].extend(bytes);
        }
    }

    fn arrive(&mut self, side: usize, leg: usize, count: usize) -> Result<(), String> {
        let Some(carrier) = self.carriers.get_mut(leg) else { return Ok(()) };
        let under_way = &mut carrier.under_way[1 - side];
        let bytes: Vec<u8> = under_way.drain(..count.min(under_way.len())).collect();
        if bytes.is_empty() {
            return Ok(());
        }
        let known = self.streams[side].as_ref().is_some_and(|stream| stream.legs().any(|known| known == carrier.leg));
        if side != carrier.opener && !known {
            return self.first_frame(side, leg, &bytes);
        }
        let (Some(stream), leg) = (&mut self.streams[side], carrier.leg) else { return Ok(()) };
        stream.receive(leg, &bytes, self.now).map_err(|error| format!("side {side}, leg {}: {error}", leg.0))
    }

    /// As an edge does with the first bytes of a leg that a link brings.
    fn first_frame(&mut self, side: usize, leg: usize, bytes: &[u8]) -> Result<(), String> {
        let carrier = &mut self.carriers[leg];
        carrier.first.extend_from_slice(bytes);
        let first = carrier.first.clone();
        let Some((frame, length)) = leg::take(&first).map_err(|error| error.to_string())? else { return Ok(()) };
        let LegFrame::Open(open) = frame else { return Err(format!("leg {leg} begins with {frame:?}")) };
        if open.resumes && open.to_shard != Some([4, SHARD][side]) {
            return Err(format!("a leg of a stream that goes on is for shard {:?} of side {side}", open.to_shard));
        }
        match &mut self.streams[side] {
            Some(stream) => stream.add_opened_leg(carrier.leg, &open).map_err(|error| error.to_string())?,
            None if open.resumes => return Err("a stream is resumed that was never accepted".into()),
            None => {
                self.accepted += 1;
                self.streams[side] = Some(Stream::accept(&open, SHARD, carrier.leg, LIMITS));
            }
        }
        let (Some(stream), leg) = (&mut self.streams[side], carrier.leg) else { return Ok(()) };
        stream.receive(leg, &first[length..], self.now).map_err(|error| error.to_string())
    }

    fn hear(&mut self, side: usize, leg: usize) {
        if let Some(carrier) = self.carriers.get_mut(leg)
            && carrier.killed
            && !std::mem::replace(&mut carrier.heard[side], true)
            && let Some(stream) = &mut self.streams[side]
        {
            stream.lose_leg(carrier.leg, self.now);
        }
    }

    /// Everything goes on to the end: over the legs that are left, if one is in use, or a new one.
    fn finish(&mut self) -> Result<(), String> {
        for leg in 0..self.carriers.len() {
            (0..2).for_each(|side| self.hear(side, leg));
        }
        let in_use = |stream: &Option<Stream>| stream.as_ref().is_some_and(|stream| stream.current_leg().is_some());
        if !self.streams.iter().all(in_use) {
            self.open_leg(0);
        }
        for _ in 0..3_000 {
            for side in 0..2 {
                if !self.ended[side] && self.streams[side].is_some() {
                    self.step(Step::Finish { side })?;
                }
                for leg in 0..self.carriers.len() {
                    self.step(Step::Send { side, leg, limit: 10_000 })?;
                    self.step(Step::Arrive { side: 1 - side, leg, count: usize::MAX })?;
                }
                self.step(Step::Read { side: 1 - side, count: 10_000 })?;
                // What the user found at the end.
                if let Some(stream) = &mut self.streams[side] {
                    stream.read(&mut []);
                }
            }
            self.now += Duration::from_millis(10);
            if self.streams.iter().all(|stream| stream.as_ref().is_some_and(Stream::is_over)) {
                let carried = [self.read[1], self.read[0]];
                return if carried == self.written {
                    Ok(())
                } else {
                    Err(format!("{:?} written, {carried:?} read", self.written))
                };
            }
        }
        Err(format!("not over: {:?} written, {:?} read: {:?}", self.written, self.read, self.streams))
    }
}

fn steps(seed: u64) -> Vec<Step> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut legs = 0;
    let mut steps = Vec::new();
    let deadly = random.random_range(0.0..0.15);
    for _ in 0..STEPS {
        let side = random.random_range(0..2);
        let leg = random.random_range(0..legs.max(1));
        let recent = if random.random_bool(0.7) { legs.max(1) - 1 } else { leg };
        steps.push(match random.random_range(0..20) {
            0..4 => Step::Write { side, count: random.random_range(1..6_000) },
            4..7 => Step::Read { side, count: random.random_range(1..9_000) },
            7..11 => Step::Send { side, leg: recent, limit: random.random_range(1..9_000) },
            11..16 => Step::Arrive { side, leg: recent, count: random.random_range(1..9_000) },
            16 => Step::Pass { milliseconds: random.random_range(1..60) },
            17 if random.random_bool(0.1) => Step::Finish { side },
            18 if random.random_bool(deadly) => Step::Kill { leg },
            19 => Step::Hear { side, leg },
            _ if legs == 0 || random.random_bool(0.15) => {
                legs += 1;
                Step::OpenLeg { side: if legs == 1 { 0 } else { side } }
            }
            _ => Step::Arrive { side, leg: recent, count: usize::MAX },
        });
    }
    steps
}

fn run(steps: &[Step]) -> Result<(), String> {
    let mut world = World::new();
    for step in steps {
        world.step(*step)?;
    }
    world.finish()
}

/// Leaves out what does not matter for the failure.
fn shrink(mut steps: Vec<Step>) -> Vec<Step> {
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            if run(&fewer).is_err() { steps = fewer } else { at += size }
        }
        size /= 2;
    }
    steps
}

fn check(seed: u64) {
    let schedule = steps(seed);
    if run(&schedule).is_ok() {
        return;
    }
    let schedule = shrink(schedule);
    let mut trace = String::new();
    for step in &schedule {
        let _ = writeln!(trace, "  {step:?}");
    }
    panic!("SEED={seed} fails: {}\n{trace}", run(&schedule).unwrap_err());
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}

#[test]
fn simulation_of_legs_that_die_stall_and_come_twice_loses_nothing() {
    match number("SEED") {
        Some(seed) => check(seed),
        None => (0..number("SEEDS").unwrap_or(SEEDS)).for_each(check),
    }
}

#[test]
fn a_stream_that_nobody_knows_any_more_ends() {
    let mut world = World::new();
    world.open_leg(0);
    for step in [
        Step::Send { side: 0, leg: 0, limit: 100 },
        Step::Arrive { side: 1, leg: 0, count: usize::MAX },
        Step::Send { side: 1, leg: 0, limit: 100 },
        Step::Arrive { side: 0, leg: 0, count: usize::MAX },
    ] {
        world.step(step).unwrap();
    }
    // The other process begins anew.
    let stream = world.streams[0].as_mut().unwrap();
    stream.lose_leg(Leg(0), world.now);
    stream.add_leg(Leg(1));
    let mut sent = Vec::new();
    stream.fill(Leg(1), &mut sent, 1000, world.now);
    assert!(matches!(leg::take(&sent), Ok(Some((LegFrame::Open(Open { resumes: true, .. }), _)))));
    let mut answer = Vec::new();
    leg::put(&mut answer, &LegFrame::Refuse(RefuseCode::UnknownStream, "b".into()));
    assert!(stream.receive(Leg(1), &answer, world.now).is_err());
    assert_eq!((stream.end(), stream.is_over()), (Some(End::Unknown), true));
}

#[test]
fn a_stream_without_a_leg_is_given_up_after_its_time() {
    let mut world = World::new();
    let stream = world.streams[0].as_mut().unwrap();
    let deadline = stream.deadline().unwrap();
    stream.elapse(deadline - Duration::from_millis(1));
    assert_eq!(stream.end(), None);
    stream.elapse(deadline);
    assert_eq!(stream.end(), Some(End::Lost));
}

#[test]
fn a_reset_reaches_the_other_side() {
    let mut world = World::new();
    world.open_leg(0);
    let settle = |world: &mut World| {
        for side in [0, 1, 0, 1] {
            world.send(side, 0, 1000);
            let _ = world.arrive(1 - side, 0, usize::MAX);
        }
    };
    settle(&mut world);
    world.streams[1].as_mut().unwrap().reset(9);
    settle(&mut world);
    let ends: HashMap<usize, _> =
        world.streams.iter().flatten().map(|stream| (stream.end(), stream.is_over())).enumerate().collect();
    assert_eq!((ends[&0], ends[&1]), ((Some(End::There(9)), true), (Some(End::Here(9)), true)));
}
