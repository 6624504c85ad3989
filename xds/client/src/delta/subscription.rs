//! What is subscribed to of one kind, and the requests that say so.

use std::collections::{BTreeSet, HashSet};

use super::{Held, Name, Request};
use crate::ResourceType;

/// Bytes of names in one request. istiod's limit is 4 MiB for the whole message, the node included.
const MAX_NAME_BYTES: usize = 2 * 1024 * 1024;

/// What each name costs beside its own bytes: tags, lengths, and the entry of the version map.
const NAME_OVERHEAD: usize = 16;

/// What is subscribed to of one kind.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    pub(super) wanted: HashSet<Name>,
    /// What the server was told on this stream.
    pub(super) subscribed: HashSet<Name>,
    /// Names that may differ between the two.
    pub(super) changed: BTreeSet<Name>,
    /// Names that were given up and are wanted again, before the server was told: they have to come anew.
    pub(super) renewed: BTreeSet<Name>,
    /// Something was asked for on this stream.
    pub(super) asked: bool,
    /// Until the first response of a stream: resources held that the server was not told of. It sends those it still has, and
    /// cannot say which are gone.
    pub(super) unlisted: Option<Vec<Name>>,
}

impl Subscription {
    /// An empty list of names in the first request of a type means all of them.
    pub(super) fn open_wildcard(&mut self, kind: ResourceType, held: Vec<Held>) -> Request {
        let mut request = Request { type_url: kind.type_url(), ..Request::default() };
        let mut unlisted = Vec::new();
        let mut size = 0;
        for resource in held {
            size += cost(&resource.name) + resource.version.len();
            if resource.refused || size > MAX_NAME_BYTES {
                unlisted.push(resource.name);
            } else {
                request.initial_versions.push((resource.name, resource.version));
            }
        }
        self.unlisted = Some(unlisted);
        self.asked = true;
        request
    }

    /// Versions may stand in the first request of a type only: what is held but does not fit into it is sent again.
    pub(super) fn open_named(&mut self, kind: ResourceType, held: Vec<Held>) -> Vec<Request> {
        let mut requests = self.flush(kind);
        if let Some(first) = requests.first_mut() {
            let asked: HashSet<&Name> = first.subscribe.iter().collect();
            let known = held.into_iter().filter(|resource| !resource.refused && asked.contains(&resource.name));
            let mut room = MAX_NAME_BYTES / 2;
            for resource in known {
                room = room.saturating_sub(cost(&resource.name) + resource.version.len());
                if room == 0 {
                    break;
                }
                first.initial_versions.push((resource.name, resource.version));
            }
        }
        requests
    }

    /// Unsubscribes first: a name that was renewed is in both lists, and has to be in two requests.
    pub(super) fn flush(&mut self, kind: ResourceType) -> Vec<Request> {
        let changed = std::mem::take(&mut self.changed);
        let renewed = std::mem::take(&mut self.renewed);
        let given_up =
            |name: &&Name| self.subscribed.contains(*name) && (!self.wanted.contains(*name) || renewed.contains(*name));
        let unsubscribe: Vec<Name> = changed.iter().filter(given_up).cloned().collect();
        for name in &unsubscribe {
            self.subscribed.remove(name);
        }
        let new = |name: &Name| self.wanted.contains(name) && !self.subscribed.contains(name);
        let subscribe: Vec<Name> = changed.into_iter().filter(new).collect();
        self.subscribed.extend(subscribe.iter().cloned());
        self.asked |= !subscribe.is_empty();
        let request = || Request { type_url: kind.type_url(), ..Request::default() };
        let mut requests: Vec<Request> =
            in_pieces(unsubscribe).map(|unsubscribe| Request { unsubscribe, ..request() }).collect();
        requests.extend(in_pieces(subscribe).map(|subscribe| Request { subscribe, ..request() }));
        requests
    }
}

fn cost(name: &Name) -> usize {
    name.len() + NAME_OVERHEAD
}

/// Lists of names that fit into one request each, with room for their versions.
fn in_pieces(names: Vec<Name>) -> impl Iterator<Item = Vec<Name>> {
    let mut names = names.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut piece = vec![names.next()?];
        let mut size = cost(&piece[0]);
        while let Some(name) = names.next_if(|name| size + cost(name) <= MAX_NAME_BYTES / 2) {
            size += cost(&name);
            piece.push(name);
        }
        Some(piece)
    })
}
