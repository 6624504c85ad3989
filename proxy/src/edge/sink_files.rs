//! Imports as files: a ServiceEntry for each service, in the folder that the gateway reads.

use std::io;
use std::path::{Path, PathBuf};

use overlay::folder::replace_file;
use serde_json::{Value, json};

use super::import::Import;
use super::istio::{self, EntryPort};
use super::labels::IMPORTED_LABEL;

/// The file.
const FILE: &str = "selvedge-imports.yaml";

/// The file in a folder.
#[derive(Debug)]
pub(super) struct FileSink {
    path: PathBuf,
    /// What was written last.
    written: Option<String>,
}

impl FileSink {
    /// In a folder. What is there from an earlier time stays until the first [`Self::put`].
    pub(super) fn new(folder: &Path) -> Self {
        let path = folder.join(FILE);
        Self { written: std::fs::read_to_string(&path).ok(), path }
    }

    /// Looks what it says now: another process wrote it until now.
    pub(super) fn look_again(&mut self) {
        self.written = std::fs::read_to_string(&self.path).ok();
    }

    /// Makes the file say this.
    ///
    /// # Errors
    /// The disk is full, or the folder is gone. What was there before is there still.
    pub(super) fn put(&mut self, imports: &[Import]) -> io::Result<()> {
        let text = text(imports);
        if self.written.as_ref() != Some(&text) {
            replace_file(&self.path, text.as_bytes())?;
            self.written = Some(text);
        }
        Ok(())
    }

    /// Which file it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn text(imports: &[Import]) -> String {
    let mut text = "# Written by Selvedge: services of other edges. Changes are lost.\n".to_owned();
    for import in imports {
        // A value that was just made can be written.
        let entry = yaml_serde::to_string(&service_entry(import)).unwrap_or_default();
        text.push_str("---\n");
        text.push_str(&entry);
    }
    text
}

fn service_entry(import: &Import) -> Value {
    let ports: Vec<_> = import.ports.iter().map(|(port, target)| EntryPort::of(port, *target)).collect();
    let endpoints = import.endpoints.iter().map(istio::endpoint).collect();
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {
            // Different for each host, and for whatever else the folder has.
            "name": format!("selvedge-imports.{}", import.host),
            "namespace": import.namespace,
            "labels": { IMPORTED_LABEL: "true" },
        },
        "spec": istio::entry(&import.host, &ports, endpoints),
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use overlay::catalogue::{Port, Protocol};
    use xds_local::{LocalControlPlane, Options};

    use super::super::import::ImportedEndpoint;
    use super::*;

    fn import() -> Import {
        let endpoint = |edge: &str, last: u8| ImportedEndpoint {
            edge: edge.to_owned(),
            address: Ipv4Addr::new(127, 0, 2, last),
            locality: format!("eu/{edge}"),
            weight: 2,
        };
        let port = Port { number: 80, name: "http".to_owned(), protocol: Protocol::Http };
        Import {
            host: "ratings.shop.global".to_owned(),
            namespace: "shop".to_owned(),
            ports: vec![(port, 20_001)],
            endpoints: vec![endpoint("b", 1), endpoint("c", 2)],
            merges_with_local: false,
        }
    }

    #[test]
    fn what_is_written_is_a_service_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = FileSink::new(folder.path());
        sink.put(&[import()]).unwrap();
        let loaded = LocalControlPlane::new(folder.path(), Options::default()).load().unwrap();
        let service = &loaded.services[0];
        assert_eq!((service.host.as_str(), service.namespace.as_str()), ("ratings.shop.global", "shop"));
        assert!(service.has_endpoints && service.labels.contains_key(IMPORTED_LABEL));

        sink.put(&[]).unwrap();
        let loaded = LocalControlPlane::new(folder.path(), Options::default()).load().unwrap();
        assert_eq!(loaded.services, []);
    }

    #[test]
    fn a_file_that_says_so_already_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        FileSink::new(folder.path()).put(&[import()]).unwrap();
        let mut again = FileSink::new(folder.path());
        let before = std::fs::metadata(again.path()).unwrap().modified().unwrap();
        again.put(&[import()]).unwrap();
        assert_eq!(std::fs::metadata(again.path()).unwrap().modified().unwrap(), before);
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert!(again.put(&[]).is_err(), "the folder is gone");
    }
}
