//! Which address stands for which edge, and which port for which service: the same for as long as the edge keeps its folder, so that a change
//! of one import does not move the others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use overlay::folder::replace_file;
use serde::{Deserialize, Serialize};

use super::config::AddressRange;

/// Ports that are given, below those from which the kernel takes any (32768).
const PORTS: std::ops::Range<u16> = 20_000..32_768;

/// The addresses and ports that were given.
#[derive(Debug)]
pub(super) struct Addresses {
    path: PathBuf,
    range: AddressRange,
    given: Given,
    taken_ports: BTreeSet<u16>,
    is_saved: bool,
}

/// As it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Given {
    edges: BTreeMap<String, Ipv4Addr>,
    /// By `host:port`.
    services: BTreeMap<String, u16>,
}

impl Addresses {
    /// Those that a file holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn open(path: &Path, range: AddressRange) -> io::Result<Self> {
        let mut given: Given = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Given::default(),
            Err(error) => return Err(error),
        };
        // Of another range, which the configuration named before.
        given.edges.retain(|_, address| range.contains(*address));
        let taken_ports = given.services.values().copied().collect();
        Ok(Self { path: path.to_owned(), range, given, taken_ports, is_saved: true })
    }

    /// The address that stands for an edge; `None` if there are no more.
    pub(super) fn of_edge(&mut self, edge: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.given.edges.get(edge) {
            return Some(*address);
        }
        let taken: BTreeSet<Ipv4Addr> = self.given.edges.values().copied().collect();
        let free = (0..self.range.size()).filter_map(|number| self.range.address(number));
        let address = free.into_iter().find(|address| !taken.contains(address))?;
        self.given.edges.insert(edge.to_owned(), address);
        self.is_saved = false;
        Some(address)
    }

    /// The port that stands for a port of a service; `None` if there are no more.
    pub(super) fn of_service(&mut self, host: &str, port: u16) -> Option<u16> {
        let key = format!("{host}:{port}");
        if let Some(given) = self.given.services.get(&key) {
            return Some(*given);
        }
        if self.taken_ports.len() >= PORTS.len() {
            return None;
        }
        let given = PORTS.into_iter().find(|port| !self.taken_ports.contains(port))?;
        self.taken_ports.insert(given);
        self.given.services.insert(key, given);
        self.is_saved = false;
        Some(given)
    }

    /// Writes what was given since it was read.
    ///
    /// # Errors
    /// The disk is full, or the folder is gone.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if !self.is_saved {
            replace_file(&self.path, &serde_json::to_vec_pretty(&self.given)?)?;
            self.is_saved = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        AddressRange::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn what_was_given_stays_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let mut addresses = Addresses::open(&path, range("127.0.2.0/24")).unwrap();
        let first = (addresses.of_edge("b"), addresses.of_edge("c"), addresses.of_service("x.global", 80));
        assert_ne!(first.0, first.1);
        addresses.save().unwrap();
        let mut again = Addresses::open(&path, range("127.0.2.0/24")).unwrap();
        assert_eq!((again.of_edge("b"), again.of_edge("c"), again.of_service("x.global", 80)), first);
        assert_ne!(again.of_service("x.global", 81), first.2);
        let mut other = Addresses::open(&path, range("127.0.3.0/24")).unwrap();
        assert_eq!(other.of_edge("b"), Some(Ipv4Addr::new(127, 0, 3, 1)));
    }

    #[test]
    fn an_end_of_addresses_and_a_damaged_file_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let mut addresses = Addresses::open(&path, range("127.0.2.0/30")).unwrap();
        assert!(addresses.of_edge("b").is_some() && addresses.of_edge("c").is_some());
        assert_eq!(addresses.of_edge("d"), None);
        std::fs::write(&path, "{").unwrap();
        assert!(Addresses::open(&path, range("127.0.2.0/30")).is_err());
    }
}
