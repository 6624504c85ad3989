//! Which address stands for which edge, and which port for which service: the same for as long as the edge keeps its folder, so that a change
//! of one import does not move the others. What nobody wants for long is given to others. With them is kept what services were at first (`forms.rs`).

mod numbers;

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use overlay::folder::replace_file;
use serde::{Deserialize, Serialize};

use self::numbers::{Given as GivenNumber, Numbers, Wanted};
use super::address_range::AddressRange;
use super::forms::Forms;
use super::known_file::read_or_set_aside;

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
    forms: Forms,
    is_saved: bool,
}

/// Who needs an address or a port.
#[derive(Debug, Default)]
pub(super) struct Needs<'a> {
    edges: Wanted<'a>,
    /// Each with the first edge that offers it.
    services: Wanted<'a>,
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
    /// The edges that have offered them.
    #[serde(default)]
    owners: BTreeMap<String, String>,
    #[serde(default)]
    forms: Forms,
}

impl<'a> Needs<'a> {
    /// Of an edge.
    pub(super) fn edge(&mut self, edge: &'a str) {
        self.edges.insert(edge.to_owned(), edge);
    }

    /// Of a port of a service, which an edge offers.
    pub(super) fn service(&mut self, host: &str, port: u16, edge: &'a str) {
        self.services.entry(service_name(host, port)).or_insert(edge);
    }
}

impl Addresses {
    /// Those that a file holds. One that is damaged is moved out of the way, and all of them are given anew.
    ///
    /// # Errors
    /// It cannot be read, or not moved.
    pub(super) fn open(path: &Path, range: AddressRange) -> io::Result<Self> {
        let is_there = path.try_exists()?;
        let given: Option<Given> = read_or_set_aside(path)?;
        let is_lost = is_there && given.is_none();
        let Given { edges, services, unused_edges, unused_services, mut owners, forms } = given.unwrap_or_default();
        // What is of another range, which the configuration named before, is forgotten.
        let edges = edges.into_iter().filter_map(|(edge, address)| {
            let (number, unused) = (range.number(address)?, unused_edges.get(&edge).copied());
            Some((edge.clone(), GivenNumber { number, owner: edge, unused }))
        });
        let services = services.into_iter().filter_map(|(name, port)| {
            let (owner, unused) = (owners.remove(&name).unwrap_or_default(), unused_services.get(&name).copied());
            Some((name, GivenNumber { number: u32::from(port.checked_sub(PORTS.start)?), owner, unused }))
        });
        let mut edges = Numbers::new(range.size(), edges.collect());
        let mut services = Numbers::new(u32::from(PORTS.end - PORTS.start), services.collect());
        if is_lost {
            // Whoever still has an address of before is to find nobody there, and not another edge or service.
            edges.begin_at(unix_now());
            services.begin_at(unix_now());
        }
        Ok(Self { path: path.to_owned(), range, edges, services, forms, is_saved: true })
    }

    /// Gives an address or port to whoever needs one and has none, as far as there are any. What nobody needs is unused, and given to others in the end.
    pub(super) fn give(&mut self, needs: &Needs<'_>) {
        let now = unix_now();
        let (edges, services) = (self.edges.give(&needs.edges, now), self.services.give(&needs.services, now));
        self.is_saved &= !edges && !services;
    }

    /// The address that stands for an edge, if it has one.
    pub(super) fn of_edge(&self, edge: &str) -> Option<Ipv4Addr> {
        self.range.address(self.edges.of(edge)?)
    }

    /// The port that stands for a port of a service, if it has one.
    pub(super) fn of_service(&self, host: &str, port: u16) -> Option<u16> {
        port_of(self.services.of(&service_name(host, port))?)
    }

    /// What services were until now.
    pub(super) fn forms(&self) -> &Forms {
        &self.forms
    }

    pub(super) fn set_forms(&mut self, forms: Forms) {
        self.is_saved &= self.forms == forms;
        self.forms = forms;
    }

