//! A folder of YAML as the control plane: its resources go the same way as those of istiod, in process.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use overlay::folder::set_aside;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use xds_client::configuration::Configuration;
use xds_client::delta::Received;
use xds_client::session::{HeldResource, held};
use xds_client::{Event, ResourceType};
use xds_local::{Changes, Generated, LocalControlPlane, Options, Problem, Watch};

use crate::edge::{IMPORTS, Services};
use crate::worker::vital;

/// Which folder, and what of it.
#[derive(Debug, Clone, Default)]
pub struct LocalOptions {
    /// The folder.
    pub directory: PathBuf,
    /// Labels of this gateway; empty serves every Gateway.
    pub labels: BTreeMap<String, String>,
    /// Where this gateway is: `region/zone/sub-zone`.
    pub locality: String,
}

impl LocalOptions {
    /// The control plane of the folder.
    pub fn control_plane(&self) -> LocalControlPlane {
        let labels = (!self.labels.is_empty()).then(|| self.labels.clone());
        LocalControlPlane::new(
            &self.directory,
            Options { labels, locality: self.locality.clone(), ..Options::default() },
        )
    }
}

/// Loads the folder, and follows its changes in a task. Returns what is known of its resources. `first` is called when the first of
/// them have been sent.
///
/// # Errors
/// The folder cannot be served as it is; the error holds every problem with file and line.
pub async fn start(
    options: LocalOptions,
    events: mpsc::Sender<Vec<Event>>,
    edge: EdgeSide,
    first: impl FnOnce() + Send + 'static,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<watch::Receiver<FolderStatus>> {
    let mut watch = options.control_plane().watch();
    let mut first_look = watch.next().await;
    if let xds_local::Event::Rejected(problems) = &first_look
        && set_imports_aside(&options.directory, problems)
    {
        watch = options.control_plane().watch();
        first_look = watch.next().await;
    }
    let generated = match first_look {
        xds_local::Event::Loaded(generated) => *generated,
        xds_local::Event::Rejected(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            bail!("{} cannot be served:\n  {}", options.directory.display(), lines.join("\n  "));
        }
    };
    let (status, look) = watch::channel(FolderStatus::default());
    let source = LocalSource { watch, current: None, configuration: Configuration::default(), events, edge, status };
    tasks.spawn(vital("folder", source.run(generated, first)));
    Ok(look)
}

/// What was written for other edges is no reason not to start: an edge writes it anew. Whether it was in the way.
fn set_imports_aside(folder: &Path, problems: &[Problem]) -> bool {
    let Some(problem) = problems.iter().find(|problem| &*problem.place.file == IMPORTS) else { return false };
    let imports = folder.join(IMPORTS);
    match set_aside(&imports) {
        Ok(aside) => {
            tracing::error!("{} cannot be served, and is now {}: {problem}", imports.display(), aside.display())
        }
        Err(error) => tracing::error!("{} cannot be moved out of the way: {error}", imports.display()),
    }
    true
}

/// What is known of a folder.
#[derive(Debug, Default)]
pub struct FolderStatus {
    /// Its resources.
    pub held: Vec<HeldResource>,
    /// Why it, or a resource of it, is not in force as it is now; a line each.
    pub problems: Vec<String>,
    /// What is held back until something else is there; a line each.
    pub waiting: Vec<String>,
}

struct LocalSource {
    watch: Watch,
    current: Option<Generated>,
    configuration: Configuration,
    events: mpsc::Sender<Vec<Event>>,
    edge: EdgeSide,
    status: watch::Sender<FolderStatus>,
}

/// What a folder and the edge whose gateway serves it tell each other.
#[derive(Debug)]
pub struct EdgeSide {
    /// Told the services that the folder defines.
    pub(crate) services: watch::Sender<Services>,
    /// Clusters that are needed although no route leads to them.
    pub offered: watch::Receiver<BTreeSet<String>>,
}

