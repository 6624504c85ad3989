//! `LoadBalancerSettings`: how one of the endpoints is picked.

use std::collections::BTreeSet;
use std::time::Duration;

use super::locality::{self, LocalityBalancing};
use crate::load::field::{Fields, Value};

/// The least size of a ring that nothing is said about (istiod's `ApplyRingHashLoadBalancer`).
const DEFAULT_RING_SIZE: u64 = 1024;
/// Tables for Maglev are smaller than this (istiod's validation, and Envoy's).
const MAGLEV_LIMIT: u64 = 5_000_011;
/// How new endpoints get their share if `warmup` does not say it (istiod's `setWarmup`).
const DEFAULT_AGGRESSION: f64 = 1.0;
const DEFAULT_MINIMUM_PERCENT: f64 = 10.0;

/// How an endpoint is picked.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadBalancing {
    pub(crate) simple: LoadBalancer,
    /// Takes the place of `simple`.
    pub(crate) consistent_hash: Option<ConsistentHash>,
    pub(crate) warmup: Option<Warmup>,
    pub(crate) locality: Option<LocalityBalancing>,
}

/// `LoadBalancerSettings.SimpleLB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LoadBalancer {
    #[default]
    Unspecified,
    LeastRequest,
    RoundRobin,
    Random,
}

/// `LoadBalancerSettings.ConsistentHashLB`.
#[derive(Clone, Debug)]
pub(crate) struct ConsistentHash {
    /// Without one, endpoints are picked at random.
    pub(crate) key: Option<HashKey>,
    pub(crate) table: HashTable,
}

/// What of a request decides.
#[derive(Clone, Debug)]
pub(crate) enum HashKey {
    Header(String),
    Cookie(HashCookie),
    /// Only if true.
    SourceIp(bool),
    QueryParameter(String),
}

/// A cookie, and how clients without one get it.
#[derive(Clone, Debug)]
pub(crate) struct HashCookie {
    pub(crate) name: String,
    pub(crate) path: String,
    /// Without it, clients get none.
    pub(crate) ttl: Option<Duration>,
    /// Names with values.
    pub(crate) attributes: Vec<(String, String)>,
}

/// What leads from hashes to endpoints; sizes that are absent are Envoy's own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HashTable {
    Ring { minimum_size: Option<u64> },
    Maglev { size: u64 },
}

/// The time in which a new endpoint comes to its full share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Warmup {
    pub(crate) duration: Duration,
    /// Absent for `warmupDurationSecs`, which leaves it to Envoy.
    pub(crate) aggression: Option<f64>,
    /// As `aggression`.
    pub(crate) minimum_percent: Option<f64>,
}

pub(super) fn load_balancing(fields: &mut Fields<'_>) -> LoadBalancing {
    fields.unsupported(&["zoneAwareLbSetting"]);
    let simple = fields.get("simple");
    let consistent_hash = fields.object("consistentHash", consistent_hash);
    if simple.is_some() && consistent_hash.is_some() {
        fields.error("only one of simple and consistentHash can be given");
    }
    let simple = simple.and_then(|value| {
        value.choice(&[
            ("UNSPECIFIED", LoadBalancer::Unspecified),
            ("LEAST_REQUEST", LoadBalancer::LeastRequest),
            ("LEAST_CONN", LoadBalancer::LeastRequest),
            ("ROUND_ROBIN", LoadBalancer::RoundRobin),
            ("RANDOM", LoadBalancer::Random),
        ])
    });
    let older_warmup = fields.get("warmupDurationSecs").and_then(|value| warmup_duration(&value));
    let older_warmup = older_warmup.map(|duration| Warmup { duration, aggression: None, minimum_percent: None });
    LoadBalancing {
        simple: simple.unwrap_or_default(),
        consistent_hash,
        warmup: fields.try_object("warmup", warmup).or(older_warmup),
        locality: fields.object("localityLbSetting", locality::locality_balancing),
    }
}

fn consistent_hash(fields: &mut Fields<'_>) -> ConsistentHash {
    ConsistentHash { key: hash_key(fields), table: hash_table(fields) }
}

