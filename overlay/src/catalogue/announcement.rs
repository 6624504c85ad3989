//! What an edge says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::identity::is_label;

/// The most services of one edge, ports of one service and labels of one service.
const MOST_SERVICES: usize = 10_000;
const MOST_PORTS: usize = 64;
const MOST_LABELS: usize = 64;
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
    /// What it offers.
    pub services: Vec<Service>,
}

/// A service that others may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
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

    fn check(&self) -> Result<(), AnnouncementError> {
        let field =
            |field: String, value: &str, problem| AnnouncementError::Field { field, value: value.into(), problem };
        if self.services.len() > MOST_SERVICES {
            return Err(field("services".into(), &self.services.len().to_string(), "are too many"));
        }
        if self.locality.len() > LONGEST {
            return Err(field("locality".into(), &self.locality, "is too long"));
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

impl Service {
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

    fn service() -> Service {
        let port = Port { number: 80, name: "http".into(), protocol: Protocol::Http };
        let labels = BTreeMap::from([("app".into(), "ratings".into())]);
        Service {
            host: "ratings.shop.global".into(),
            namespace: "shop".into(),
            ports: vec![port],
            labels,
            weight: 1,
            healthy: true,
        }
    }

    fn announcement(service: Service) -> Announcement {
        Announcement { epoch: 1, sequence: 2, locality: "r1/z1".into(), services: vec![service] }
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
        let changed = |change: &dyn Fn(&mut Service)| {
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
        let elsewhere = Service { namespace: "other".into(), ..service() };
        let twice = Announcement { services: vec![service(), elsewhere], ..Announcement::default() };
        assert!(Announcement::parse(&twice.to_bytes()).unwrap_err().to_string().contains("is there twice"));
        assert!(matches!(Announcement::parse(b"{"), Err(AnnouncementError::Unreadable(_))));
    }
}
