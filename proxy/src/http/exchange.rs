//! The whole life of one request, from top to bottom: made safe, routed, changed, sent, answered, logged.

mod changes;
mod hash;
mod record;
mod reply;
mod tail;

use std::rc::Rc;

use bytes::Bytes;
use h1::{BodyLength, Header, Method, Scheme};
use route::{Action, Forward, RouteMatch, VirtualHostIndex};

use super::body::Body;
use super::downstream::Downstream;
use super::forwarded::{self, Introduction, Source};
use super::local_reply::{LocalReply, Location};
use super::message::Memory;
use super::outcome::Taken;
use super::upstream_request::{self, Answered};
use super::view::View;
use super::{HttpChain, client_certificate, response_forwarding};
use crate::overload;
use crate::upstream::Cluster;
use crate::worker::WorkerRoutes;
use xds_model::route::ConnectMode;

/// An idle connection must not hold what somebody made up: no name of a host is longer (RFC 1035, section 2.3.4).
const LONGEST_CACHED_AUTHORITY: usize = 255 + ":65535".len();

/// What becomes of the connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    NextRequest,
    Close,
    /// An answer was cut off: what the client has not taken of it is of no use.
    CutOff,
    /// The client was told by a reset that the other side has broken off.
    Reset,
}

/// The virtual host of the last request: most connections stay with one.
#[derive(Debug, Default)]
pub(super) struct HostCache {
    /// Of the table that the index belongs to.
    generation: u64,
    authority: Vec<u8>,
    index: Option<VirtualHostIndex>,
}

impl HostCache {
    fn look_up(&mut self, routes: &WorkerRoutes, authority: &[u8]) -> Option<VirtualHostIndex> {
        if self.index.is_none() || self.generation != routes.generation || self.authority != authority {
            self.index = routes.table.virtual_host(authority);
            self.generation = routes.generation;
            self.authority.clear();
            if authority.len() > LONGEST_CACHED_AUTHORITY {
                return self.index.take();
            }
            self.authority.extend_from_slice(authority);
        }
        self.index
    }
}

/// A request under way.
pub(super) struct Exchange<'a> {
    pub(super) downstream: Downstream<'a>,
    pub(super) memory: &'a mut Memory,
    pub(super) chain: Rc<HttpChain>,
    /// The request's body on its way to the upstream.
    pub(super) body: Body,
    /// What is left to put of an answer of our own.
    tail: Bytes,
    pub(super) scheme: Scheme,
    client: std::net::SocketAddr,
}

impl Drop for Exchange<'_> {
    /// A panic ends the request's task before its log line; this says which request it was.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let id = self.memory.request.fields().get(Header::XRequestId).unwrap_or_default();
            let id = String::from_utf8_lossy(id);
            tracing::error!(request_id = %id, client = %self.client, "serving a request ended in a panic");
        }
    }
}

/// Where a request goes.
struct Way<'r> {
    found: RouteMatch<'r>,
    forward: &'r Forward,
    target: &'r route::Target,
    cluster: Rc<Cluster>,
}

/// Serves a request whose head was read.
pub(super) async fn run(downstream: Downstream<'_>, chain: Rc<HttpChain>, memory: &mut Memory) -> After {
    chain.counters.downstream_rq_total.increment();
    let counted = chain.clone();
    let _active = counted.counters.downstream_rq_active.hold();
    let mut exchange = Exchange::new(downstream, chain, memory);
    let after = match exchange.admit().and_then(|()| exchange.make_safe()) {
        Ok(()) => exchange.route().await,
        Err(reply) => exchange.reply(reply, None),
    };
    let after = exchange.send_tail(after).await;
    exchange.log();
    after
}

/// Answers a request whose head could not be read.
pub(super) fn refuse(
    downstream: Downstream<'_>,
    chain: Rc<HttpChain>,
    memory: &mut Memory,
    reply: LocalReply,
) -> After {
    let mut exchange = Exchange::new(downstream, chain, memory);
    let after = exchange.reply(reply, None);
    exchange.log();
    after
}

