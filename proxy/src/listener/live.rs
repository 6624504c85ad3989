//! The live connections of a listener on one worker.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;

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

    /// Lets what serves another chain of the same kind serve the next request.
    pub(super) fn adopt(&self, served_by: ServedBy) {
        match (self, served_by) {
            (Self::Http(admission), ServedBy::Http(chain)) => admission.adopt(chain),
            (Self::Tcp(admission), ServedBy::Tcp(chain)) => admission.adopt(chain),
            _ => {}
        }
    }
}

/// Live connections by id.
#[derive(Debug, Default)]
pub(super) struct LiveTable(RefCell<HashMap<u64, Live>>);

impl LiveTable {
    pub(super) fn insert(&self, connection: Live) {
        self.0.borrow_mut().insert(connection.facts().id, connection);
    }

    pub(super) fn remove(&self, id: u64) {
        let removed = self.0.borrow_mut().remove(&id);
        drop(removed); // may drop the last version of a configuration, with all that it holds
    }

    pub(super) fn get(&self, id: u64) -> Option<Live> {
        self.0.borrow().get(&id).cloned()
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.0.borrow().keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}
