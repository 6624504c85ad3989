//! The live connections of a listener on one worker.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::rc::Rc;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::effect::Kind;
use super::generation::ServedBy;
use crate::http::HttpChain;
use crate::tcp::TcpChain;
use crate::worker::connection::{Admission, ConnectionFacts, Wish};

/// A connection that was admitted and is not closed yet.
#[derive(Clone, Debug)]
pub(super) enum Live {
    Http(Rc<Admission<HttpChain>>),
    Tcp(Rc<Admission<TcpChain>>),
}

impl Live {
    pub(super) fn facts(&self) -> &ConnectionFacts {
        match self {
            Self::Http(admission) => &admission.facts,
            Self::Tcp(admission) => &admission.facts,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Http(_) => Kind::Http,
            Self::Tcp(_) => Kind::Tcp,
        }
    }

    pub(super) fn ask(&self, wish: Wish) {
        match self {
            Self::Http(admission) => admission.ask(wish),
            Self::Tcp(admission) => admission.ask(wish),
        }
    }

    /// Memory is short. A connection of TCP is one request, and ends with it.
    pub(super) fn shed(&self) {
        if let Self::Http(admission) = self {
            admission.ask(Wish::Shed);
        }
    }

    /// Lets what serves another chain of the same kind serve the next request.
    pub(super) fn adopt(&self, served_by: ServedBy) {
        match (self, served_by) {
            (Self::Http(admission), ServedBy::Http(chain)) => admission.adopt(chain),
            (Self::Tcp(admission), ServedBy::Tcp(chain)) => admission.adopt(chain),
            _ => {}
        }
    }
}

/// Live connections by id, which they know themselves.
#[derive(Debug, Default)]
pub(super) struct LiveTable {
    table: RefCell<HashTable<Live>>,
    hasher: DefaultHashBuilder,
}

impl LiveTable {
    pub(super) fn insert(&self, connection: Live) {
        let hash = self.hash(connection.facts().id);
        self.table.borrow_mut().insert_unique(hash, connection, |live| self.hash(live.facts().id));
    }

    pub(super) fn remove(&self, id: u64) {
        let mut table = self.table.borrow_mut();
        let removed = table.find_entry(self.hash(id), |live| live.facts().id == id).ok().map(|found| found.remove().0);
        drop(table);
        drop(removed); // may drop the last version of a configuration, with all that it holds
    }

    pub(super) fn get(&self, id: u64) -> Option<Live> {
        self.table.borrow().find(self.hash(id), |live| live.facts().id == id).cloned()
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.table.borrow().iter().map(|live| live.facts().id).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.table.borrow().len()
    }

    fn hash(&self, id: u64) -> u64 {
        self.hasher.hash_one(id)
    }
}
