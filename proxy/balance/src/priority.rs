//! How requests are divided among priorities, and when health is ignored.
//!
//! Envoy's rules (`intro/arch_overview/upstream/load_balancing`: priority, degraded, panic_threshold), in whole percents:
//! the availability of a priority is its share of healthy (or degraded) endpoints times the overprovisioning factor, at most 100. Load
//! goes to healthy endpoints in order of priority, then to degraded ones, scaled up if all availabilities together are below 100. Only
//! then can a priority with less than the panic threshold of available endpoints be in panic: its load goes to all of its endpoints.

use std::ops::Range;

use crate::endpoints::{Endpoints, Priority};

/// Endpoints that share a part of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Percent of all requests; never 0.
    pub(crate) percent: u32,
    /// The endpoints; never empty.
    pub(crate) endpoints: Range<u32>,
    /// All endpoints of their priority.
    pub(crate) priority: Range<u32>,
    /// Health is ignored.
    pub(crate) in_panic: bool,
}

impl Share {
    fn new(percent: u32, part: &Range<u32>, priority: &Priority) -> Self {
        Self { percent, endpoints: part.clone(), priority: priority.all.clone(), in_panic: false }
    }

    fn in_panic(percent: u32, priority: &Priority) -> Self {
        Self { in_panic: true, ..Self::new(percent, &priority.all, priority) }
    }
}

/// Divides 100 percent. Empty if there is no endpoint to use.
pub(crate) fn shares(endpoints: &Endpoints, panic_threshold: u8) -> Vec<Share> {
    let priorities = &endpoints.priorities;
    let availability = Availability::new(endpoints, |_| true);
    let panics = panics(endpoints, panic_threshold);
    if panics.iter().all(|panic| *panic) {
        return shares_in_total_panic(priorities);
    }
    if availability.total == 0 {
        // A few among hundreds round to nothing. Envoy gives all to the first priority; it may be another that has them.
        let first = parts(priorities).zip(priorities.iter().cycle()).find(|(part, _)| !part.is_empty());
        let all = first.map(|(part, priority)| Share::new(100, part, priority));
        return all.into_iter().collect();
    }
    divide(priorities, &availability, &panics)
}

/// As [`shares`] among the priorities that are not `left_out`; which are in panic does not depend on these. `None` if no other can take anything.
pub(crate) fn shares_without(endpoints: &Endpoints, panic_threshold: u8, left_out: &[u32]) -> Option<Vec<Share>> {
    let availability = Availability::new(endpoints, |priority| !left_out.contains(&priority.number));
    let panics = panics(endpoints, panic_threshold);
    (availability.total > 0).then(|| divide(&endpoints.priorities, &availability, &panics))
}

/// What priorities can take, percent of all requests.
struct Availability {
    healthy: Vec<u32>,
    degraded: Vec<u32>,
    /// At most 100.
    total: u32,
}

impl Availability {
    /// Of those priorities that count; the others can take nothing.
    fn new(endpoints: &Endpoints, counts: impl Fn(&Priority) -> bool) -> Self {
        let of = |part: fn(&Priority) -> &Range<u32>| -> Vec<u32> {
            let priorities = endpoints.priorities.iter();
            let available = |priority: &Priority| match counts(priority) {
                true => available(priority, part(priority), endpoints.overprovisioning_factor),
                false => 0,
            };
            priorities.map(available).collect()
        };
        let (healthy, degraded) = (of(|priority| &priority.healthy), of(|priority| &priority.degraded));
        let total = healthy.iter().chain(&degraded).sum::<u32>().min(100);
        Self { healthy, degraded, total }
    }
}

/// Which priorities are in panic.
fn panics(endpoints: &Endpoints, threshold: u8) -> Vec<bool> {
    let total = Availability::new(endpoints, |_| true).total;
    endpoints.priorities.iter().map(|priority| total < 100 && in_panic(priority, threshold)).collect()
}

/// Healthy endpoints of all priorities, then their degraded ones.
fn parts(priorities: &[Priority]) -> impl Iterator<Item = &Range<u32>> {
    let healthy = priorities.iter().map(|priority| &priority.healthy);
    healthy.chain(priorities.iter().map(|priority| &priority.degraded))
}

/// By what each can take; there must be something.
fn divide(priorities: &[Priority], availability: &Availability, panics: &[bool]) -> Vec<Share> {
    let loads = distribute(&availability.healthy, &availability.degraded, availability.total);
    let all = priorities.iter().zip(panics).cycle();
    let shares = parts(priorities).zip(all).zip(loads).map(|((part, (priority, panic)), percent)| match panic {
        true => Share::in_panic(percent, priority),
        false => Share::new(percent, part, priority),
    });
    shares.filter(|share| share.percent > 0).collect()
}

/// Healthy loads of all priorities, then their degraded loads.
fn distribute(healthy: &[u32], degraded: &[u32], total: u32) -> Vec<u32> {
    let mut rest = 100;
    let mut loads: Vec<u32> = healthy
        .iter()
        .chain(degraded)
        .map(|availability| {
            let load = (availability * 100 / total).min(rest);
            rest -= load;
            load
        })
        .collect();
    // What is lost by rounding goes to the first that can take anything.
    let first = healthy.iter().chain(degraded).position(|availability| *availability > 0);
    if let Some(load) = first.and_then(|first| loads.get_mut(first)) {
        *load += rest;
    }
    loads
}

/// Load follows the number of endpoints, whatever their health.
fn shares_in_total_panic(priorities: &[Priority]) -> Vec<Share> {
    let total: u64 = priorities.iter().map(|priority| u64::from(length(&priority.all))).sum();
    let percent = |priority: &Priority| (u64::from(length(&priority.all)) * 100).checked_div(total).unwrap_or(0) as u32;
    let mut shares: Vec<Share> =
        priorities.iter().map(|priority| Share::in_panic(percent(priority), priority)).collect();
    let rest = 100 - shares.iter().map(|share| share.percent).sum::<u32>();
    if let Some(first) = shares.first_mut() {
        first.percent += rest;
    }
    shares.retain(|share| share.percent > 0);
    shares
}

fn available(priority: &Priority, part: &Range<u32>, overprovisioning_factor: u32) -> u32 {
    let scaled = u64::from(overprovisioning_factor) * u64::from(length(part));
    scaled.checked_div(u64::from(length(&priority.all))).unwrap_or(0).min(100) as u32
}

fn in_panic(priority: &Priority, threshold: u8) -> bool {
    let available = u64::from(length(&priority.healthy)) + u64::from(length(&priority.degraded));
    available * 100 < u64::from(threshold.min(100)) * u64::from(length(&priority.all))
}

fn length(range: &Range<u32>) -> u32 {
    range.end.saturating_sub(range.start)
}

#[cfg(test)]
mod tests;
