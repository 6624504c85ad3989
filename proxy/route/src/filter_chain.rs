//! Which filter chain takes a connection (`FilterChainMatch`).
//!
//! Envoy's order: destination port, destination address, server name, transport protocol, application protocols, source address. On
//! each level the most specific value that some chain has decides, and levels above are not tried again with a less specific one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::IpNet;
use smallvec::SmallVec;
use xds_model::listener::{FilterChainMatch, TransportProtocol};

use crate::request::with_lower_case;

/// What is known of a connection when its chain is chosen.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionFacts<'a> {
    /// Address the client connected to.
    pub destination: SocketAddr,
    /// Server name of the ClientHello.
    pub server_name: Option<&'a str>,
    /// What the first bytes are.
    pub transport: TransportProtocol,
    /// Protocols of the ClientHello's ALPN extension, in the client's order.
    pub application_protocols: &'a [Vec<u8>],
    /// Address of the client, from the PROXY protocol if there is one.
    pub source: IpAddr,
}

/// The chains of a listener, by their matches.
#[derive(Debug, Default)]
pub struct FilterChainTable {
    ports: HashMap<u16, Destinations>,
    any_port: Option<Destinations>,
    conditions: Vec<Conditions>,
}

/// Chains by destination address.
#[derive(Debug, Default)]
struct Destinations {
    /// Longest prefix first.
    ranges: Vec<(IpNet, ServerNames)>,
    any: Option<ServerNames>,
}

/// Chains by server name.
#[derive(Debug, Default)]
struct ServerNames {
    exact: HashMap<Box<str>, Candidates>,
    /// Without the asterisk, starting with the dot.
    wildcards: HashMap<Box<str>, Candidates>,
    any: Candidates,
}

/// Chains that differ only in the levels below the server name; nearly always one.
type Candidates = SmallVec<[u32; 4]>;

/// The levels below the server name.
#[derive(Debug)]
struct Conditions {
    transport: Option<TransportProtocol>,
    application_protocols: Arc<[String]>,
    sources: Box<[IpNet]>,
}

impl FilterChainTable {
    /// Compiles the matches of a listener's chains. The model has none that overlap.
    pub fn compile<'a>(matches: impl IntoIterator<Item = &'a FilterChainMatch>) -> Self {
        let mut table = Self::default();
        for (position, chain) in (0u32..).zip(matches) {
            table.insert(position, chain);
        }
        table
    }

    /// Position of the chain that takes the connection; `None` leaves it to the listener's default chain, if there is one.
    pub fn find(&self, facts: &ConnectionFacts<'_>) -> Option<usize> {
        let destinations = self.ports.get(&facts.destination.port()).or(self.any_port.as_ref())?;
        let names = destinations.find(facts.destination.ip().to_canonical())?;
        let candidates = names.find(facts.server_name.unwrap_or_default())?;
        self.select(candidates, facts)
    }

    fn insert(&mut self, position: u32, chain: &FilterChainMatch) {
        self.conditions.push(Conditions::new(chain, self.conditions.last()));
        let destinations = match chain.destination_port {
            Some(port) => self.ports.entry(port).or_default(),
            None => self.any_port.get_or_insert_default(),
        };
        for range in or_any(&chain.destination_ranges) {
            let names = destinations.entry(range.copied());
            for name in or_any(&chain.server_names) {
                let candidates = names.entry(name.map(String::as_str));
                if !candidates.contains(&position) {
                    candidates.push(position);
                }
            }
        }
    }

    fn select(&self, candidates: &Candidates, facts: &ConnectionFacts<'_>) -> Option<usize> {
        let chains =
            || candidates.iter().filter_map(|position| Some((*position, self.conditions.get(*position as usize)?)));
        let transport = chains().find_map(|(_, chain)| chain.transport.filter(|wanted| *wanted == facts.transport));
        let of_transport = || chains().filter(|(_, chain)| chain.transport == transport);
        let protocol = facts
            .application_protocols
            .iter()
            .find(|offered| of_transport().any(|(_, chain)| chain.takes_protocol(offered)));
        let of_protocol = of_transport().filter(|(_, chain)| match protocol {
            Some(protocol) => chain.takes_protocol(protocol),
            None => chain.application_protocols.is_empty(),
        });
        let source = facts.source.to_canonical();
        let of_source = of_protocol.filter_map(|(position, chain)| Some((chain.source_rank(source)?, position)));
        of_source.max_by_key(|(rank, _)| *rank).map(|(_, position)| position as usize)
    }
}

impl Destinations {
    fn entry(&mut self, range: Option<IpNet>) -> &mut ServerNames {
        let Some(range) = range.map(|range| range.trunc()) else {
            return self.any.get_or_insert_default();
        };
        let position = match self.ranges.iter().position(|(known, _)| *known == range) {
            Some(position) => position,
            None => {
                let position = self.ranges.partition_point(|(known, _)| known.prefix_len() >= range.prefix_len());
                self.ranges.insert(position, (range, ServerNames::default()));
                position
            }
        };
        &mut self.ranges[position].1
    }

    fn find(&self, address: IpAddr) -> Option<&ServerNames> {
        let range = self.ranges.iter().find(|(range, _)| range.contains(&address));
        range.map(|(_, names)| names).or(self.any.as_ref())
    }
}

impl ServerNames {
    fn entry(&mut self, name: Option<&str>) -> &mut Candidates {
        match name {
            None | Some("" | "*") => &mut self.any,
            Some(name) => match name.strip_prefix('*') {
                Some(suffix) => self.wildcards.entry_ref(suffix).or_default(),
                None => self.exact.entry_ref(name).or_default(),
            },
        }
    }

    fn find(&self, server_name: &str) -> Option<&Candidates> {
        with_lower_case(server_name.as_bytes(), |name| {
            let name = std::str::from_utf8(name).unwrap_or_default();
            let wildcard = || {
                let suffixes = name.match_indices('.').filter(|(dot, _)| *dot > 0);
                suffixes.into_iter().find_map(|(dot, _)| self.wildcards.get(name.get(dot..)?))
            };
            self.exact.get(name).or_else(wildcard).or(Some(&self.any))
        })
    }
}

impl Conditions {
    /// Thousands of chains of an AUTO_PASSTHROUGH listener have the same protocols: they share them with the chain before.
    fn new(chain: &FilterChainMatch, before: Option<&Self>) -> Self {
        let shared = before.filter(|before| *before.application_protocols == *chain.application_protocols);
        Self {
            transport: chain.transport_protocol,
            application_protocols: match shared {
                Some(before) => Arc::clone(&before.application_protocols),
                None => chain.application_protocols.as_slice().into(),
            },
            sources: chain.source_ranges.iter().map(IpNet::trunc).collect(),
        }
    }

    fn takes_protocol(&self, protocol: &[u8]) -> bool {
        self.application_protocols.iter().any(|known| known.as_bytes() == protocol)
    }

    /// How specifically the source address is asked for; `None` if it is not taken.
    fn source_rank(&self, source: IpAddr) -> Option<u16> {
        if self.sources.is_empty() {
            return Some(0);
        }
        let containing = self.sources.iter().filter(|range| range.contains(&source));
        containing.map(|range| u16::from(range.prefix_len()) + 1).max()
    }
}

fn or_any<T>(values: &[T]) -> impl Iterator<Item = Option<&T>> {
    values.iter().map(Some).chain(values.is_empty().then_some(None))
}

#[cfg(test)]
mod tests;
