//! A route table read section by section: each virtual host on its own, and the settings that hold for all of them.
//!
//! A control plane sends a table as a whole whenever one route of it changes. Virtual hosts whose bytes are those of the version
//! before are neither decoded nor converted again.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use prost::{Message, Name};
use xds_api::envoy::config::route::v3 as route;

use super::wire::{body_limit, repeated_domain, virtual_host};
use super::{RouteConfiguration, VirtualHost};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::Report;

/// First bytes of a virtual host in an encoded table: field 2, with a length.
const VIRTUAL_HOST_KEY: usize = 2 << 3 | LENGTH_DELIMITED;
const LENGTH_DELIMITED: usize = 2;

/// A route table, and where each part of it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct SectionedTable {
    table: Arc<RouteConfiguration>,
    body: Bytes,
    /// `None` for a table that could only be read as a whole: its next version is read anew.
    sections: Option<Sections>,
}

#[derive(Debug, PartialEq, Eq)]
struct Sections {
    settings: Settings,
    /// Of each virtual host.
    hosts: Vec<Section>,
}

/// All but the virtual hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    encoded: Vec<u8>,
    report: Arc<Report>,
    body_limit: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Section {
    /// Where it is in the encoded table, key and length included.
    place: Range<usize>,
    /// Shared by neighbours that have the same.
    report: Arc<Report>,
}

impl SectionedTable {
    /// Reads an encoded table, of which only that costs much that differs from the version before. The outcome is that of
    /// [`RouteConfiguration::from_wire`], report included.
    ///
    /// # Errors
    /// The bytes are not those of a table, or it is refused.
    pub fn decode(body: &Bytes, before: Option<&Self>) -> Result<(Self, Report), Refusal> {
        if let Some((table, sections)) = read_sections(body, before) {
            let report = sections.report();
            return Ok((Self { table: Arc::new(table), body: body.clone(), sections: Some(sections) }, report));
        }
        // Whatever is wrong with it is said of the whole.
        let mut report = Report::default();
        let malformed = |error| Refusal {
            resource: String::new(),
            field: String::new(),
            reason: format!("malformed {}: {error}", route::RouteConfiguration::full_name()),
        };
        let wire = route::RouteConfiguration::decode(body.clone()).map_err(malformed)?;
        let table = RouteConfiguration::from_wire(&wire, &mut report)?;
        Ok((Self { table: Arc::new(table), body: body.clone(), sections: None }, report))
    }

    /// The table.
    pub fn table(&self) -> &Arc<RouteConfiguration> {
        &self.table
    }

    fn encoded_host(&self, section: &Section) -> &[u8] {
        self.body.get(section.place.clone()).unwrap_or_default()
    }
}

impl Sections {
    fn report(&self) -> Report {
        let mut total = Report::clone(&self.settings.report);
        for alike in self.hosts.chunk_by(|one, next| Arc::ptr_eq(&one.report, &next.report)) {
            let Some(first) = alike.first() else { continue };
            for (no_op, count) in &first.report.no_ops {
                *total.no_ops.entry(*no_op).or_default() += count * alike.len() as u64;
            }
            total.refusals.extend(alike.iter().flat_map(|section| section.report.refusals.iter().cloned()));
        }
        total
    }
}

/// `None` if something is wrong with any part, whatever it is.
fn read_sections(body: &Bytes, before: Option<&SectionedTable>) -> Option<(RouteConfiguration, Sections)> {
    let (encoded_settings, places) = split(body)?;
    let before = before.and_then(|before| Some((before, before.sections.as_ref()?)));
    // What holds for all virtual hosts has a say in how they are converted.
    let before = before.filter(|(_, sections)| sections.settings.encoded == encoded_settings);
    let (settings, mut table) = match before {
        Some((before, sections)) => (sections.settings.clone(), before.table.without_hosts()),
        None => read_settings(encoded_settings)?,
    };
    let origins = match before {
        Some((before, sections)) => origins(before, &sections.hosts, body, &places),
        None => vec![None; places.len()],
    };
    let mut hosts: Vec<Section> = Vec::with_capacity(places.len());
    table.virtual_hosts.reserve_exact(places.len());
    for (index, (place, origin)) in places.into_iter().zip(origins).enumerate() {
        let known = before.zip(origin).and_then(|((before, sections), origin)| {
            Some((before.table.virtual_hosts.get(origin)?, sections.hosts.get(origin)?))
        });
        let (host, report) = match known {
            Some((host, section)) => (host.clone(), section.report.clone()),
            None => {
                let (host, report) = read_host(body.get(place.clone())?, &table.name, index, settings.body_limit)?;
                let neighbour = hosts.last().map(|section| &section.report).filter(|neighbour| ***neighbour == report);
                (Arc::new(host), neighbour.cloned().unwrap_or_else(|| Arc::new(report)))
            }
        };
        table.virtual_hosts.push(host);
        hosts.push(Section { place, report });
    }
    let same_domains = before.is_some_and(|(before, _)| table.has_domains_of(&before.table.virtual_hosts));
    (same_domains || repeated_domain(&table.virtual_hosts).is_none()).then_some((table, Sections { settings, hosts }))
}

