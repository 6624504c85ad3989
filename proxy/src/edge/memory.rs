//! What other edges offered before this start: they are called at once, not only when a hub has told of them again.

mod needed;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use overlay::catalogue::{Announcement, LIFETIME};
use tokio::sync::watch;
use tokio::time::Instant;

use self::needed::Known;
pub use self::writer::MemoryFile;
pub(super) use self::writer::Writer;
use super::config::EdgeConfig;
use super::import::KnownEdges;
use super::known_file::KnownFile;

/// The file in the edge's folder.
const FILE: &str = "known-edges.json";

/// Edges that were known before, and what is told to whoever remembers those of now.
#[derive(Debug)]
pub(super) struct Memory {
    folder: PathBuf,
    remembered: Vec<(String, Arc<Announcement>)>,
    /// Who was not heard of until then is gone.
    until: Instant,
    /// To the writer; nothing, unless this process is the one that writes.
    known: watch::Sender<Option<Known>>,
}

impl Memory {
    /// Of the folder of an edge, and what writes its file. A file that cannot be read is as none: hubs tell all of it again.
    pub(super) fn open(folder: &Path, own: &str) -> (Self, Writer, MemoryFile) {
        let (known, receiver) = watch::channel(None);
        let (writer, file) = Writer::new(KnownFile::new(folder, FILE), own.to_owned(), receiver);
        let mut memory = Self { folder: folder.to_owned(), remembered: Vec::new(), until: Instant::now(), known };
        memory.read_again();
        (memory, writer, file)
    }

    /// The process before may have written it since. What was read stays if it cannot be read now.
    pub(super) fn read_again(&mut self) {
        if let Some(edges) = read(&KnownFile::new(&self.folder, FILE)) {
            self.remembered = edges;
        }
        self.until = Instant::now() + LIFETIME;
    }

    /// Edges that were heard of, and those that are remembered and may yet be.
    pub(super) fn with(&mut self, heard: &KnownEdges, config: &Arc<EdgeConfig>) -> KnownEdges {
        if Instant::now() >= self.until {
            self.remembered.clear();
        }
        self.remembered.retain(|(edge, _)| heard.iter().all(|(other, _)| other != edge));
        let edges: KnownEdges = heard.iter().chain(&self.remembered).cloned().collect();
        let known = Some(Known { edges: edges.clone(), config: config.clone() });
        self.known.send_if_modified(|before| {
            let changed = *before != known;
            *before = known;
            changed
        });
        edges
    }

    /// Edges that are remembered; nothing is written.
    pub(super) fn remembered(&self) -> KnownEdges {
        self.remembered.as_slice().into()
    }

    /// From now on another process writes the file.
    pub(super) fn leave(&self) {
        self.known.send_replace(None);
    }

    /// Returns when those that were not heard of are forgotten.
    pub(super) async fn fades(&self) {
        match self.remembered.is_empty() {
            true => std::future::pending().await,
            false => tokio::time::sleep_until(self.until).await,
        }
    }
}

fn read(file: &KnownFile) -> Option<Vec<(String, Arc<Announcement>)>> {
    let edges: Vec<(String, Announcement)> = file.read()?;
    Some(edges.into_iter().map(|(edge, announcement)| (edge, Arc::new(announcement))).collect())
}

#[cfg(test)]
mod tests;
