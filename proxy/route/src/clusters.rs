//! The clusters of a route table: their numbers, and how often each is used.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::route::{Action, Route};
use crate::weighted::ClusterRef;

/// How many names without a use a table may carry along, beside as many as it uses.
const SPARE: usize = 64;

/// Names by number, shared by versions of a table as long as there is no new one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterNames {
    known: Arc<Known>,
    /// How many targets lead to each.
    uses: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl ClusterNames {
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.known.names
    }

    /// Uses a cluster once more.
    pub(crate) fn acquire(&mut self, name: &str) -> ClusterRef {
        let number = match self.known.numbers.get(name) {
            Some(number) => *number,
            None => self.add(name),
        };
        if let Some(uses) = self.uses.get_mut(number as usize) {
            *uses += 1;
        }
        ClusterRef(number)
    }

    /// The routes are gone.
    pub(crate) fn release(&mut self, routes: &[Route]) {
        for route in routes {
            let Action::Forward(forward) = &route.action else { continue };
            for target in forward.targets.iter() {
                if let Some(uses) = self.uses.get_mut(target.cluster.index()) {
                    *uses -= 1;
                }
            }
        }
    }

    /// Whether most names have no use.
    pub(crate) fn is_sparse(&self) -> bool {
        let used = self.uses.iter().filter(|uses| **uses > 0).count();
        self.uses.len() > 2 * used + SPARE
    }

    /// Gives back the memory that growing took ahead of need.
    pub(crate) fn shrink(&mut self) {
        if let Some(known) = Arc::get_mut(&mut self.known) {
            known.names.shrink_to_fit();
            known.numbers.shrink_to_fit();
        }
        self.uses.shrink_to_fit();
    }

    fn add(&mut self, name: &str) -> u32 {
        let known = Arc::make_mut(&mut self.known);
        let number = known.names.len() as u32;
        let name: Arc<str> = name.into();
        known.names.push(name.clone());
        known.numbers.insert(name, number);
        self.uses.push(0);
        number
    }
}
