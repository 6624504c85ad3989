//! Which addresses are dialled for other edges: where those say that they are, they may be mistaken, or lie.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio::net::lookup_host;

/// Addresses that may be dialled to reach other edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayDial {
    /// Those of other machines: neither loopback nor link-local, none of this machine, and none of these hubs, each `host:port`.
    OtherMachines {
        /// Whoever dials has links to them already.
        hubs: Vec<String>,
        /// The addresses of this machine.
        own: BTreeSet<IpAddr>,
    },
    /// Those in one of these ranges, and no others.
    Within(Vec<IpNet>),
}

impl MayDial {
    /// The addresses of the hubs, as far as they can be found: an edge that no hub can be found for dials others all the same.
    pub(super) async fn hub_addresses(&self) -> Vec<SocketAddr> {
        let Self::OtherMachines { hubs, .. } = self else { return Vec::new() };
        let mut addresses = Vec::new();
        for hub in hubs {
            addresses.extend(lookup_host(hub).await.into_iter().flatten().map(canonical));
        }
        addresses
    }

    /// Whether an address may be dialled. A name is looked up before: what it stands for counts.
    pub(super) fn permits(&self, address: SocketAddr, hubs: &[SocketAddr]) -> bool {
        let is_hub = hubs.contains(&canonical(address));
        let address = canonical(address).ip();
        let is_one = match address {
            IpAddr::V4(address) => !address.is_broadcast(),
            IpAddr::V6(_) => true,
        };
        // The kernel takes the unspecified address for the one of loopback.
        if !is_one || address.is_unspecified() || address.is_multicast() {
            return false;
        }
        match self {
            Self::OtherMachines { own, .. } => {
                !address.is_loopback() && !is_link_local(address) && !own.contains(&address) && !is_hub
            }
            Self::Within(ranges) => ranges.iter().any(|range| range.contains(&address)),
        }
    }
}

/// The kernel dials the IPv4 address that is in one of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(may_dial: &MayDial, hubs: &[SocketAddr], addresses: &[&str]) -> Vec<bool> {
        addresses.iter().map(|address| may_dial.permits(address.parse().unwrap(), hubs)).collect()
    }

    #[tokio::test]
    async fn other_machines_are_dialled_that_are_no_hubs() {
        let own = ["198.51.100.7", "2001:db8::7"].map(|address| address.parse().unwrap()).into();
        let may_dial = MayDial::OtherMachines { hubs: vec!["192.0.2.1:7443".into(), "no address".into()], own };
        let hubs = may_dial.hub_addresses().await;
        assert_eq!(hubs, [SocketAddr::from(([192, 0, 2, 1], 7443))]);
        // An edge may be beside a hub.
        let good = ["10.0.0.1:1", "192.0.2.2:7443", "192.0.2.1:7444", "[2001:db8::1]:1", "[fd00::1]:1"];
        assert_eq!(permitted(&may_dial, &hubs, &good), [true; 5]);
        let bad = [
            "127.0.0.1:1",
            "127.8.0.1:1",
            "169.254.169.254:80",
            "192.0.2.1:7443",
            "[::1]:1",
            "[fe80::1]:1",
            "[::ffff:127.0.0.1]:1",
            "[::ffff:192.0.2.1]:7443",
            "0.0.0.0:1",
            "[::]:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "198.51.100.7:15000",
            "[::ffff:198.51.100.7]:1",
            "[2001:db8::7]:1",
        ];
        assert_eq!(permitted(&may_dial, &hubs, &bad), [false; 15]);
    }

    #[test]
    fn what_the_operator_names_is_dialled_and_nothing_else() {
        let may_dial = MayDial::Within(["127.0.0.0/8", "2001:db8::/32"].map(|range| range.parse().unwrap()).to_vec());
        assert_eq!(permitted(&may_dial, &[], &["127.0.0.1:1", "[2001:db8::1]:1", "[::ffff:127.0.0.1]:1"]), [true; 3]);
        assert_eq!(permitted(&may_dial, &[], &["10.0.0.1:1", "[::1]:1", "[2001:db9::1]:1"]), [false; 3]);
        let everything = MayDial::Within(["0.0.0.0/0", "::/0"].map(|range| range.parse().unwrap()).to_vec());
        assert_eq!(permitted(&everything, &[], &["169.254.0.1:1", "0.0.0.0:1", "[::]:1"]), [true, false, false]);
    }
}
