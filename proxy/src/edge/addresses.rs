//! Which address stands for which edge, and which port for which service: the same for as long as the edge keeps its folder, so that a change
//! of one import does not move the others. What nobody wants for long is given to others.

mod numbers;

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use overlay::folder::replace_file;
use serde::{Deserialize, Serialize};

use self::numbers::Numbers;
use super::config::AddressRange;

/// Ports that are given, below those from which the kernel takes any (32768).
const PORTS: std::ops::Range<u16> = 20_000..32_768;

/// The addresses and ports that were given.
#[derive(Debug)]
pub(super) struct Addresses {
    path: PathBuf,
    range: AddressRange,
    edges: Numbers,
    /// By `host:port`.
    services: Numbers,
    is_saved: bool,
}

/// As it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    edges: BTreeMap<String, Ipv4Addr>,
    services: BTreeMap<String, u16>,
    /// Since when nobody wants them, in seconds since 1970.
    #[serde(default)]
    unused_edges: BTreeMap<String, u64>,
    #[serde(default)]
    unused_services: BTreeMap<String, u64>,
}

impl Addresses {
    /// Those that a file holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn open(path: &Path, range: AddressRange) -> io::Result<Self> {
        let given: Given = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Given::default(),
            Err(error) => return Err(error),
        };
        // What is of another range, which the configuration named before, is forgotten.
        let numbered = |(edge, address): (String, Ipv4Addr)| Some((edge, range.number(address)?));
        let edges = given.edges.into_iter().filter_map(numbered).collect();
        let edges = Numbers::new(range.size(), edges, given.unused_edges);
        let numbered = |(service, port): (String, u16)| Some((service, u32::from(port.checked_sub(PORTS.start)?)));
        let services = given.services.into_iter().filter_map(numbered).collect();
        let services = Numbers::new(u32::from(PORTS.end - PORTS.start), services, given.unused_services);
        Ok(Self { path: path.to_owned(), range, edges, services, is_saved: true })
    }

    /// The address that stands for an edge; `None` if there are no more.
    pub(super) fn of_edge(&mut self, edge: &str) -> Option<Ipv4Addr> {
        let (number, is_new) = self.edges.of(edge, unix_now())?;
        self.is_saved &= !is_new;
        self.range.address(number)
    }

    /// The port that stands for a port of a service; `None` if there are no more.
    pub(super) fn of_service(&mut self, host: &str, port: u16) -> Option<u16> {
        let (number, is_new) = self.services.of(&format!("{host}:{port}"), unix_now())?;
        self.is_saved &= !is_new;
        port_of(number)
    }

    /// All that is wanted was asked for since the last time: the rest is unused, and given to others in the end.
    pub(super) fn settle(&mut self) {
        let now = unix_now();
        let (edges, services) = (self.edges.settle(now), self.services.settle(now));
        self.is_saved &= !edges && !services;
    }

    fn given(&self) -> Given {
        let edges = self.edges.given().filter_map(|(edge, number)| Some((edge.clone(), self.range.address(number)?)));
        let services = self.services.given().filter_map(|(name, number)| Some((name.clone(), port_of(number)?)));
        Given {
            edges: edges.collect(),
            services: services.collect(),
            unused_edges: self.edges.unused().clone(),
            unused_services: self.services.unused().clone(),
        }
    }

    /// Writes what was given since it was read.
    ///
    /// # Errors
    /// The disk is full, or the folder is gone.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if !self.is_saved {
            replace_file(&self.path, &serde_json::to_vec_pretty(&self.given())?)?;
            self.is_saved = true;
        }
        Ok(())
    }
}

fn port_of(number: u32) -> Option<u16> {
    u16::try_from(number).ok()?.checked_add(PORTS.start)
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
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
    fn what_is_not_wanted_any_more_is_written_down_and_free_a_week_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let mut addresses = Addresses::open(&path, range("127.0.2.0/24")).unwrap();
        let first = addresses.of_service("x.global", 80);
        addresses.of_edge("b");
        addresses.settle();
        addresses.settle();
        addresses.save().unwrap();
        let mut given: Given = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((given.unused_edges.len(), given.unused_services.len()), (1, 1));
        let week = 7 * 24 * 3600;
        given.unused_services.values_mut().for_each(|since| *since -= week);
        std::fs::write(&path, serde_json::to_vec(&given).unwrap()).unwrap();

        let mut again = Addresses::open(&path, range("127.0.2.0/24")).unwrap();
        again.settle();
        again.save().unwrap();
        let left: Given = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((left.edges.len(), left.services.len()), (1, 0));
        assert_eq!(again.of_service("y.global", 80), first);
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
