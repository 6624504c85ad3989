//! What an edge says of itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::identity::is_label;

/// The most services of one edge, ports of one service and labels of one service.
const MOST_SERVICES: usize = 10_000;
const MOST_PORTS: usize = 64;
const MOST_LABELS: usize = 64;
/// The most addresses at which an edge can be dialled.
const MOST_ADDRESSES: usize = 8;
/// The longest label and host, bytes (Kubernetes' and DNS' own bounds are below).
const LONGEST: usize = 253;

/// What an edge announces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Grows with every start of the edge.
    pub epoch: u64,
    /// Grows with every change.
    pub sequence: u64,
    /// Where it is: region, zone and sub-zone with `/` between them, as Istio writes it; may be empty.
    #[serde(default)]
    pub locality: String,
    /// Where other edges can dial it, as `host:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// What it offers.
    pub services: Vec<OfferedService>,
}

/// A service that others may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedService {
    /// Its name everywhere.
    pub host: String,
    /// Its namespace on the edge.
    pub namespace: String,
    /// Its ports.
    pub ports: Vec<Port>,
    /// For selection.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How much of the load it wants, beside that of other edges.
    #[serde(default = "one")]
    pub weight: u32,
    /// Whether anybody is there to answer.
    #[serde(default = "yes")]
    pub healthy: bool,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its number, by which others call it.
    pub number: u16,
    /// Its name, such as `http`.
    pub name: String,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// What is spoken on a port, in Istio's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// HTTP/1.1, or HTTP/2 if the client begins with it.
    Http,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
    /// Bytes.
    Tcp,
    /// TLS that is not ours to end.
    Tls,
    /// Packets.
    Udp,
}

/// An announcement that is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnnouncementError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A field is not what it should be.
    #[error("{field}: {value:?} {problem}")]
    Field {
        /// Which one.
        field: String,
        /// What it holds.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

impl Announcement {
    /// As bytes, to be signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Of bytes that another edge has signed.
    ///
    /// # Errors
    /// It cannot be read, or says what cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnnouncementError> {
        let announcement: Self =
            serde_json::from_slice(bytes).map_err(|error| AnnouncementError::Unreadable(error.to_string()))?;
        announcement.check()?;
        Ok(announcement)
    }

    /// Without what takes much memory: of services no more than their hosts.
    pub(super) fn hosts_only(self) -> Self {
        let host = |service: OfferedService| OfferedService {
            namespace: String::new(),
            ports: Vec::new(),
            labels: BTreeMap::new(),
            ..service
        };
        let mut services: Vec<_> = self.services.into_iter().map(host).collect();
        services.shrink_to_fit();
        Self { services, ..self }
    }

    fn check(&self) -> Result<(), AnnouncementError> {
        let field =
            |field: String, value: &str, problem| AnnouncementError::Field { field, value: value.into(), problem };
        if self.services.len() > MOST_SERVICES {
            return Err(field("services".into(), &self.services.len().to_string(), "are too many"));
        }
        if self.locality.len() > LONGEST {
            return Err(field("locality".into(), &self.locality, "is too long"));
        }
        if self.addresses.len() > MOST_ADDRESSES {
            return Err(field("addresses".into(), &self.addresses.len().to_string(), "are too many"));
        }
        for (at, address) in self.addresses.iter().enumerate() {
            check_address(address).map_err(|problem| field(format!("addresses[{at}]"), address, problem))?;
        }
        let mut hosts = std::collections::HashSet::new();
        for (at, service) in self.services.iter().enumerate() {
            service
                .find_problem()
                .map_err(|(name, value, problem)| field(format!("services[{at}].{name}"), &value, problem))?;
            // In another namespace as well: an edge would be an endpoint of it for each.
            if !hosts.insert(&service.host) {
                return Err(field(format!("services[{at}].host"), &service.host, "is there twice"));
            }
        }
        Ok(())
    }
}

/// Whether other edges could dial an address.
///
/// # Errors
/// What is wrong with it.
pub fn check_address(address: &str) -> Result<(), &'static str> {
    if let Ok(address) = address.parse::<SocketAddr>() {
        let can_be_dialled = address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast();
        return if can_be_dialled { Ok(()) } else { Err("is no address that can be dialled") };
    }
    let Some((host, port)) = address.rsplit_once(':') else { return Err("is not host:port") };
    let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
    if !is_port || host.len() > LONGEST || !host.split('.').all(is_label) {
        return Err("is not host:port");
    }
    Ok(())
}

impl OfferedService {
    /// Whether other edges would believe it.
    ///
    /// # Errors
    /// The first field that is not what it should be.
    pub fn check(&self) -> Result<(), AnnouncementError> {
        self.find_problem().map_err(|(field, value, problem)| AnnouncementError::Field { field, value, problem })
    }

