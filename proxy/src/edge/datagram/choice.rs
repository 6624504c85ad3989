//! Which edge a flow goes to: of the nearest that have the service and were not left out, the one with the fewest flows for its weight.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use overlay::node::{Place, Tally};
use tokio::time::Instant;

use super::tables::{DatagramService, Provider};

/// An edge that could not be reached, or refused, is taken for so long only if there is no other.
const LEFT_OUT: Duration = Duration::from_secs(10);

/// What is known of the edges on one worker.
#[derive(Default)]
pub(super) struct Choice {
    flows_of: Rc<Tally<Arc<str>>>,
    left_out: RefCell<HashMap<(Arc<str>, DatagramService), Instant>>,
}

impl Choice {
    /// The best of those that were not tried.
    pub(super) fn best(
        &self,
        service: &DatagramService,
        providers: &[Provider],
        tried: &[Arc<str>],
    ) -> Option<Arc<str>> {
        let now = Instant::now();
        let left_out = self.left_out.borrow();
        let rank = |provider: &&Provider| {
            let key = (provider.edge.clone(), service.clone());
            let is_left_out = left_out.get(&key).is_some_and(|until| *until > now);
            let load = (self.flows_of.count(&provider.edge) as u64 + 1) * 1_000_000 / u64::from(provider.weight);
            (is_left_out, Reverse(provider.nearness), load)
        };
        let untried = providers.iter().filter(|provider| !tried.contains(&provider.edge));
        untried.min_by_key(rank).map(|provider| provider.edge.clone())
    }

    /// Counts a flow of an edge for as long as the result lives.
    pub(super) fn hold(&self, edge: &Arc<str>) -> Option<Place<Arc<str>>> {
        self.flows_of.take(edge.clone(), usize::MAX)
    }

    /// The edge did not serve the service.
    pub(super) fn leave_out(&self, edge: &Arc<str>, service: &DatagramService) {
        let now = Instant::now();
        let mut left_out = self.left_out.borrow_mut();
        left_out.retain(|_, until| *until > now);
        left_out.insert((edge.clone(), service.clone()), now + LEFT_OUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(edge: &str, nearness: usize, weight: u32) -> Provider {
        Provider { edge: edge.into(), nearness, weight }
    }

    fn service() -> DatagramService {
        DatagramService { listen: ([127, 0, 0, 1], 53).into(), host: "dns.global".into(), port: 53 }
    }

    #[tokio::test(start_paused = true)]
    async fn near_edges_come_first_and_share_by_weight() {
        let (choice, service) = (Choice::default(), service());
        let providers = [provider("far", 0, 100), provider("one", 2, 1), provider("three", 2, 3)];
        let mut held = Vec::new();
        let mut counts = [0, 0];
        for _ in 0..40 {
            let Some(edge) = choice.best(&service, &providers, &[]) else { panic!("no edge") };
            counts[usize::from(&*edge == "three")] += 1;
            assert_ne!(&*edge, "far");
            held.push(choice.hold(&edge));
        }
        assert_eq!(counts, [10, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_left_out_or_tried_is_not_taken_while_there_is_another() {
        let (choice, service) = (Choice::default(), service());
        let providers = [provider("near", 1, 1), provider("far", 0, 1)];
        let best = |tried: &[Arc<str>]| choice.best(&service, &providers, tried);
        assert_eq!(best(&[]).as_deref(), Some("near"));
        choice.leave_out(&"near".into(), &service);
        assert_eq!(best(&[]).as_deref(), Some("far"));
        assert_eq!(best(&["far".into()]).as_deref(), Some("near"), "better than none");
        assert_eq!(best(&["far".into(), "near".into()]), None);
        tokio::time::advance(LEFT_OUT).await;
        assert_eq!(best(&[]).as_deref(), Some("near"));
    }
}
