//! Imports as files: a ServiceEntry for each service, in the folder that the gateway reads.

use std::io;
use std::path::{Path, PathBuf};

use overlay::folder::replace_file;
use serde_json::{Value, json};

use super::file_watch::FileWatch;
use super::import::Import;
use super::istio::{self, EntryPort};
use super::labels::IMPORTED_LABEL;

/// The file.
pub(crate) const IMPORTS: &str = "selvedge-imports.yaml";

/// The file in a folder.
#[derive(Debug)]
pub(super) struct FileSink {
    path: PathBuf,
    watch: FileWatch,
}

impl FileSink {
    /// In a folder. What is there from an earlier time stays until the first [`Self::put`].
    pub(super) fn new(folder: &Path) -> Self {
        let path = folder.join(IMPORTS);
        Self { watch: FileWatch::new(&path), path }
    }

    /// Makes the file say this.
    ///
    /// # Errors
    /// The disk is full, or the folder is gone. What was there before is there still.
    pub(super) fn put(&mut self, imports: &[Import]) -> io::Result<()> {
        let text = text(imports);
        let is_written = std::fs::read(&self.path).is_ok_and(|written| written == text.as_bytes());
        // That of an earlier time may have been set aside.
        if !is_written {
            replace_file(&self.path, text.as_bytes())?;
        }
        self.watch.left_as(text.as_bytes());
        Ok(())
    }

    /// Returns when somebody else has written it since [`Self::put`]. It is to be put again.
    pub(super) async fn spoilt(&mut self) {
        self.watch.changed().await;
    }

    /// Which file it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// JSON, which is YAML: other edges choose much of it, and no text of theirs may become a number or anything else.
fn text(imports: &[Import]) -> String {
    let mut text = "# Written by Selvedge: services of other edges. Changes are lost.\n".to_owned();
    for import in imports {
        text.push_str(&format!("---\n{:#}\n", service_entry(import)));
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
    fn no_name_or_locality_of_another_edge_makes_the_folder_unreadable() {
        let loads = |namespace: &str, locality: &str| {
            let folder = tempfile::tempdir().unwrap();
            let mut import = import();
            import.host = format!("{namespace}.global");
            import.namespace = namespace.to_owned();
            import.endpoints.iter_mut().for_each(|endpoint| endpoint.locality = locality.to_owned());
            FileSink::new(folder.path()).put(&[import]).unwrap();
            let loaded = LocalControlPlane::new(folder.path(), Options::default()).load();
            let service = loaded.map(|loaded| loaded.services.first().map(|service| service.namespace.clone()));
            assert_eq!(service, Ok(Some(namespace.to_owned())), "{locality:?}");
        };
        for name in ["1e400", "1e5", "0x1f", "0o17", "12", "null", "true", "yes", "2026-01-01"] {
            loads(name, name);
        }
        let controls = (0..=0x20).chain([0x7f, 0x85, 0xa0, 0x2028, 0xfeff]).filter_map(char::from_u32);
        for control in controls {
            loads("shop", &format!("eu{control}/b"));
        }
        for text in ["-1e400", ".inf", "~", "- a", "#", "a: b", "\"'\\", "---", "&a", "*a", "!!map", "\u{1f600}"] {
            loads("shop", text);
        }
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
