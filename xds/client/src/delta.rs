//! The incremental xDS protocol of one stream, without I/O.
//!
//! [`Protocol`] says what to send when a stream opens, when a response has been judged and when the wanted names change. Its
//! rules are those of the [xDS protocol](https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds) as
//! istiod implements it:
//!
//! * a response is answered exactly once, by an ACK that carries its nonce and nothing else, or by a NACK that adds the reason;
//! * a change of subscription is a request of its own, without a nonce;
//! * the first request of a type on a stream names what is held already (`initial_resource_versions`), but for what was refused:
//!   that must come again;
//! * the node goes with the first request of a stream only;
//! * istiod receives at most 4 MiB in one message, so long lists of names are spread over several.

mod nack;
#[cfg(test)]
mod simulation;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

pub use nack::Refused;
pub(crate) use nack::faulty;

use crate::ResourceType;

use subscription::Subscription;

/// The name of a resource.
pub type Name = Arc<str>;

/// The state of the protocol, kept across streams.
#[derive(Debug, Default)]
pub struct Protocol {
    kinds: [Subscription; ResourceType::COUNT],
    /// Number of the present stream; receipts of older ones are void.
    stream: u64,
    open: bool,
    node_sent: bool,
}

/// What to send, short of the fields that are the same for every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The type URL.
    pub type_url: &'static str,
    /// The node belongs to this request.
    pub with_node: bool,
    /// Names to subscribe to.
    pub subscribe: Vec<Name>,
    /// Names to unsubscribe from.
    pub unsubscribe: Vec<Name>,
    /// Names and versions of what is held.
    pub initial_versions: Vec<(Name, Arc<str>)>,
    /// The nonce of the response that this answers; empty for none.
    pub nonce: String,
    /// Why the response is refused; `None` accepts it.
    pub error: Option<String>,
}

/// What was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The type URL.
    pub type_url: String,
    /// The nonce to answer with.
    pub nonce: String,
    /// New and changed resources.
    pub resources: Vec<Received>,
    /// Names of resources that are gone.
    pub removed: Vec<String>,
}

/// One resource of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its name.
    pub name: Name,
    /// Its version, empty from istiod.
    pub version: Arc<str>,
    /// Its encoded message.
    pub body: Bytes,
}

/// What of a response concerns us.
#[derive(Debug)]
pub struct Delivery {
    /// The kind of its resources.
    pub kind: ResourceType,
    /// New and changed resources, each name once.
    pub resources: Vec<Received>,
    /// Names of resources that are gone.
    pub removed: Vec<Name>,
    /// Resources that nobody asked for, left out.
    pub unwanted: usize,
    /// To be handed back to [`Protocol::conclude`] with the verdict.
    pub receipt: Receipt,
}

/// The duty to answer a response.
#[must_use = "a response must be answered"]
#[derive(Debug)]
pub struct Receipt {
    kind: ResourceType,
    nonce: String,
    stream: u64,
}

/// A resource from an earlier stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub name: Name,
    /// The version that was accepted.
    pub version: Arc<str>,
    /// A newer version was refused, so it has to be sent again.
    pub refused: bool,
}

/// A response of a type that was never asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("response of type {0:?}, which was not asked for")]
pub struct UnexpectedType(pub String);

impl Protocol {
    /// Wants a named resource. [`Protocol::flush`] tells the server.
    pub fn subscribe(&mut self, kind: ResourceType, name: &Name) {
        let subscription = &mut self.kinds[kind.index()];
        if subscription.wanted.insert(name.clone()) && !subscription.changed.insert(name.clone()) {
            subscription.renewed.insert(name.clone());
        }
    }

    /// Does not want a named resource any more, and forgets what came of it: to want it again is to ask for it anew.
    pub fn unsubscribe(&mut self, kind: ResourceType, name: &Name) {
        let subscription = &mut self.kinds[kind.index()];
        if subscription.wanted.remove(name) {
            subscription.changed.insert(name.clone());
        }
    }

    /// A stream has opened: what to send first. `held` lists the resources of a kind that are held from before.
    pub fn open(&mut self, mut held: impl FnMut(ResourceType) -> Vec<Held>) -> Vec<Request> {
        self.stream += 1;
        self.open = true;
        self.node_sent = false;
        let mut requests = Vec::new();
        for kind in ResourceType::ALL {
            let subscription = &mut self.kinds[kind.index()];
            subscription.subscribed.clear();
            subscription.changed = subscription.wanted.iter().cloned().collect();
            subscription.renewed.clear();
            subscription.unlisted = None;
            subscription.asked = false;
            if kind.is_wildcard() {
                requests.push(subscription.open_wildcard(kind, held(kind)));
            } else {
                requests.extend(subscription.open_named(kind, held(kind)));
            }
        }
        self.attach_node(&mut requests);
        requests
    }

    /// The stream is gone: nothing can be sent until the next one opens.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// A response has arrived.
    ///
    /// # Errors
    /// If its type was never asked for; such a response gets no answer.
    pub fn receive(&mut self, response: Response) -> Result<Delivery, UnexpectedType> {
        let kind = ResourceType::from_type_url(&response.type_url)
            .filter(|kind| self.kinds[kind.index()].asked)
            .ok_or(UnexpectedType(response.type_url))?;
        let subscription = &mut self.kinds[kind.index()];
        let received = response.resources.len();
        let resources =
            last_of_each_name(response.resources, |name| kind.is_wildcard() || subscription.wanted.contains(name));
        let unwanted = received - resources.len();
        let present: HashSet<&Name> = resources.iter().map(|resource| &resource.name).collect();
        let mut removed: Vec<Name> = response.removed.into_iter().map(Name::from).collect();
        removed.extend(subscription.unlisted.take().unwrap_or_default());
        removed.retain(|name| !present.contains(name));
        let receipt = Receipt { kind, nonce: response.nonce, stream: self.stream };
        Ok(Delivery { kind, resources, removed, unwanted, receipt })
    }

    /// The verdict on a response: the answer to send, unless its stream is gone.
    #[must_use]
    pub fn conclude(&mut self, receipt: Receipt, resources: usize, refused: &[Refused]) -> Option<Request> {
        let Receipt { kind, nonce, stream } = receipt;
        if !self.open || stream != self.stream {
            return None;
        }
        let error = (!refused.is_empty()).then(|| nack::message(kind, resources, refused));
        Some(Request { type_url: kind.type_url(), nonce, error, ..Request::default() })
    }

    /// What to send for the names that are wanted now or not any more.
    #[must_use]
    pub fn flush(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        if self.open {
            for kind in ResourceType::ALL {
                requests.extend(self.kinds[kind.index()].flush(kind));
            }
            self.attach_node(&mut requests);
        }
        requests
    }

    /// Number of names wanted of a kind.
    #[must_use]
    pub fn wanted(&self, kind: ResourceType) -> usize {
        self.kinds[kind.index()].wanted.len()
    }

    fn attach_node(&mut self, requests: &mut [Request]) {
        if let (false, Some(first)) = (self.node_sent, requests.first_mut()) {
            first.with_node = true;
            self.node_sent = true;
        }
    }
}

/// Leaves out what is not wanted, and all but the last of resources with the same name.
fn last_of_each_name(resources: Vec<Received>, wanted: impl Fn(&Name) -> bool) -> Vec<Received> {
    let mut seen = HashSet::with_capacity(resources.len());
    let mut kept: Vec<Received> = resources
        .into_iter()
        .rev()
        .filter(|resource| wanted(&resource.name) && seen.insert(resource.name.clone()))
        .collect();
    kept.reverse();
    kept
}
