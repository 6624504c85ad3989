//! Imports as objects of the cluster: written, kept as they should be, and taken back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::config::EdgeConfig;
use super::super::control::sleep_until;
use super::super::import::Import;
use super::counters::KubernetesCounters;
use super::objects::{Entry, KubernetesService, Rule, written};
use super::plan::{Action, Cluster, Plan, plan};
use super::write::{Gateway, Kind, Object, Style, difference};
use crate::kubernetes::{Key, Objects, describe, istio_kind};

/// The name under which fields of objects are ours.
const FIELD_MANAGER: &str = "selvedge";
/// What was just written is not written again for so long; twice as long each time, should somebody else always change it back.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// An answer that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(15);

/// Writes what is taken from other edges.
pub(super) struct ClusterSink {
    pub(super) client: Client,
    /// Who writes.
    pub(super) gateway: Gateway,
    /// Says how.
    pub(super) config: watch::Receiver<Arc<EdgeConfig>>,
    /// The end of names of Services: `cluster.local`.
    pub(super) domain: String,
    pub(super) services: Objects<KubernetesService>,
    pub(super) entries: Objects<Entry>,
    pub(super) rules: Objects<Rule>,
    /// What should be there; `None` until that is known.
    pub(super) imports: watch::Receiver<Option<Vec<Import>>>,
    pub(super) counters: Arc<KubernetesCounters>,
}

/// What it remembers.
#[derive(Debug, Default)]
struct Memory {
    written: HashMap<(Kind, Key), Try>,
    removed: HashMap<(Kind, Key), Try>,
    conflicts: BTreeMap<String, String>,
}

/// The last time that something was done.
#[derive(Debug)]
struct Try {
    action: Action,
    at: Instant,
    pause: Duration,
    failure: Option<String>,
}