impl<'a> Exchange<'a> {
    fn new(downstream: Downstream<'a>, chain: Rc<HttpChain>, memory: &'a mut Memory) -> Self {
        if memory.request.upgrade().is_some() || memory.request.method == Method::Connect {
            // What follows belongs to the other protocol.
            memory.request.body = BodyLength::None;
        }
        let length = memory.request.body;
        Self {
            scheme: if downstream.connection.admission.facts.tls.is_some() { Scheme::Https } else { Scheme::Http },
            client: downstream.connection.admission.facts.remote,
            body: Body::new(&downstream.source, length, length == BodyLength::Chunked),
            tail: Bytes::new(),
            downstream,
            memory,
            chain,
        }
    }

    /// Refuses everything while memory is short.
    fn admit(&self) -> Result<(), LocalReply> {
        let worker = self.downstream.worker();
        let obeys = self.downstream.connection.admission.facts.obeys_overload_manager;
        if obeys && worker.process.overload.sheds(overload::Action::StopAcceptingRequests, &worker.random) {
            self.chain.counters.downstream_rq_overload_close.increment();
            return Err(LocalReply::overloaded());
        }
        Ok(())
    }

    /// Refuses what must not go on, and writes what the upstream is told of the client.
    fn make_safe(&mut self) -> Result<(), LocalReply> {
        let model = self.chain.model();
        let request = &mut self.memory.request;
        if request.method != Method::Connect && !request.path_and_query().starts_with(b"/") {
            return Err(LocalReply::no_path());
        }
        match request.normalize_path(&self.chain.path) {
            Ok(h1::PathOutcome::Unchanged | h1::PathOutcome::Changed) => {}
            Ok(h1::PathOutcome::Redirect) => return Err(LocalReply::path_redirect()),
            Err(_) => return Err(LocalReply::bad_path()),
        }
        let facts = &self.downstream.connection.admission.facts;
        let scratch = &mut self.memory.scratch;
        let worker = self.downstream.worker();
        let source = Source { model, facts, scheme: self.scheme.as_str(), local_address: worker.process.local_address };
        let mut remembered = self.downstream.connection.remembered.borrow_mut();
        if remembered.is_none() && self.downstream.connection.served.get() > 1 {
            *remembered = Some(Box::default());
        }
        let known = remembered.as_mut().and_then(|remembered| {
            let introduction = &mut remembered.introduction;
            if !introduction.as_ref().is_some_and(|known| known.is_of(&self.chain)) {
                *introduction = Some(Introduction::new(&self.chain, &source));
            }
            introduction.as_ref()?.write(request.fields_mut())
        });
        let client = known.unwrap_or_else(|| forwarded::describe(&source, request, scratch));
        forwarded::identify(model, client, request.fields_mut(), &worker.random);
        self.client = client.address;
        client_certificate::apply(model.forward_client_cert, facts.tls.as_deref(), request.fields_mut(), scratch);
        let wanted = request.upgrade();
        let allowed = |wanted: &[u8]| model.upgrades.iter().any(|known| wanted.eq_ignore_ascii_case(known.as_bytes()));
        if wanted.is_some_and(|wanted| !allowed(wanted)) {
            return Err(LocalReply::upgrade_refused());
        }
        Ok(())
    }

    async fn route(&mut self) -> After {
        let Some((routes, host)) = self.find_host() else { return self.no_route() };
        let way = match self.find_way(&routes, host) {
            Ok(way) => way,
            Err(after) => return after,
        };
        match upstream_request::send(self, &way.cluster, &way.found, way.forward).await {
            Answered::Upstream(answer) => {
                self.change_response(&way.found, way.target);
                response_forwarding::deliver(self, answer, &way.cluster).await
            }
            Answered::Local(reply) => {
                if self.memory.outcome.target.is_some() {
                    self.body.skip_pending(&mut self.downstream.source);
                }
                self.reply(reply, Some(&way.found))
            }
            Answered::ClientGone => self.client_gone(),
        }
    }

