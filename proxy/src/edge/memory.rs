//! What other edges offered before this start: they are called at once, not only when a hub has told of them again.

use std::path::Path;
use std::sync::Arc;

use overlay::catalogue::{Announcement, LIFETIME};
use tokio::time::Instant;

use super::import::KnownEdges;
use super::known_file::KnownFile;

/// The file in the edge's folder.
const FILE: &str = "known-edges.json";

/// Edges that were known before, and the file that remembers those of now.
#[derive(Debug)]
pub(super) struct Memory {
    file: KnownFile,
    remembered: Vec<(String, Arc<Announcement>)>,
    /// Who was not heard of until then is gone.
    until: Instant,
    kept: KnownEdges,
}

impl Memory {
    /// Of a folder. A file that cannot be read is as none, and set aside: hubs tell all of it again.
    pub(super) fn open(folder: &Path) -> Self {
        let file = KnownFile::new(folder, FILE);
        let remembered: Vec<(String, Announcement)> = file.read();
        let remembered: Vec<_> =
            remembered.into_iter().map(|(edge, announcement)| (edge, Arc::new(announcement))).collect();
        let kept = remembered.as_slice().into();
        Self { file, remembered, until: Instant::now() + LIFETIME, kept }
    }

    /// Edges that were heard of, and those that are remembered and may yet be.
    pub(super) fn with(&mut self, heard: &KnownEdges) -> KnownEdges {
        if Instant::now() >= self.until {
            self.remembered.clear();
        }
        self.remembered.retain(|(edge, _)| heard.iter().all(|(other, _)| other != edge));
        let edges: KnownEdges = heard.iter().chain(&self.remembered).cloned().collect();
        self.keep(&edges);
        edges
    }

    /// Edges that are remembered; nothing is written.
    pub(super) fn remembered(&self) -> KnownEdges {
        self.remembered.as_slice().into()
    }

    /// Returns when those that were not heard of are forgotten.
    pub(super) async fn fades(&self) {
        match self.remembered.is_empty() {
            true => std::future::pending().await,
            false => tokio::time::sleep_until(self.until).await,
        }
    }

    fn keep(&mut self, edges: &KnownEdges) {
        if self.kept == *edges {
            return;
        }
        let content: Vec<(&str, &Announcement)> =
            edges.iter().map(|(edge, announcement)| (edge.as_str(), &**announcement)).collect();
        if self.file.write(&content) {
            self.kept = edges.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(name: &str, sequence: u64) -> (String, Arc<Announcement>) {
        (name.to_owned(), Arc::new(Announcement { sequence, ..Announcement::default() }))
    }

    #[tokio::test(start_paused = true)]
    async fn edges_of_before_are_known_until_it_is_clear_that_they_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let both: KnownEdges = [edge("b", 1), edge("c", 1)].into();
        assert_eq!(Memory::open(folder.path()).with(&both), both);

        let mut again = Memory::open(folder.path());
        assert_eq!(again.with(&KnownEdges::default()), both);
        let newer: KnownEdges = [edge("c", 2)].into();
        assert_eq!(*again.with(&newer), [edge("c", 2), edge("b", 1)]);
        again.fades().await;
        assert_eq!(again.with(&newer), newer);
    }

    #[tokio::test]
    async fn a_damaged_file_is_as_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "[[1").unwrap();
        assert_eq!(*Memory::open(folder.path()).with(&KnownEdges::default()), []);
        let aside = std::fs::read_to_string(folder.path().join("known-edges.refused"));
        assert_eq!((aside.unwrap(), folder.path().join(FILE).exists()), ("[[1".to_owned(), false));
    }
}
