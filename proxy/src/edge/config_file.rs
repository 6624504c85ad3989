//! `edge.yaml` as a file: read at the start, and again whenever it says something else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use xds_client::small_file;

use super::config::{EdgeConfig, Setting};
use super::counters::ConfigCounters;

/// The file, in the edge's folder.
const FILE: &str = "edge.yaml";
/// How often it is looked at. As with the folder of the configuration, looking sees whatever way it is replaced, on every file system.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long it must say the same to be believed: somebody may be in the middle of writing.
const SETTLED_AFTER: Duration = Duration::from_millis(200);
/// The same where it said something and is empty or gone now: that is how some replace files.
const GONE_AFTER: Duration = Duration::from_secs(3);

/// Its text, empty where there is no file; or why it cannot be read.
type Content = Result<String, String>;

/// The file, and what of it is in force.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    setting: Setting,
    /// What the last look has shown, and since when that is so.
    shown: (Content, Instant),
    /// What was last put in force, or refused.
    judged: Content,
    current: watch::Sender<Arc<EdgeConfig>>,
    problem: watch::Sender<Option<String>>,
    counters: Arc<ConfigCounters>,
}

impl ConfigFile {
    /// That of an edge's folder, read for the first time.
    ///
    /// # Errors
    /// It cannot be read, or says what cannot be.
    pub(super) async fn open(folder: &Path, setting: Setting, counters: Arc<ConfigCounters>) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let content = read(&path).await;
        let config = content.clone().and_then(|text| parse(&path, &text, &setting));
        let current = watch::Sender::new(Arc::new(config.map_err(anyhow::Error::msg)?));
        let shown = (content.clone(), Instant::now());
        Ok(Self { path, setting, shown, judged: content, current, problem: watch::Sender::default(), counters })
    }

    /// What is in force.
    pub(super) fn current(&self) -> watch::Receiver<Arc<EdgeConfig>> {
        self.current.subscribe()
    }

    /// Why what the file says is not in force, if it is not.
    pub(super) fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.subscribe()
    }

    /// Puts in force what the file says, whenever that changes and is good.
    pub(super) async fn follow(mut self) {
        loop {
            let is_judged = self.shown.0 == self.judged;
            tokio::time::sleep(if is_judged { INTERVAL } else { SETTLED_AFTER }).await;
            let content = read(&self.path).await;
            if self.is_settled(content, Instant::now()) {
                self.judge();
            }
        }
    }

    /// Whether it says something that is to be judged.
    fn is_settled(&mut self, content: Content, now: Instant) -> bool {
        if content != self.shown.0 {
            self.shown = (content, now);
        }
        let (shown, since) = &self.shown;
        let is_empty = |content: &Content| content.as_ref().is_ok_and(|text| text.trim().is_empty());
        let is_gone = is_empty(shown) && !is_empty(&self.judged);
        *shown != self.judged && now - *since >= if is_gone { GONE_AFTER } else { SETTLED_AFTER }
    }

    fn judge(&mut self) {
        self.judged.clone_from(&self.shown.0);
        let before = self.current.borrow().clone();
        let read = self.judged.clone().and_then(|text| {
            let config = parse(&self.path, &text, &self.setting)?;
            config.check_after(&before).map_err(|reason| named(&self.path, &reason))?;
            Ok(config)
        });
        match read {
            Ok(config) => {
                tracing::info!("{} was read again", self.path.display());
                self.counters.configuration_loaded.increment();
                self.problem.send_replace(None);
                if config != *before {
                    self.current.send_replace(Arc::new(config));
                }
            }
            Err(reason) => {
                tracing::error!("{reason}; what was in force stays in force");
                self.counters.configuration_rejected.increment();
                self.problem.send_replace(Some(reason));
            }
        }
    }
}

async fn read(path: &Path) -> Content {
    let bytes = small_file::read_if_any(path).await?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|error| named(path, &error.to_string()))
}

fn parse(path: &Path, text: &str, setting: &Setting) -> Result<EdgeConfig, String> {
    let config = EdgeConfig::parse(text).and_then(|config| config.check_for(setting).map(|()| config));
    config.map_err(|reason| named(path, &reason))
}

fn named(path: &Path, reason: &str) -> String {
    format!("{}: {reason}", path.display())
}

#[cfg(test)]
mod tests;
