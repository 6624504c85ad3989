//! What is not as it should be of an edge, for `/problems`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// All of it, as of now. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct EdgeProblems {
    config: Option<watch::Receiver<Option<String>>>,
    /// By what it concerns, and by who has noticed.
    noticed: Arc<Mutex<BTreeMap<(String, usize), String>>>,
}

impl EdgeProblems {
    /// With why what `edge.yaml` says is not in force, if it is not.
    pub(super) fn new(config: watch::Receiver<Option<String>>) -> Self {
        Self { config: Some(config), noticed: Arc::default() }
    }

    /// Says why something is not as it should be, or that it is. Each worker says so for itself. Whether it has not said the same before.
    pub(super) fn set(&self, what: &str, worker: usize, why: Option<String>) -> bool {
        let key = (what.to_owned(), worker);
        let before = match why.clone() {
            Some(why) => self.lock().insert(key, why),
            None => self.lock().remove(&key),
        };
        before != why
    }

    /// A line each. What several have noticed is said once.
    pub fn lines(&self) -> Vec<String> {
        let config = self.config.as_ref().and_then(|config| config.borrow().clone());
        let mut lines: Vec<_> = config.into_iter().collect();
        lines.extend(self.lock().iter().map(|((what, _), why)| format!("{what}: {why}")));
        lines.dedup();
        lines
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, usize), String>> {
        // Nothing that is done under the lock can fail half-way.
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_workers_notice_is_said_once_and_until_none_does() {
        let (sender, config) = watch::channel(Some("edge.yaml: bad".to_owned()));
        let problems = EdgeProblems::new(config);
        for worker in [0, 1] {
            problems.set("datagrams", worker, Some("in use".to_owned()));
        }
        problems.set("links", 0, Some("none".to_owned()));
        assert_eq!(problems.lines(), ["edge.yaml: bad", "datagrams: in use", "links: none"]);
        sender.send_replace(None);
        problems.set("links", 0, None);
        problems.set("datagrams", 1, None);
        assert_eq!(problems.clone().lines(), ["datagrams: in use"]);
        problems.set("datagrams", 0, None);
        assert!(problems.lines().is_empty());
    }
}