    fn find_problem(&self) -> Result<(), (String, String, &'static str)> {
        let wrong = |field: &str, value: &str, problem| Err((field.to_owned(), value.to_owned(), problem));
        // Each part is a label of DNS (RFC 1035); what is not would become part of configuration.
        if self.host.len() > LONGEST || !self.host.split('.').all(is_label) {
            return wrong("host", &self.host, "is no host name");
        }
        if !is_label(&self.namespace) {
            return wrong("namespace", &self.namespace, "is no namespace");
        }
        if self.ports.is_empty() || self.ports.len() > MOST_PORTS {
            return wrong("ports", &self.ports.len().to_string(), "are too few or too many");
        }
        for (at, port) in self.ports.iter().enumerate() {
            // One number may have TCP and UDP, as that of DNS.
            let is_same = |other: &Port| {
                other.name == port.name
                    || other.number == port.number
                        && (other.protocol == Protocol::Udp) == (port.protocol == Protocol::Udp)
            };
            if port.number == 0 || self.ports[..at].iter().any(is_same) {
                return wrong("ports", &port.number.to_string(), "is 0 or there twice");
            }
            if !is_label(&port.name) {
                return wrong("ports", &port.name, "is no name of a port");
            }
        }
        if self.labels.len() > MOST_LABELS
            || self.labels.iter().any(|(key, value)| key.len() > LONGEST || value.len() > LONGEST)
        {
            return wrong("labels", &self.labels.len().to_string(), "are too many or too long");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> OfferedService {
        let port = Port { number: 80, name: "http".into(), protocol: Protocol::Http };
        let labels = BTreeMap::from([("app".into(), "ratings".into())]);
        OfferedService {
            host: "ratings.shop.global".into(),
            namespace: "shop".into(),
            ports: vec![port],
            labels,
            weight: 1,
            healthy: true,
        }
    }

    fn announcement(service: OfferedService) -> Announcement {
        Announcement {
            epoch: 1,
            sequence: 2,
            locality: "r1/z1".into(),
            services: vec![service],
            ..Announcement::default()
        }
    }

    #[test]
    fn an_announcement_is_read_as_it_was_written() {
        let announcement = announcement(service());
        assert_eq!(Announcement::parse(&announcement.to_bytes()), Ok(announcement.clone()));
        let mut announcement = announcement;
        announcement.services[0].ports.push(Port { number: 80, name: "quic".into(), protocol: Protocol::Udp });
        assert_eq!(Announcement::parse(&announcement.to_bytes()), Ok(announcement));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let changed = |change: &dyn Fn(&mut OfferedService)| {
            let mut service = service();
            change(&mut service);
            Announcement::parse(&announcement(service).to_bytes()).unwrap_err().to_string()
        };
        assert_eq!(changed(&|service| service.host = "a b".into()), "services[0].host: \"a b\" is no host name");
        assert_eq!(changed(&|service| service.host = "a..b".into()), "services[0].host: \"a..b\" is no host name");
        assert_eq!(changed(&|service| service.namespace = "A".into()), "services[0].namespace: \"A\" is no namespace");
        // In a cluster it would be refused with the ServiceEntry of all edges that have the service.
        assert_eq!(
            changed(&|service| service.namespace = "a.b".into()),
            "services[0].namespace: \"a.b\" is no namespace"
        );
        assert_eq!(
            changed(&|service| service.ports[0].name = "a.b".into()),
            "services[0].ports: \"a.b\" is no name of a port"
        );
        assert_eq!(changed(&|service| service.ports.clear()), "services[0].ports: \"0\" are too few or too many");
        assert_eq!(changed(&|service| service.ports[0].number = 0), "services[0].ports: \"0\" is 0 or there twice");
        let also = |number, name: &str, protocol| {
            changed(&|service| service.ports.push(Port { number, name: name.into(), protocol }))
        };
        assert_eq!(also(80, "again", Protocol::Tcp), "services[0].ports: \"80\" is 0 or there twice");
        assert_eq!(also(81, "http", Protocol::Udp), "services[0].ports: \"81\" is 0 or there twice");
        let elsewhere = OfferedService { namespace: "other".into(), ..service() };
        let twice = Announcement { services: vec![service(), elsewhere], ..Announcement::default() };
        assert!(Announcement::parse(&twice.to_bytes()).unwrap_err().to_string().contains("is there twice"));
        assert!(matches!(Announcement::parse(b"{"), Err(AnnouncementError::Unreadable(_))));
        let at = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
            Announcement::parse(&Announcement { addresses, ..Announcement::default() }.to_bytes())
        };
        assert!(at(&["203.0.113.7:7444", "[2001:db8::7]:7444", "edge-b.example.com:7444"]).is_ok());
        for wrong in ["edge-b", "edge-b:0", "a b:1", "0.0.0.0:7444", "[::]:7444", "224.0.0.1:1", ":1", "a:70000"] {
            let problem = at(&["a:1", wrong]).unwrap_err().to_string();
            assert!(problem.starts_with(&format!("addresses[1]: {wrong:?} is no")), "{problem}");
        }
        assert_eq!(at(&["a:1"; 9]).unwrap_err().to_string(), "addresses: \"9\" are too many");
    }
}