    fn given(&self) -> Given {
        let mut given = Given { forms: self.forms.clone(), ..Given::default() };
        for (edge, one) in self.edges.given() {
            given.edges.extend(self.range.address(one.number).map(|address| (edge.clone(), address)));
            given.unused_edges.extend(one.unused.map(|since| (edge.clone(), since)));
        }
        for (name, one) in self.services.given() {
            given.services.extend(port_of(one.number).map(|port| (name.clone(), port)));
            given.unused_services.extend(one.unused.map(|since| (name.clone(), since)));
            given.owners.insert(name.clone(), one.owner.clone());
        }
        given
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

fn service_name(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

fn port_of(number: u32) -> Option<u16> {
    u16::try_from(number).ok()?.checked_add(PORTS.start)
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::super::forms::Form;
    use super::*;

    fn range(text: &str) -> AddressRange {
        AddressRange::try_from(text.to_owned()).unwrap()
    }

    fn give(addresses: &mut Addresses, edges: &[&str], services: &[(&str, u16)]) {
        let mut needs = Needs::default();
        edges.iter().for_each(|edge| needs.edge(edge));
        services.iter().for_each(|(host, port)| needs.service(host, *port, "b"));
        addresses.give(&needs);
    }

    #[test]
    fn what_was_given_stays_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let mut addresses = Addresses::open(&path, range("127.0.2.0/24")).unwrap();
        give(&mut addresses, &["b", "c"], &[("x.global", 80)]);
        let first = (addresses.of_edge("b"), addresses.of_edge("c"), addresses.of_service("x.global", 80));
        assert_ne!(first.0, first.1);
        let forms = Forms::from([("x.global".to_owned(), Form { namespace: "shop".to_owned(), ..Form::default() })]);
        addresses.set_forms(forms.clone());
        addresses.save().unwrap();
        let mut again = Addresses::open(&path, range("127.0.2.0/24")).unwrap();
        assert_eq!(again.forms(), &forms);
        give(&mut again, &["b", "c"], &[("x.global", 80), ("x.global", 81)]);
        assert_eq!((again.of_edge("b"), again.of_edge("c"), again.of_service("x.global", 80)), first);
        assert_ne!(again.of_service("x.global", 81), first.2);
        let mut other = Addresses::open(&path, range("127.0.3.0/24")).unwrap();
        give(&mut other, &["b"], &[]);
        assert_eq!(other.of_edge("b"), Some(Ipv4Addr::new(127, 0, 3, 1)));
    }

    #[test]
    fn what_is_not_wanted_any_more_is_written_down_and_free_a_week_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let mut addresses = Addresses::open(&path, range("127.0.2.0/24")).unwrap();
        give(&mut addresses, &["b"], &[("x.global", 80)]);
        let first = addresses.of_service("x.global", 80);
        give(&mut addresses, &["b"], &[]);
        addresses.save().unwrap();
        let mut given: Given = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((given.unused_edges.len(), given.unused_services.len()), (0, 1));
        assert_eq!(given.owners, [("x.global:80".to_owned(), "b".to_owned())].into());
        let week = 7 * 24 * 3600;
        given.unused_services.values_mut().for_each(|since| *since -= week);
        std::fs::write(&path, serde_json::to_vec(&given).unwrap()).unwrap();

        let mut again = Addresses::open(&path, range("127.0.2.0/24")).unwrap();
        give(&mut again, &["b"], &[]);
        again.save().unwrap();
        let left: Given = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((left.edges.len(), left.services.len()), (1, 0));
        give(&mut again, &["b"], &[("y.global", 80)]);
        assert_eq!(again.of_service("y.global", 80), first);
    }

    #[test]
    fn an_end_of_addresses_is_told_and_a_damaged_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        let mut addresses = Addresses::open(&path, range("127.0.2.0/30")).unwrap();
        give(&mut addresses, &["b", "c", "d"], &[]);
        assert!(addresses.of_edge("b").is_some() && addresses.of_edge("c").is_some());
        assert_eq!(addresses.of_edge("d"), None);
        std::fs::write(&path, "{").unwrap();
        let mut again = Addresses::open(&path, range("127.0.2.0/30")).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("addresses.refused")).unwrap(), "{");
        assert!(!path.exists());
        give(&mut again, &["b"], &[]);
        assert!(again.of_edge("b").is_some());
    }
}
