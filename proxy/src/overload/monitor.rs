//! Measures, and says which actions follow.

use std::io;
use std::sync::Arc;

use super::action::Monitor;
use super::counters::MonitorCounters;
use super::memory::MemoryFiles;
use super::settings::OverloadManagerSettings;
use crate::worker::Process;

/// Measures again and again, and tells the overload of `process`. Ends only if there is nothing to measure.
pub async fn watch_memory(settings: OverloadManagerSettings, files: MemoryFiles, process: Arc<Process>) {
    let mut watched = Watched::new(settings, files, &process);
    if watched.sources.is_empty() {
        return;
    }
    let mut ticks = tokio::time::interval(watched.settings.refresh_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        watched.update(&process);
    }
}

struct Watched {
    settings: OverloadManagerSettings,
    files: MemoryFiles,
    sources: Vec<Source>,
}

/// A monitor and what it last measured.
struct Source {
    monitor: Monitor,
    counters: Arc<MonitorCounters>,
    pressure: f64,
    /// The last measurement failed.
    fails: bool,
}

impl Watched {
    /// Leaves out what has no limit.
    fn new(settings: OverloadManagerSettings, files: MemoryFiles, process: &Process) -> Self {
        let has_limit = |monitor: &&Monitor| !matches!(measure(**monitor, &files), Ok(None));
        let sources = settings.monitors.iter().filter(has_limit).map(|monitor| {
            let counters = MonitorCounters::new(format!("overload.{}.", monitor.name()));
            let counters = process.registry.register(counters);
            Source { monitor: *monitor, counters, pressure: 0.0, fails: false }
        });
        let sources = sources.collect();
        Self { settings, files, sources }
    }

    fn update(&mut self, process: &Process) {
        for source in &mut self.sources {
            source.update(&self.files);
        }
        let pressures: Vec<_> = self.sources.iter().map(Source::describe).collect();
        let because = pressures.join(", ");
        for action in &self.settings.actions {
            let shares = action.triggers.iter().map(|(name, trigger)| {
                let source = self.sources.iter().find(|source| source.monitor.name() == *name);
                trigger.share(source.map_or(0.0, |source| source.pressure))
            });
            process.overload.set(action.action, shares.fold(0.0, f64::max), &because);
        }
    }
}

impl Source {
    fn describe(&self) -> String {
        format!("{} is at {:.1} % of its limit", self.monitor.name(), self.pressure * 100.0)
    }

    /// What cannot be measured is as it was.
    fn update(&mut self, files: &MemoryFiles) {
        match measure(self.monitor, files) {
            Ok(pressure) => {
                self.pressure = pressure.unwrap_or(0.0);
                self.fails = false;
                // No memory is so large that the cast would change the value.
                self.counters.pressure.set((self.pressure * 100.0) as u64);
            }
            Err(error) => {
                self.counters.failed_updates.increment();
                if !std::mem::replace(&mut self.fails, true) {
                    tracing::warn!("overload: {} cannot be measured: {error}", self.monitor.name());
                }
            }
        }
    }
}

fn measure(monitor: Monitor, files: &MemoryFiles) -> io::Result<Option<f64>> {
    match monitor {
        Monitor::FixedHeap { max_heap_size_bytes } => {
            Ok(Some(files.resident()? as f64 / max_heap_size_bytes.max(1) as f64))
        }
        Monitor::CgroupMemory { max_memory_bytes } => files.cgroup_pressure(max_memory_bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::overload::Action;

    fn write(root: &Path, name: &str, content: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    #[test]
    fn actions_follow_the_memory_of_the_group_up_and_down() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "proc/self/cgroup", "0::/\n");
        write(root.path(), "sys/fs/cgroup/memory.max", "1000");
        write(root.path(), "sys/fs/cgroup/memory.stat", "file 0\n");
        let usage = |bytes: &str| write(root.path(), "sys/fs/cgroup/memory.current", bytes);
        usage("100");
        let process = Process::default();
        let files = MemoryFiles::below(root.path());
        let mut watched = Watched::new(OverloadManagerSettings::default(), files, &process);
        let shown = |name: &str| {
            process.registry.collect()[&format!("overload.envoy.resource_monitors.cgroup_memory.{name}")].1
        };
        let active = || Action::ALL.map(|action| process.overload.is_active(action));
        let steps = [
            ("899", [false, false, false, false]),
            ("900", [true, false, false, false]),
            ("950", [true, true, false, false]),
            ("990", [true, true, true, false]),
            ("500", [false, false, false, false]),
        ];
        for (bytes, expected) in steps {
            usage(bytes);
            watched.update(&process);
            assert_eq!(active(), expected, "{bytes}");
        }
        usage("960");
        watched.update(&process);
        usage("broken");
        watched.update(&process);
        assert_eq!(active(), [true, true, false, false], "what cannot be measured is as it was");
        assert_eq!((shown("pressure"), shown("failed_updates")), (96, 1));
    }

    #[test]
    fn a_group_without_a_limit_is_not_watched() {
        let root = tempfile::tempdir().unwrap();
        let files = MemoryFiles::below(root.path());
        assert!(Watched::new(OverloadManagerSettings::default(), files, &Process::default()).sources.is_empty());
    }
}