impl LocalSource {
    async fn run(mut self, generated: Generated, first: impl FnOnce()) {
        let (mut next, mut first) = (Some(generated), Some(first));
        loop {
            if let Some(generated) = next.take() {
                self.take_over(generated);
            }
            if !self.hand_on().await {
                return;
            }
            if let Some(first) = first.take() {
                first();
            }
            let deadline = self.configuration.next_deadline();
            tokio::select! {
                event = self.watch.next() => match event {
                    xds_local::Event::Loaded(generated) => {
                        tracing::info!("the folder was loaded again: {} resources", generated.resources.len());
                        next = Some(*generated);
                    }
                    xds_local::Event::Rejected(problems) => {
                        report("the last good configuration stays in force", &problems);
                        let lines = problems.iter().map(|problem| format!("folder: {problem}")).collect();
                        self.status.send_modify(|status| status.problems = lines);
                    }
                },
                () = sleep_until(deadline) => self.configuration.tick(Instant::now()),
                // Where nobody offers anything the sender is gone.
                Ok(()) = self.edge.offered.changed() => {
                    let offered = self.edge.offered.borrow_and_update().clone();
                    self.configuration.need_clusters(offered.iter().map(|name| name.as_str().into()), Instant::now());
                }
            }
        }
    }

    fn take_over(&mut self, generated: Generated) {
        report("loaded with warnings", &generated.warnings);
        let changes = generated.changes_since(self.current.as_ref());
        self.status.send_modify(|status| status.problems.clear());
        self.edge.services.send_replace(Services { known: generated.services.as_slice().into(), are_all: true });
        for kind in ResourceType::ALL {
            let (resources, removed) = of_kind(&changes, kind);
            if resources.is_empty() && removed.is_empty() {
                continue;
            }
            for refused in self.configuration.apply(kind, &resources, &removed, Instant::now()) {
                let line = format!("{kind} {}: refused: {}", refused.name, refused.reason);
                tracing::error!("{line}");
                self.status.send_modify(|status| status.problems.push(line));
            }
        }
        self.current = Some(generated);
    }

    /// Tells what has come to be needed. What nothing refers to any more is forgotten: a server would be asked for it again.
    fn deliver_wanted(&mut self) {
        let Some(current) = &self.current else { return };
        loop {
            let changes = self.configuration.take_subscriptions().into_iter();
            let wanted: HashSet<_> = changes.filter(|change| change.needed).map(|change| change.target).collect();
            if wanted.is_empty() {
                return;
            }
            for kind in ResourceType::ALL {
                let of_kind = current.resources.iter().filter(|resource| resource.type_url == kind.type_url());
                let named = of_kind.map(received).filter(|received| wanted.contains(&(kind, received.name.clone())));
                // What is refused was refused before, and said so.
                drop(self.configuration.apply(kind, &named.collect::<Vec<_>>(), &[], Instant::now()));
            }
        }
    }

    /// Returns whether anybody listens.
    async fn hand_on(&mut self) -> bool {
        self.deliver_wanted();
        let events = self.configuration.take_events();
        let held = held(&self.configuration);
        let waiting = self.configuration.waiting().map(|((kind, name), (missing_kind, missing))| {
            format!("{kind} {name}: waiting for {missing_kind} {missing}")
        });
        let waiting = waiting.collect();
        self.status.send_modify(|status| {
            status.held = held;
            status.waiting = waiting;
        });
        events.is_empty() || self.events.send(events).await.is_ok()
    }
}

fn of_kind(changes: &Changes, kind: ResourceType) -> (Vec<Received>, Vec<Arc<str>>) {
    let resources = changes.changed.iter().filter(|resource| resource.type_url == kind.type_url());
    let removed = changes.removed.iter().filter(|(type_url, _)| type_url == kind.type_url());
    (resources.map(received).collect(), removed.map(|(_, name)| name.as_str().into()).collect())
}

fn received(resource: &xds_local::Resource) -> Received {
    Received { name: resource.name.as_str().into(), version: Arc::default(), body: resource.message.clone() }
}

fn report(what: &str, problems: &[Problem]) {
    if problems.is_empty() {
        return;
    }
    tracing::warn!("{what}:");
    for problem in problems {
        tracing::warn!("  {problem}");
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
