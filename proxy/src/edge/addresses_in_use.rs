//! Addresses of `importAddresses` that somebody has already: what is sent there over this gateway would reach an edge or nobody, in place of those.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::config::EdgeConfig;
use super::labels::IMPORTED_LABEL;

/// The addresses and routes of IPv4 of this machine, as the kernel shows them.
const ROUTES: &str = "/proc/net/fib_trie";
/// Its addresses of IPv6: 32 digits each, and more about it.
const ADDRESSES_V6: &str = "/proc/net/if_inet6";
/// After an address of the machine's own.
const OWN_ADDRESS: &str = "/32 host LOCAL";

/// Those of the machine's interfaces; none where the kernel does not say.
pub(super) fn own_addresses() -> BTreeSet<IpAddr> {
    let [routes, addresses] = [ROUTES, ADDRESSES_V6].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    addresses_v4(&routes).chain(addresses_v6(&addresses)).collect()
}

fn addresses_v4(routes: &str) -> impl Iterator<Item = IpAddr> {
    let lines = routes.lines().map(str::trim);
    let next = lines.clone().skip(1);
    let own = lines.zip(next).filter(|(_, next)| *next == OWN_ADDRESS);
    own.filter_map(|(line, _)| line.strip_prefix("|-- ")?.parse().ok().map(Ipv4Addr::into))
}

fn addresses_v6(addresses: &str) -> impl Iterator<Item = IpAddr> {
    let digits = addresses.lines().filter_map(|line| line.split(' ').next());
    digits.filter_map(|digits| u128::from_str_radix(digits, 16).ok()).map(|bits| Ipv6Addr::from_bits(bits).into())
}

/// Who has addresses of the range, if anybody has; in words.
pub(super) fn in_use(
    config: &EdgeConfig,
    services: &[xds_local::Service],
    own_addresses: &BTreeSet<IpAddr>,
) -> Option<String> {
    let range = config.import_addresses;
    let own = own_addresses.iter().filter(|address| range.holds(**address));
    // Clients of the mesh find edges at addresses of this machine.
    let own = own.filter(|_| config.terminate.is_none()).map(|address| format!("{address} of this machine"));
    let others = services.iter().filter(|service| !service.labels.contains_key(IMPORTED_LABEL));
    let others = others.filter_map(|service| {
        let address = service.addresses.iter().find(|address: &&IpAddr| range.holds(**address))?;
        Some(format!("{address} of {}", service.host))
    });
    let all: Vec<_> = own.chain(others).collect();
    (!all.is_empty()).then(|| format!("{range} holds addresses that are in use: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::config::EdgeConfig;
    use super::*;

    const ROUTES: &str = "Local:
  +-- 0.0.0.0/0 2 0 2
     +-- 10.0.0.0/24 2 0 2
        |-- 10.98.0.0
           /24 link UNICAST
        |-- 10.98.0.4
           /32 host LOCAL
        |-- 10.98.0.255
           /32 link BROADCAST
     |-- 10.99.0.0
        /16 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
";

    #[test]
    fn addresses_of_both_families_are_known() {
        let addresses = "20010db8000000000000000000000007 02 40 00 80     eth0\n\
                         00000000000000000000000000000001 01 80 10 80       lo\n";
        let expected = ["2001:db8::7", "::1"].map(|address| address.parse::<IpAddr>().unwrap());
        assert_eq!(addresses_v6(addresses).collect::<Vec<_>>(), expected);
        assert!(own_addresses().contains(&IpAddr::from([127, 0, 0, 1])));
    }

    fn service(host: &str, address: &str) -> xds_local::Service {
        xds_local::Service {
            host: host.to_owned(),
            name: host.to_owned(),
            namespace: "shop".to_owned(),
            is_kubernetes: false,
            labels: [].into(),
            ports: Vec::new(),
            datagrams: Vec::new(),
            addresses: [address.parse().unwrap()].into(),
            has_endpoints: true,
        }
    }

    #[test]
    fn both_sides_of_an_overlap_are_named() {
        let own = addresses_v4(ROUTES).collect::<BTreeSet<_>>();
        assert_eq!(own, ["10.98.0.4", "127.0.0.1"].map(|address| address.parse().unwrap()).into());
        let config = |text: &str| EdgeConfig::parse(text).unwrap();
        let services = [service("ledger.example", "10.98.7.1"), service("far.example", "192.0.2.1")];
        let overlapping = config("importAddresses: 10.98.0.0/16");
        let expected =
            "10.98.0.0/16 holds addresses that are in use: 10.98.0.4 of this machine, 10.98.7.1 of ledger.example";
        assert_eq!(in_use(&overlapping, &services, &own).unwrap(), expected);
        assert_eq!(in_use(&config(""), &services, &own), None);

        // What was imported is there, and addresses of the machine are how others reach it.
        let terminating = config("importAddresses: 10.98.0.0/16\nterminate: {}");
        let mut imported = service("ledger.example", "10.98.7.1");
        imported.labels.insert(IMPORTED_LABEL.to_owned(), "true".to_owned());
        assert_eq!(in_use(&terminating, &[imported], &own), None);
    }
}
