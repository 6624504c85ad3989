//! A model of istiod: what it has, what one client watches, and the rules that it holds the client to.

use super::*;

#[derive(Default)]
pub(super) struct Server {
    world: BTreeMap<(ResourceType, &'static str), Bytes>,
    watches: BTreeMap<ResourceType, Watch>,
    outgoing: Vec<Response>,
    nonces: u64,
    node_seen: bool,
}

/// One type of one stream.
#[derive(Default)]
struct Watch {
    wildcard: bool,
    names: BTreeSet<String>,
    /// What the client was sent, or said that it holds.
    sent: BTreeMap<String, Bytes>,
    /// Nonces sent and not answered.
    nonces: BTreeSet<String>,
}

impl Server {
    pub(super) fn set(&mut self, kind: ResourceType, name: &'static str, body: Option<Bytes>) {
        match body {
            Some(body) => self.world.insert((kind, name), body),
            None => self.world.remove(&(kind, name)),
        };
    }

    pub(super) fn body(&self, kind: ResourceType, name: &'static str) -> Option<&Bytes> {
        self.world.get(&(kind, name))
    }

    pub(super) fn disconnect(&mut self) {
        self.watches.clear();
        self.outgoing.clear();
        self.node_seen = false;
    }

    pub(super) fn take_responses(&mut self) -> Vec<Response> {
        std::mem::take(&mut self.outgoing)
    }

    pub(super) fn receive(&mut self, request: Request) {
        assert_eq!(request.with_node, !self.node_seen, "the node goes with the first request only");
        self.node_seen = true;
        let kind = ResourceType::from_type_url(request.type_url).unwrap();
        if !request.nonce.is_empty() {
            return self.receive_answer(kind, &request);
        }
        assert_eq!(request.error, None, "a reason without a nonce");
        let first = !self.watches.contains_key(&kind);
        assert!(first || request.initial_versions.is_empty(), "versions after the first request of a type");
        let watch = self.watches.entry(kind).or_default();
        let before = watch.names.clone();
        watch.wildcard |= first && request.subscribe.is_empty();
        assert_eq!(watch.wildcard, kind.is_wildcard(), "{kind}");
        for name in &request.unsubscribe {
            assert!(watch.names.remove(&**name), "{name} was not subscribed to");
            watch.sent.remove(&**name);
        }
        watch.names.extend(request.subscribe.iter().map(ToString::to_string));
        assert!(first || watch.names != before, "a request that changes nothing");
        // Versions are not compared, as istiod does not: everything comes again, and what is gone is named.
        watch.sent.extend(request.initial_versions.iter().map(|(name, _)| (name.to_string(), Bytes::new())));
        let asked: BTreeSet<String> = request.subscribe.iter().map(ToString::to_string).collect();
        if first || !asked.is_empty() {
            self.answer(kind, &asked);
        }
    }

    /// Sends what has changed, or all that is watched.
    pub(super) fn push(&mut self, kind: ResourceType, everything: bool) {
        let Some(watch) = self.watches.get(&kind) else { return };
        let visible = self.visible(kind, watch);
        let resources: Vec<_> =
            visible.iter().filter(|(name, body)| everything || watch.sent.get(*name) != Some(body)).collect();
        let resources = resources.into_iter().map(|(name, body)| (name.clone(), body.clone())).collect();
        let removed: Vec<String> = watch.sent.keys().filter(|name| !visible.contains_key(*name)).cloned().collect();
        self.respond(kind, resources, removed);
    }

    fn receive_answer(&mut self, kind: ResourceType, request: &Request) {
        assert!(request.subscribe.is_empty() && request.unsubscribe.is_empty() && request.initial_versions.is_empty());
        let watch = self.watches.get_mut(&kind).expect("an answer to a type that was never asked for");
        assert!(watch.nonces.remove(&request.nonce), "{} was never sent, or is answered", request.nonce);
    }

    /// The names asked for, or everything; names that do not exist are listed as removed.
    fn answer(&mut self, kind: ResourceType, asked: &BTreeSet<String>) {
        let watch = &self.watches[&kind];
        let visible = self.visible(kind, watch);
        let mut removed: Vec<String> = asked.iter().filter(|name| !visible.contains_key(*name)).cloned().collect();
        removed.extend(watch.sent.keys().filter(|name| !visible.contains_key(*name)).cloned());
        let resources = visible.into_iter().filter(|(name, _)| watch.wildcard || asked.contains(name)).collect();
        self.respond(kind, resources, removed);
    }

    fn visible(&self, kind: ResourceType, watch: &Watch) -> BTreeMap<String, Bytes> {
        let of_kind = self.world.iter().filter(|((other, _), _)| *other == kind);
        let watched = of_kind.filter(|((_, name), _)| watch.wildcard || watch.names.contains(*name));
        watched.map(|((_, name), body)| ((*name).to_owned(), body.clone())).collect()
    }

    fn respond(&mut self, kind: ResourceType, resources: BTreeMap<String, Bytes>, removed: Vec<String>) {
        self.nonces += 1;
        let nonce = format!("{kind} {}", self.nonces);
        let watch = self.watches.get_mut(&kind).expect("watched");
        watch.nonces.insert(nonce.clone());
        for name in &removed {
            watch.sent.remove(name);
        }
        watch.sent.extend(resources.clone());
        let received = |(name, body): (String, Bytes)| Received { name: name.into(), version: "".into(), body };
        let resources = resources.into_iter().map(received).collect();
        self.outgoing.push(Response { type_url: kind.type_url().into(), nonce, resources, removed });
    }
}
