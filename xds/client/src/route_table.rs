//! A route table as it was accepted, in a form from which the next version of it is read quickly.

use std::sync::Arc;

use bytes::Bytes;
use xds_model::error::Refusal;
use xds_model::fate::Report;
use xds_model::route::{RouteConfiguration, SectionedTable};

use crate::references::{self, Targets};
use crate::resource::Resource;

/// A table, and what it refers to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RouteTable {
    sections: SectionedTable,
    /// Shared by versions that refer to the same.
    targets: Arc<Targets>,
}

impl RouteTable {
    /// Decodes and validates; only what differs from the version before costs much.
    ///
    /// # Errors
    /// Names the field to blame.
    pub(crate) fn decode(name: &str, body: &Bytes, before: Option<&Self>) -> Result<(Self, Report), Refusal> {
        let (sections, report) = SectionedTable::decode(body, before.map(|before| &before.sections))?;
        Resource::Route(sections.table().clone()).named(name)?;
        let table = sections.table();
        let targets = match before {
            Some(before) if references::refer_to_the_same(before.table(), table) => before.targets.clone(),
            _ => Arc::new(references::of_route(table)),
        };
        Ok((Self { sections, targets }, report))
    }

    /// The table.
    #[must_use]
    pub(crate) fn table(&self) -> &Arc<RouteConfiguration> {
        self.sections.table()
    }

    /// The table as a resource.
    #[must_use]
    pub(crate) fn resource(&self) -> Resource {
        Resource::Route(self.table().clone())
    }

    /// What it refers to.
    #[must_use]
    pub(crate) fn targets(&self) -> &Arc<Targets> {
        &self.targets
    }
}
