//! A ring of points: a hash belongs to the endpoint whose point comes next (ketama).

use std::fmt::Write;

use twox_hash::XxHash64;

use super::{Weighted, key};

/// A worker makes its ring between two requests, which must not take long: Envoy's bound is eight times as much.
const MOST_POINTS: u64 = 1 << 20;

/// Points in order, each with its endpoint.
#[derive(Debug)]
pub(crate) struct Ring(Box<[(u64, u32)]>);

impl Ring {
    /// So many points that the endpoint of the least weight has a whole number of them, and that there are `minimum` in all, unless
    /// that is more than `maximum` or [`MOST_POINTS`].
    pub(super) fn new(endpoints: &[Weighted<'_>], minimum: u64, maximum: u64) -> Self {
        let least = endpoints.iter().map(|endpoint| endpoint.weight).fold(1.0, f64::min);
        let scale = ((least * minimum as f64).ceil() / least).min(maximum.min(MOST_POINTS) as f64);
        let mut points = Vec::with_capacity(scale.ceil() as usize);
        // Running sums: endpoints whose number of points is not whole have one more or less in turn.
        let (mut made, mut wanted) = (0.0, 0.0);
        let mut text = String::new();
        for endpoint in endpoints {
            wanted += scale * endpoint.weight;
            let key = key(endpoint.address);
            let mut number = 0_u64;
            while made < wanted {
                text.clear();
                // Writing to a string cannot fail.
                let _ = write!(text, "{key}_{number}");
                points.push((XxHash64::oneshot(0, text.as_bytes()), endpoint.number));
                number += 1;
                made += 1.0;
            }
        }
        points.sort_unstable_by_key(|(point, _)| *point);
        Self(points.into_boxed_slice())
    }

    /// With each further attempt the endpoint of one point more.
    pub(super) fn pick(&self, hash: u64, attempt: u32) -> Option<u32> {
        let next = self.0.partition_point(|(point, _)| *point < hash);
        let position = next.checked_rem(self.0.len())? + attempt as usize;
        self.0.get(position.checked_rem(self.0.len())?).map(|(_, endpoint)| *endpoint)
    }
}

#[cfg(test)]
mod tests {
    use xds_model::endpoint::EndpointAddress;

    use super::*;

    #[test]
    fn weights_that_differ_much_make_no_ring_without_bound() {
        let address = EndpointAddress::Socket(([10, 0, 0, 1], 80).into());
        let endpoint = |number, weight| Weighted { number, address: &address, weight };
        let points = |least: f64| Ring::new(&[endpoint(0, least), endpoint(1, 1.0 - least)], 1024, 8_388_608).0.len();
        assert_eq!(points(0.5), 1024);
        assert_eq!(points(1e-5), 100_000);
        assert_eq!(points(1e-8) as u64, MOST_POINTS);
    }
}
