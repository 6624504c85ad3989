//! How much a catalogue holds, and how much it may hold.

use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use super::LIFETIME;

/// Bounds of a catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Edges that are known, those included of which only the stamp is.
    pub edges: usize,
    /// The same of one tenant.
    pub edges_per_tenant: usize,
    /// Services of the edges of one tenant.
    pub services_per_tenant: usize,
    /// Bytes of one announcement.
    pub announcement: usize,
    /// Bytes of all announcements of a tenant.
    pub announced_per_tenant: usize,
    /// Bytes of those of a tenant that are being read, or were replaced while others were being told.
    pub under_way_per_tenant: usize,
    /// Bytes of all of them.
    pub announced: usize,
    /// A tenant may have so many edges however many others have.
    pub edges_in_any_case: usize,
    /// The same of bytes.
    pub announced_in_any_case: usize,
    /// How long an announcement is good that is not confirmed.
    pub lifetime: Duration,
    /// How long the stamp of an edge is remembered after that, so that nothing older is believed; and what it announced, in case that it confirms it, unless
    /// others need the room.
    pub memory: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            edges: 10_000,
            edges_per_tenant: 2_000,
            services_per_tenant: 100_000,
            announcement: 4 * 1024 * 1024,
            announced_per_tenant: 64 * 1024 * 1024,
            under_way_per_tenant: 16 * 1024 * 1024,
            announced: 256 * 1024 * 1024,
            edges_in_any_case: 50,
            announced_in_any_case: 1024 * 1024,
            lifetime: LIFETIME,
            memory: Duration::from_secs(600),
        }
    }
}

/// What edges take of a catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) edges: usize,
    pub(super) services: usize,
    pub(super) bytes: usize,
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        self.edges += other.edges;
        self.services += other.services;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Used {
    fn sub_assign(&mut self, other: Self) {
        self.edges -= other.edges;
        self.services -= other.services;
        self.bytes -= other.bytes;
    }
}

impl Limits {
    /// What a tenant would have too much of with an announcement of `size` bytes, if it was taken.
    pub(super) fn exceeded_by_tenant(&self, size: usize, tenant: Used) -> Option<&'static str> {
        first_exceeded(&[
            (size > self.announcement, "it is too long"),
            (tenant.edges > self.edges_per_tenant, "too many edges of its tenant"),
            (tenant.services > self.services_per_tenant, "too many services of its tenant"),
            (tenant.bytes > self.announced_per_tenant, "its tenant announces too much"),
        ])
    }

    /// The same of all tenants together, one of which would have so much.
    pub(super) fn exceeded_by_all(&self, tenant: Used, all: Used) -> Option<&'static str> {
        first_exceeded(&[
            (all.edges > self.edges && tenant.edges > self.edges_in_any_case, "too many edges"),
            (all.bytes > self.announced && tenant.bytes > self.announced_in_any_case, "all edges announce too much"),
        ])
    }
}

fn first_exceeded(bounds: &[(bool, &'static str)]) -> Option<&'static str> {
    bounds.iter().find(|(is_exceeded, _)| *is_exceeded).map(|(_, problem)| *problem)
}