impl ClusterSink {
    /// Goes on until it is aborted, unless nobody says any more what should be there.
    pub(super) async fn run(mut self) {
        let mut memory = Memory::default();
        loop {
            let plan = self.plan();
            self.note_conflicts(&mut memory, plan.conflicts);
            let mut next: Option<Instant> = None;
            for action in plan.actions {
                let mut again = memory.not_before(&action);
                let mut is_away = false;
                if again <= Instant::now() {
                    let result = tokio::time::timeout(PATIENCE, self.perform(&action)).await;
                    is_away = result.is_err();
                    let result = result.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
                    self.log(&memory, &action, &result);
                    again = memory.note(action, result.err());
                }
                next = Some(next.map_or(again, |next| next.min(again)));
                // The others would only wait as long, and what should be done may be something else by then.
                if is_away {
                    break;
                }
            }
            memory.forget_old();
            let changed = tokio::select! {
                changed = self.imports.changed() => changed,
                changed = self.services.changed() => changed,
                changed = self.entries.changed() => changed,
                changed = self.rules.changed() => changed,
                changed = self.config.changed() => changed,
                () = sleep_until(next) => Ok(()),
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Nothing, until everything is known that it depends on.
    fn plan(&mut self) -> Plan {
        let imports = self.imports.borrow_and_update();
        let style = Style::of(&self.gateway, &self.config.borrow_and_update());
        let (services, entries, rules) =
            (self.services.borrow_and_update(), self.entries.borrow_and_update(), self.rules.borrow_and_update());
        match (&*imports, &*services, &*entries, &*rules) {
            (Some(imports), Some(services), Some(entries), Some(rules)) => {
                plan(imports, &Cluster { services, entries, rules, domain: &self.domain }, &style)
            }
            _ => Plan::default(),
        }
    }

    fn note_conflicts(&self, memory: &mut Memory, conflicts: BTreeMap<String, String>) {
        for (host, reason) in &conflicts {
            if memory.conflicts.get(host) != Some(reason) {
                tracing::warn!(host, "is not taken from other edges: {reason}");
            }
        }
        for host in memory.conflicts.keys().filter(|host| !conflicts.contains_key(*host)) {
            tracing::info!(host, "nothing is in its way any more");
        }
        self.counters.conflicts.set(conflicts.len() as u64);
        memory.conflicts = conflicts;
    }

    async fn perform(&self, action: &Action) -> Result<(), String> {
        match action {
            Action::Apply(object) => self.apply(object).await.map_err(|error| describe(&error)),
            Action::Remove(kind, (namespace, name)) => {
                match self.api(*kind, namespace).delete(name, &DeleteParams::default()).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                    result => result.map(drop).map_err(|error| describe(&error)),
                }
            }
        }
    }

    async fn apply(&self, object: &Object) -> kube::Result<()> {
        let api = self.api(object.kind, &object.namespace);
        let manifest = object.manifest();
        let applied =
            api.patch(&object.name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&manifest)).await?;
        // Fields that somebody else has added stay when something is applied.
        match written(&applied) {
            Some(written) if written.spec != object.spec => {
                let patch = serde_json::json!({ "spec": difference(&written.spec, &object.spec) });
                let parameters =
                    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
                api.patch(&object.name, &parameters, &Patch::Merge(&patch)).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &istio_kind(kind.name()))
    }

    fn log(&self, memory: &Memory, action: &Action, result: &Result<(), String>) {
        let (kind, (namespace, name)) = action.target();
        let kind = kind.name();
        match (result, action) {
            (Ok(()), Action::Apply(_)) => tracing::info!("{kind} {namespace}/{name} is written"),
            (Ok(()), Action::Remove(..)) => tracing::info!("{kind} {namespace}/{name} is removed"),
            // Once, not at every try.
            (Err(reason), _) if memory.failure(action) == Some(reason) => {}
            (Err(reason), _) => tracing::error!("{kind} {namespace}/{name} is not as it should be: {reason}"),
        }
        match result {
            Ok(()) => self.counters.writes.increment(),
            Err(_) => self.counters.writes_failed.increment(),
        }
    }
}

impl Memory {
    fn tries(&mut self, action: &Action) -> &mut HashMap<(Kind, Key), Try> {
        match action {
            Action::Apply(_) => &mut self.written,
            Action::Remove(..) => &mut self.removed,
        }
    }

    fn failure(&self, action: &Action) -> Option<&String> {
        let tries = if matches!(action, Action::Apply(_)) { &self.written } else { &self.removed };
        tries.get(&action.target())?.failure.as_ref()
    }

    /// When something may be done: at once, unless the same was done just now.
    fn not_before(&mut self, action: &Action) -> Instant {
        let last = self.tries(action).get(&action.target()).filter(|last| last.action == *action);
        last.map_or_else(Instant::now, |last| last.at + last.pause)
    }

    /// Returns when it may be done again.
    fn note(&mut self, action: Action, failure: Option<String>) -> Instant {
        let at = Instant::now();
        let target = action.target();
        let tries = self.tries(&action);
        let again = tries.get(&target).filter(|last| last.action == action && at < last.at + last.pause * 4);
        let pause = again.map_or(FIRST_PAUSE, |last| (last.pause * 2).min(LONGEST_PAUSE));
        tries.insert(target, Try { action, at, pause, failure });
        at + pause
    }

    fn forget_old(&mut self) {
        let now = Instant::now();
        for tries in [&mut self.written, &mut self.removed] {
            tries.retain(|_, last| now < last.at + last.pause * 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_always_changed_back_is_written_ever_more_seldom() {
        let mut memory = Memory::default();
        let key = ("shop".to_owned(), "ratings.shop.global".to_owned());
        let action = Action::Remove(Kind::ServiceEntry, key.clone());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let start = Instant::now();
            tokio::time::sleep_until(memory.not_before(&action)).await;
            pauses.push(start.elapsed());
            memory.note(action.clone(), Some("it is refused".to_owned()));
            memory.forget_old();
        }
        assert_eq!((pauses[0], pauses[1], pauses[2]), (Duration::ZERO, FIRST_PAUSE, FIRST_PAUSE * 2));
        assert_eq!(pauses[11], LONGEST_PAUSE);
        assert_eq!(memory.failure(&action).map(String::as_str), Some("it is refused"));
        let other = Action::Remove(Kind::DestinationRule, key);
        assert!(memory.not_before(&other) <= Instant::now(), "other objects do not wait");
        tokio::time::sleep(LONGEST_PAUSE * 5).await;
        memory.forget_old();
        assert!(memory.not_before(&action) <= Instant::now() && memory.failure(&action).is_none());
    }
}