/// Where in the version before each virtual host is found again.
fn origins(before: &SectionedTable, sections: &[Section], body: &[u8], places: &[Range<usize>]) -> Vec<Option<usize>> {
    let old = |index: usize| sections.get(index).map(|section| before.encoded_host(section));
    let new = |index: usize| places.get(index).and_then(|place| body.get(place.clone()));
    let common = sections.len().min(places.len());
    let head = (0..common).take_while(|index| old(*index) == new(*index)).count();
    let from_end = |back: &usize| old(sections.len() - back) == new(places.len() - back);
    let tail = (1..=common - head).take_while(from_end).count();
    let moved: HashMap<&[u8], usize> =
        (head..sections.len() - tail).filter_map(|index| Some((old(index)?, index))).collect();
    // What is refused of a virtual host is said with its position.
    let may_move = |index: &usize| sections.get(*index).is_some_and(|section| section.report.refusals.is_empty());
    let origin = |index: usize| {
        let origin = if index < head {
            Some(index)
        } else if let Some(back) = (places.len() - index <= tail).then_some(places.len() - index) {
            Some(sections.len() - back)
        } else {
            moved.get(new(index)?).copied()
        };
        origin.filter(|origin| *origin == index || may_move(origin))
    };
    (0..places.len()).map(origin).collect()
}

fn read_settings(encoded: Vec<u8>) -> Option<(Settings, RouteConfiguration)> {
    let wire = route::RouteConfiguration::decode(&*encoded).ok()?;
    let mut report = Report::default();
    let table = RouteConfiguration::from_wire(&wire, &mut report).ok()?;
    let body_limit = body_limit(wire.max_direct_response_body_size_bytes);
    Some((Settings { encoded, report: Arc::new(report), body_limit }, table))
}

/// Reads one virtual host, of a table in which there is nothing else. What it keeps is its own, not a slice of a large message.
fn read_host(encoded: &[u8], table: &str, index: usize, body_limit: u32) -> Option<(VirtualHost, Report)> {
    let wire = route::RouteConfiguration::decode(encoded).ok()?;
    let mut report = Report::default();
    let mut context = Context::new(table, &mut report);
    let wire = wire.virtual_hosts.first()?;
    let host = context.item("virtual_hosts", index, |context| virtual_host(wire, body_limit, context)).ok()?;
    Some((host, report))
}

/// The settings of an encoded table, and where its virtual hosts are.
fn split(body: &[u8]) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
    let (mut settings, mut hosts) = (Vec::new(), Vec::new());
    let mut start = 0;
    while start < body.len() {
        let field = body.get(start..)?;
        let (key, length) = field_length(field)?;
        let place = start..start.checked_add(length)?;
        let encoded = body.get(place.clone())?;
        start = place.end;
        if key == VIRTUAL_HOST_KEY {
            hosts.push(place);
        } else {
            settings.extend_from_slice(encoded);
        }
    }
    Some((settings, hosts))
}

/// The key of the first field, and how many bytes it has, key included. `None` for groups, which no table has.
fn field_length(encoded: &[u8]) -> Option<(usize, usize)> {
    // A length delimiter is a number like any other.
    let number = |rest: &mut &[u8]| prost::decode_length_delimiter(rest).ok();
    let mut rest = encoded;
    let key = number(&mut rest)?;
    let value = match key & 7 {
        0 => number(&mut rest).map(|_| 0)?,
        1 => 8,
        LENGTH_DELIMITED => number(&mut rest)?,
        5 => 4,
        _ => return None,
    };
    Some((key, (encoded.len() - rest.len()).checked_add(value)?))
}

impl RouteConfiguration {
    /// Whether the virtual hosts have the same domains as these, position by position.
    pub fn has_domains_of(&self, hosts: &[Arc<VirtualHost>]) -> bool {
        let same = |(one, other): (&Arc<VirtualHost>, &Arc<VirtualHost>)| {
            Arc::ptr_eq(one, other) || one.domains == other.domains
        };
        self.virtual_hosts.len() == hosts.len() && self.virtual_hosts.iter().zip(hosts).all(same)
    }

    fn without_hosts(&self) -> Self {
        Self {
            name: self.name.clone(),
            virtual_hosts: Vec::new(),
            ignore_port_in_host_matching: self.ignore_port_in_host_matching,
            headers: self.headers.clone(),
        }
    }
}