    fn find_host(&mut self) -> Option<(Rc<WorkerRoutes>, VirtualHostIndex)> {
        let request = &self.memory.request;
        if request.authority().is_empty() {
            return None;
        }
        let routes = self.chain.routes(self.downstream.worker())?;
        let host = match &mut *self.downstream.connection.remembered.borrow_mut() {
            Some(remembered) => remembered.host.look_up(&routes, request.authority()),
            None => routes.table.virtual_host(request.authority()),
        }?;
        Some((routes, host))
    }

    /// Where the request goes, already changed for it; otherwise it is answered.
    fn find_way<'r>(&mut self, routes: &'r Rc<WorkerRoutes>, host: VirtualHostIndex) -> Result<Way<'r>, After> {
        let view = View { head: &self.memory.request, scheme: self.scheme.as_str() };
        let Some(found) = routes.table.find(host, &view) else { return Err(self.no_route()) };
        self.memory.outcome.taken = Some(Taken { routes: routes.clone(), route: found.position(), cluster: None });
        if let Some(reply) = self.chain.filters.refusal() {
            return Err(self.refused(reply, &found));
        }
        let reply = match &found.route.action {
            Action::Forward(forward) => match self.prepare(routes, &found, forward) {
                Ok((target, cluster)) => return Ok(Way { found, forward, target, cluster }),
                Err(reply) => reply,
            },
            Action::Redirect(redirect) => {
                self.chain.counters.rq_redirect.increment();
                let view = View { head: &self.memory.request, scheme: self.scheme.as_str() };
                found.location(&view, &mut self.memory.scratch);
                LocalReply::redirect(redirect.status)
            }
            Action::DirectResponse(direct) => {
                self.chain.counters.rq_direct_response.increment();
                let mut reply = LocalReply::direct(direct.status, &direct.body);
                let view = View { head: &self.memory.request, scheme: self.scheme.as_str() };
                if found.location(&view, &mut self.memory.scratch) {
                    reply.location = Location::Scratch;
                }
                reply
            }
            Action::Refused(reason) => {
                tracing::debug!("a request met a route that was refused: {reason}");
                return Err(self.reply(LocalReply::route_refused(), None));
            }
        };
        Err(self.reply(reply, Some(&found)))
    }

    /// Whether a route takes CONNECT requests.
    fn may_connect(&self, forward: &Forward) -> bool {
        match forward.connect {
            ConnectMode::Inherited => self.chain.model().upgrades.iter().any(|upgrade| upgrade == "connect"),
            ConnectMode::Refused => false,
            ConnectMode::Forwarded | ConnectMode::Terminated => true,
        }
    }

    /// Picks the target and its cluster, and changes the request for them.
    fn prepare<'r>(
        &mut self,
        routes: &WorkerRoutes,
        found: &RouteMatch<'_>,
        forward: &'r Forward,
    ) -> Result<(&'r route::Target, Rc<Cluster>), LocalReply> {
        let worker = self.downstream.worker();
        self.chain.counters.rq_total.increment();
        let target = forward.targets.pick(worker.random.next());
        let cluster = target.and_then(|target| routes.cluster(target.cluster, &worker.clusters));
        let (Some(target), Some(cluster)) = (target, cluster) else {
            self.chain.counters.no_cluster.increment();
            return Err(LocalReply::no_cluster(forward.cluster_not_found_status));
        };
        self.memory.outcome.leads_to(target);
        if self.memory.request.method == Method::Connect && !self.may_connect(forward) {
            return Err(LocalReply::upgrade_refused());
        }
        self.change_request(found, forward, target)?;
        if cluster.balances_by_hash() {
            self.hash_request(forward);
        }
        Ok((target, cluster))
    }
}
