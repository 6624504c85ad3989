//! Virtual hosts: which one an authority belongs to, and which of its routes a request takes.

use hashbrown::HashMap;
use xds_model::route::RouteHeaders;

use crate::path_index::PathIndex;
use crate::request::{RequestView, with_lower_case};
use crate::route::{Route, path_and_query};

/// The routes of some host names.
#[derive(Debug, PartialEq)]
pub struct VirtualHost {
    /// Name, for statistics.
    pub name: Box<str>,
    /// Send `x-envoy-attempt-count` upstream.
    pub include_request_attempt_count: bool,
    pub(crate) require_tls: bool,
    pub(crate) headers: Option<Box<RouteHeaders>>,
    pub(crate) routes: Box<[Route]>,
    pub(crate) index: Option<Box<PathIndex>>,
}

impl VirtualHost {
    /// Its routes, in order.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Position of the first route that matches.
    pub(crate) fn find(&self, request: &impl RequestView) -> Option<u32> {
        let (path, query) = path_and_query(request);
        let matches = |route: &Route| route.matches(path, query, request);
        match &self.index {
            Some(index) => index.find(&self.routes, path, matches),
            None => (0u32..).zip(&self.routes).find(|(_, route)| matches(route)).map(|(position, _)| position),
        }
    }
}

/// Finds the position of a virtual host by authority: exact name, then the longest `*suffix`, then the longest `prefix*`, then `*`
/// (`VirtualHost.domains`).
#[derive(Debug, Default)]
pub(crate) struct DomainIndex {
    exact: HashMap<Box<[u8]>, u32>,
    suffixes: Wildcards,
    prefixes: Wildcards,
    any: Option<u32>,
}

/// Texts that a host must start or end with and be longer than.
#[derive(Debug, Default)]
struct Wildcards {
    texts: HashMap<Box<[u8]>, u32>,
    /// Their distinct lengths, longest first.
    lengths: Vec<usize>,
}

impl DomainIndex {
    /// Adds a domain; returns the host that has it already.
    pub(crate) fn insert(&mut self, domain: &str, host: u32) -> Result<(), u32> {
        let taken = if domain == "*" {
            self.any.replace(host)
        } else if let Some(suffix) = domain.strip_prefix('*') {
            self.suffixes.insert(suffix.as_bytes(), host)
        } else if let Some(prefix) = domain.strip_suffix('*') {
            self.prefixes.insert(prefix.as_bytes(), host)
        } else {
            self.exact.insert(domain.as_bytes().into(), host)
        };
        taken.map_or(Ok(()), Err)
    }

    /// The host for an authority whose port, if it is to be ignored, has been removed. Case does not count.
    pub(crate) fn find(&self, authority: &[u8]) -> Option<u32> {
        with_lower_case(authority, |host| {
            let suffix = |length: usize| host.split_at_checked(host.len().checked_sub(length)?).map(|(_, tail)| tail);
            let prefix = |length: usize| host.get(..length);
            (self.exact.get(host).copied())
                .or_else(|| self.suffixes.find(host.len(), suffix))
                .or_else(|| self.prefixes.find(host.len(), prefix))
                .or(self.any)
        })
    }

    /// Gives back the memory that growing took ahead of need.
    pub(crate) fn shrink(&mut self) {
        self.exact.shrink_to_fit();
        self.suffixes.texts.shrink_to_fit();
        self.prefixes.texts.shrink_to_fit();
    }
}

impl Wildcards {
    fn insert(&mut self, text: &[u8], host: u32) -> Option<u32> {
        if let Err(position) = self.lengths.binary_search_by(|length| text.len().cmp(length)) {
            self.lengths.insert(position, text.len());
        }
        self.texts.insert(text.into(), host)
    }

    fn find<'a>(&self, host_length: usize, part: impl Fn(usize) -> Option<&'a [u8]>) -> Option<u32> {
        let shorter = self.lengths.iter().filter(|length| **length < host_length);
        shorter.into_iter().find_map(|length| self.texts.get(part(*length)?)).copied()
    }
}

/// The authority without its port. As Envoy does, whatever follows the last colon counts as a port, unless it is inside brackets.
pub(crate) fn without_port(authority: &[u8]) -> &[u8] {
    match memchr::memrchr2(b':', b']', authority) {
        Some(position) if authority.get(position) == Some(&b':') => authority.get(..position).unwrap_or_default(),
        _ => authority,
    }
}