fn hash_key(fields: &mut Fields<'_>) -> Option<HashKey> {
    let keys = [
        fields.get("httpHeaderName").and_then(|value| name(&value)).map(HashKey::Header),
        fields.try_object("httpCookie", cookie).map(HashKey::Cookie),
        fields.bool("useSourceIp").map(HashKey::SourceIp),
        fields.get("httpQueryParameterName").and_then(|value| name(&value)).map(HashKey::QueryParameter),
    ];
    let mut keys = keys.into_iter().flatten();
    let key = keys.next();
    if keys.next().is_some() {
        fields.error("only one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName can be given");
    }
    key
}

fn cookie(fields: &mut Fields<'_>) -> Option<HashCookie> {
    let own_name = fields.required("name").and_then(|value| name(&value));
    let mut names = BTreeSet::new();
    let attributes = fields.objects("attributes", |fields| {
        let attribute = name(&fields.required("name")?)?;
        if !names.insert(attribute.clone()) {
            fields.error(format!("name: there is another attribute {attribute}"));
        }
        Some((attribute, fields.string("value")))
    });
    let (path, ttl) = (fields.string("path"), fields.duration("ttl"));
    Some(HashCookie { name: own_name?, path, ttl, attributes })
}

/// A name, which Envoy does not take empty.
fn name(value: &Value<'_>) -> Option<String> {
    let name = value.string()?;
    if name.is_empty() {
        value.error("must not be empty");
        return None;
    }
    Some(name)
}

fn hash_table(fields: &mut Fields<'_>) -> HashTable {
    let ring = fields.object("ringHash", |fields| size(fields, "minimumRingSize"));
    let maglev = fields.object("maglev", maglev_size);
    let older_ring = size(fields, "minimumRingSize");
    if ring.is_some() && maglev.is_some() {
        fields.error("only one of ringHash and maglev can be given");
    }
    if older_ring.is_some() && (ring.is_some() || maglev.is_some()) {
        fields.error("minimumRingSize cannot be given beside ringHash and maglev");
    }
    match (maglev, ring) {
        (Some(size), _) => HashTable::Maglev { size },
        (None, Some(minimum_size)) => HashTable::Ring { minimum_size },
        (None, None) => HashTable::Ring { minimum_size: older_ring.or(Some(DEFAULT_RING_SIZE)) },
    }
}

/// A size; 0 is how Istio's fields say nothing.
fn size(fields: &mut Fields<'_>, name: &str) -> Option<u64> {
    let size = fields.get(name)?.integer(0, i64::MAX)?;
    u64::try_from(size).ok().filter(|size| *size > 0)
}

fn maglev_size(fields: &mut Fields<'_>) -> u64 {
    let size = size(fields, "tableSize").unwrap_or(0);
    if size >= MAGLEV_LIMIT || !is_prime(size) {
        fields.error(format!("tableSize must be a prime number below {MAGLEV_LIMIT}"));
    }
    size
}

/// As istiod has it: 1 counts.
fn is_prime(number: u64) -> bool {
    let mut factors = (2..number).take_while(|factor| factor * factor <= number);
    number > 0 && factors.all(|factor| !number.is_multiple_of(factor))
}

fn warmup(fields: &mut Fields<'_>) -> Option<Warmup> {
    let duration = fields.required("duration").and_then(|value| {
        let duration = warmup_duration(&value)?;
        if !duration.subsec_nanos().is_multiple_of(1_000_000) {
            value.error("must be whole milliseconds");
        }
        Some(duration)
    });
    let aggression = fields.get("aggression").and_then(|value| {
        let aggression = value.number(f64::MIN, f64::MAX)?;
        if aggression <= 0.0 {
            value.error(format!("{aggression} is not above 0"));
        }
        Some(aggression)
    });
    let minimum_percent = fields.get("minimumPercent").and_then(|value| value.number(0.0, 100.0));
    Some(Warmup {
        duration: duration?,
        aggression: aggression.or(Some(DEFAULT_AGGRESSION)),
        minimum_percent: minimum_percent.or(Some(DEFAULT_MINIMUM_PERCENT)),
    })
}

fn warmup_duration(value: &Value<'_>) -> Option<Duration> {
    let duration = value.duration()?;
    if duration < Duration::from_millis(1) {
        value.error("must be at least 1ms");
    }
    Some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_istiod_takes_for_prime() {
        let primes: Vec<_> = (0..30).filter(|number| is_prime(*number)).collect();
        assert_eq!(primes, [1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65537) && is_prime(5_000_011) && !is_prime(4_999_999 * 3));
    }
}
