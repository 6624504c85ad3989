//! A configuration fed by a server that changes its mind, with seeds (`SEED=<number>` repeats one, `SEEDS=<number>` sets how many):
//! whatever the order in which things arrive, the consumer is never told of something whose parts are missing, never loses
//! something that is in use, and ends up with what the server has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::references::Targets;
use crate::testing::{bad_cluster, cluster_with, endpoints, http_listener, route, tcp_listener};

const STEPS: usize = 150;
const KINDS: [ResourceType; 4] =
    [ResourceType::Cluster, ResourceType::Endpoints, ResourceType::Listener, ResourceType::Route];

#[test]
fn the_consumer_ends_up_with_what_the_server_has() {
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(300),
    };
    let mut events = 0;
    for seed in seeds.clone() {
        let mut simulation = Simulation::new(seed);
        for _ in 0..STEPS {
            simulation.step();
        }
        simulation.settle();
        simulation.check();
        events += simulation.events;
    }
    assert!(events > seeds.count() * 20, "{events} events: too little happens");
}

struct Simulation {
    seed: u64,
    random: SmallRng,
    now: Instant,
    configuration: Configuration,
    world: BTreeMap<Key, Received>,
    subscribed: BTreeSet<Key>,
    /// What the consumer was told.
    told: BTreeMap<Key, Resource>,
    events: usize,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: SmallRng::seed_from_u64(seed),
            now: Instant::now(),
            configuration: Configuration::default(),
            world: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            told: BTreeMap::new(),
            events: 0,
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..10) {
            0..5 => self.change_world(),
            5..9 => {
                let kind = KINDS[self.random.random_range(0..KINDS.len())];
                self.push(kind);
            }
            _ => {
                // Not so much that waiting comes to its end: then things are told without their parts.
                self.now += Duration::from_millis(self.random.random_range(0..100));
                self.configuration.tick(self.now);
                self.collect();
            }
        }
    }

    fn change_world(&mut self) {
        let any = |random: &mut SmallRng, names: [&'static str; 4]| names[random.random_range(0..4)];
        let kind = KINDS[self.random.random_range(0..KINDS.len())];
        let cluster = any(&mut self.random, ["a", "b", "c", "d"]);
        let other = any(&mut self.random, ["a", "b", "c", "d"]);
        let table = any(&mut self.random, ["r", "s", "t", "u"]);
        let number = self.random.random_range(1..4);
        let changed = match kind {
            ResourceType::Cluster if number == 3 => bad_cluster(cluster),
            ResourceType::Cluster => cluster_with(cluster, &format!("{number}s")),
            ResourceType::Endpoints => endpoints(cluster, &[number][..self.random.random_range(0..=1)]),
            ResourceType::Route => route(table, &[cluster, other]),
            _ if number == 3 => tcp_listener(any(&mut self.random, ["l", "m", "n", "o"]), cluster),
            _ => http_listener(any(&mut self.random, ["l", "m", "n", "o"]), table),
        };
        let key = (kind, changed.name.clone());
        if self.random.random_bool(0.3) && kind != ResourceType::Route {
            self.world.remove(&key);
        } else {
            self.world.insert(key, changed);
        }
    }

    /// Everything of a kind that the client wants, as istiod often does. It answers for every name.
    fn push(&mut self, kind: ResourceType) {
        let known: Vec<Name> = self.configuration.cache().entries(kind).map(|(name, _)| name.clone()).collect();
        let mut resources: Vec<Received> = self.visible(kind);
        if !kind.is_wildcard() {
            let missing = self.subscribed.iter().filter(|key| key.0 == kind && !self.world.contains_key(*key));
            resources.extend(missing.map(|(_, name)| match kind {
                ResourceType::Route => route(name, &[]),
                _ => endpoints(name, &[]),
            }));
        }
        let gone = |name: &Name| kind.is_wildcard() && !self.world.contains_key(&(kind, name.clone()));
        let removed: Vec<Name> = known.into_iter().filter(gone).collect();
        self.configuration.apply(kind, &resources, &removed, self.now);
        self.collect();
    }

    fn visible(&self, kind: ResourceType) -> Vec<Received> {
        let visible = self
            .world
            .iter()
            .filter(|(key, _)| key.0 == kind && (kind.is_wildcard() || self.subscribed.contains(*key)));
        visible.map(|(_, received)| received.clone()).collect()
    }

    /// Takes what follows from a change, and looks whether it may.
    fn collect(&mut self) {
        for change in self.configuration.take_subscriptions() {
            let changed = if change.needed {
                self.subscribed.insert(change.target.clone())
            } else {
                self.subscribed.remove(&change.target)
            };
            assert!(changed, "seed {}: {change:?} changes nothing", self.seed);
        }
        for event in self.configuration.take_events() {
            self.events += 1;
            match event {
                Event::Upsert(resource) => {
                    self.check_complete(&resource);
                    self.told.insert((resource.kind(), resource.name().into()), resource);
                }
                Event::Remove { kind, name } => {
                    let key = (kind, name);
                    assert!(self.told.remove(&key).is_some(), "seed {}: {key:?} was never told", self.seed);
                    self.check_unused(&key);
                }
                _ => {}
            }
        }
    }

    fn check_complete(&self, resource: &Resource) {
        for target in resource.targets() {
            // A cluster that the server does not have is legal.
            let known =
                target.0 != ResourceType::Cluster || self.configuration.cache().accepted(target.0, &target.1).is_some();
            assert!(!known || self.told.contains_key(&target), "seed {}: {resource:?} before {target:?}", self.seed);
        }
    }

    /// Only a cluster that is gone at the server, endpoints and all, may go while it is in use.
    fn check_unused(&self, key: &Key) {
        let gone = key.0 == ResourceType::Cluster && self.configuration.cache().accepted(key.0, &key.1).is_none();
        let user = self.told.values().find(|resource| resource.targets().contains(key));
        assert!(user.is_none() || gone, "seed {}: {key:?} is gone, and used by {user:?}", self.seed);
    }

    /// The server stands still, and all that it has arrives.
    fn settle(&mut self) {
        for _ in 0..5 {
            for kind in KINDS {
                self.push(kind);
            }
        }
        assert_eq!(self.configuration.waiting().count(), 0, "seed {}", self.seed);
    }

    fn check(&self) {
        let mut expected: BTreeSet<Key> =
            self.world.keys().filter(|key| key.0 == ResourceType::Listener).cloned().collect();
        // Whatever is told is needed, and whatever is needed is told, down to clusters that exist nowhere.
        for _ in 0..3 {
            let targets: Vec<Targets> = expected.iter().filter_map(|key| Some(self.told.get(key)?.targets())).collect();
            let known = |key: &Key| self.told.contains_key(key) || self.is_served(key);
            expected.extend(targets.into_iter().flatten().filter(known));
        }
        let told: BTreeSet<Key> = self.told.keys().cloned().collect();
        assert_eq!(told, expected, "seed {}", self.seed);
        for (key, resource) in &self.told {
            if self.is_served(key) {
                let served = &self.world[key];
                let (wanted, _) = Resource::decode(key.0, &key.1, &served.body).unwrap();
                assert_eq!(*resource, wanted, "seed {}", self.seed);
            }
        }
        assert_eq!(self.subscribed.len(), told.iter().filter(|key| !key.0.is_wildcard()).count(), "seed {}", self.seed);
    }

    /// Whether the server has it in a form that can be accepted.
    fn is_served(&self, key: &Key) -> bool {
        self.world.get(key).is_some_and(|received| Resource::decode(key.0, &key.1, &received.body).is_ok())
    }
}
