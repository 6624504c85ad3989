//! What is kept of an edge, and of its tenant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::room::Used;
use super::{Announced, Stamp};

/// The edges of a tenant.
#[derive(Debug, Default)]
pub(super) struct Tenant {
    pub(super) used: Used,
    pub(super) changes: BTreeMap<u64, Arc<str>>,
}

#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) tenant: Arc<str>,
    pub(super) stamp: Stamp,
    /// `None` when nothing of it is kept.
    pub(super) announced: Option<Announced<T>>,
    /// It was not confirmed in time: nobody is shown it until it is.
    pub(super) is_hidden: bool,
    /// What was announced later, and not taken.
    pub(super) left_out: Option<LeftOut>,
    /// The number of the change by which it was announced, and of the last one.
    pub(super) announced_at: u64,
    pub(super) changed_at: u64,
    /// Good until then, or remembered until then.
    pub(super) until: Duration,
}

/// An announcement that was not taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftOut {
    pub(super) stamp: Stamp,
    /// The room that it would take; `None` if it would not be taken however much there is.
    pub(super) needs: Option<Used>,
}

impl<T> Entry<T> {
    /// Of an edge of which nothing is known.
    pub(super) fn nothing_of(tenant: &str) -> Self {
        Self {
            tenant: tenant.into(),
            stamp: Stamp::default(),
            announced: None,
            is_hidden: false,
            left_out: None,
            announced_at: 0,
            changed_at: 0,
            until: Duration::ZERO,
        }
    }

    /// What is good, and shown to whoever asks.
    pub(super) fn shown(&self) -> Option<&Announced<T>> {
        self.announced.as_ref().filter(|_| !self.is_hidden)
    }

    /// What is kept takes room, shown or not.
    pub(super) fn used(&self) -> Used {
        let announced = self.announced.as_ref();
        Used {
            edges: 1,
            services: announced.map_or(0, |announced| announced.services),
            bytes: announced.map_or(0, |announced| announced.size),
        }
    }
}
