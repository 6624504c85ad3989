//! Route tables: the compiled table finds what trying one rule after the other finds.
//!
//! An input is text: a table and requests to it, a line each ([`Script`]).

mod naive;
mod script;
mod table;

use route::{RequestView, RouteTable};
use xds_model::fate::Report;
use xds_model::route::RouteConfiguration;

use crate::route_match::script::{Path, Request, Rule, Script};

/// The fewest rules with which every host surely has an index of its paths.
const MANY: usize = 40;

/// Compiles the table, as it is and with more rules, and asks both for the route of each request.
pub fn run(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let mut script = Script::read(text);
    if script.requests.is_empty() || !agrees(&script) {
        return false;
    }
    for host in &mut script.hosts {
        host.rules.extend((0..MANY).map(|number| Rule {
            path: Path::Exact(format!("/filling/{number}")),
            ignore_case: number % 10 == 9,
            header: None,
        }));
    }
    assert!(agrees(&script), "a table with more rules is refused: {script:?}");
    true
}

/// Whether the table is taken; panics if it finds another route than trying them all does.
fn agrees(script: &Script<'_>) -> bool {
    let mut report = Report::default();
    let Ok(model) = RouteConfiguration::from_wire(&table::to_wire(script), &mut report) else { return false };
    if !report.refusals.is_empty() {
        return false;
    }
    let Ok(table) = RouteTable::compile(&model) else { return false };
    for request in &script.requests {
        let host = table.virtual_host(request.authority.as_bytes());
        let found = host.and_then(|host| table.find(host, request));
        let found = found.map(|found| found.route.name.to_string());
        assert_eq!(found, naive::find(script, request), "{request:?} of {script:?}");
    }
    true
}

impl RequestView for Request<'_> {
    fn method(&self) -> &[u8] {
        b"GET"
    }
    fn authority(&self) -> &[u8] {
        self.authority.as_bytes()
    }
    fn path(&self) -> &[u8] {
        self.target.as_bytes()
    }
    fn scheme(&self) -> &[u8] {
        b"http"
    }
    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.header.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_bytes())
    }
}
