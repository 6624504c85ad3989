//! What happens to a connection before its application: who is it, what does it want, which chain takes it, is it secure.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;
use xds_model::listener::{Listener, TransportProtocol};

use super::counters::{ConnectionCounters, OpenConnection};
use super::generation::{Generation, ServedBy};
use super::handshake::handshake;
use super::live::Live;
use super::open::OpenListener;
use super::proxy_protocol::{self, Endpoints};
use super::refusal::Refusal;
use super::tls_inspector::{self, MAX_CLIENT_HELLO, Sniffed};
use crate::config::snapshot::ChainTransport;
use crate::io::Stream;
use crate::overload::{ConnectionLimits, Place, SourcePermit};
use crate::telemetry::counter::Held;
use crate::worker::connection::{Admission, ConnectionFacts};
use crate::worker::timer::Alarm;
use crate::{http, tcp};

/// Bytes that may be pending before the chain is known. A PROXY header that is longer than this is not accepted either.
const MAX_PENDING: usize = MAX_CLIENT_HELLO;

/// Serves a connection from accept to close. It has its place, and is counted as open, until then.
pub(super) async fn admit(
    socket: TcpStream,
    peer: SocketAddr,
    place: (Place, OpenConnection),
    listener: Rc<OpenListener>,
) {
    let _place = place;
    let Ok(local) = socket.local_addr() else { return }; // gone already
    let mut facts = new_facts(peer, local, &listener);
    let mut stream = Stream::new(socket, &listener.worker.io);
    let generation = listener.generation();
    match prepare(&mut stream, &mut facts, &generation, &listener).await {
        Err(refusal) => refusal.finish(&mut stream, &facts, &generation, &listener).await,
        Ok(chosen) => serve(stream, facts, generation, chosen, &listener).await,
    }
}

/// A chain that takes the connection, and its place in the count of active ones.
struct Chosen<'l> {
    position: usize,
    active: Active<'l>,
    source: SourcePermit,
}

/// Reads what the client says first, chooses a chain and secures the connection as the chain demands.
async fn prepare<'l>(
    stream: &mut Stream,
    facts: &mut ConnectionFacts,
    generation: &Generation,
    listener: &'l OpenListener,
) -> Result<Chosen<'l>, Refusal> {
    let alarm = Alarm::new(&listener.worker.timers);
    let source = {
        let _pending = listener.counters.connections.downstream_pre_cx_active.hold();
        alarm.set_after(generation.model.listener_filters_timeout);
        let looking = look(stream, facts, &generation.model, &listener.worker.process.overload.connections);
        alarm.limit(looking).await.unwrap_or(Err(Refusal::ListenerFilterTimeout))?
    };
    let position = generation.find(facts).ok_or(Refusal::NoFilterChain)?;
    let chain = generation.chain(position).ok_or(Refusal::NoFilterChain)?;
    let active = Active::new(listener);
    match &chain.snapshot.transport {
        ChainTransport::Raw => {}
        ChainTransport::Waiting(secret) => return Err(Refusal::SecretMissing(secret.clone())),
        ChainTransport::Tls(tls) => {
            let timeout = chain.model.transport_socket_connect_timeout;
            handshake(stream, facts, tls, timeout, &alarm, listener).await.map_err(Refusal::Handshake)?;
        }
    }
    Ok(Chosen { position, active, source })
}

/// The listener filters, in istiod's order. Behind a load balancer it is the PROXY header that tells the source.
async fn look(
    stream: &mut Stream,
    facts: &mut ConnectionFacts,
    listener: &Listener,
    limits: &ConnectionLimits,
) -> Result<SourcePermit, Refusal> {
    if listener.proxy_protocol {
        read_proxy_header(stream, facts).await?;
    }
    let source = limits.admit_source(facts.remote.ip()).ok_or(Refusal::TooManyOfSource)?;
    if listener.tls_inspector {
        inspect(stream, facts).await?;
    }
    Ok(source)
}

async fn read_proxy_header(stream: &mut Stream, facts: &mut ConnectionFacts) -> Result<(), Refusal> {
    loop {
        if let Some((length, endpoints)) = proxy_protocol::parse(stream.input().bytes())? {
            stream.input_mut().consume(length);
            if let Endpoints::Known { source, destination } = endpoints {
                (facts.remote, facts.local) = (source, destination);
            }
            return Ok(());
        }
        receive(stream).await?;
    }
}

async fn inspect(stream: &mut Stream, facts: &mut ConnectionFacts) -> Result<(), Refusal> {
    let mut wanted = 0;
    loop {
        let received = stream.input().bytes();
        if received.len() >= wanted {
            match tls_inspector::sniff(received) {
                Sniffed::Tls(hello) => {
                    facts.transport = TransportProtocol::Tls;
                    facts.server_name = hello.server_name.map(String::into_boxed_str);
                    facts.offered_protocols = hello.protocols;
                    return Ok(());
                }
                Sniffed::NotTls => return Ok(()),
                Sniffed::Incomplete => wanted = tls_inspector::bytes_wanted(received),
            }
        }
        receive(stream).await?;
    }
}

async fn receive(stream: &mut Stream) -> Result<(), Refusal> {
    match stream.fill(MAX_PENDING).await {
        Ok(0) | Err(_) => Err(Refusal::ClientGone),
        Ok(_) => Ok(()),
    }
}

async fn serve(
    stream: Stream,
    facts: ConnectionFacts,
    generation: Rc<Generation>,
    chosen: Chosen<'_>,
    listener: &Rc<OpenListener>,
) {
    let Some(served_by) = listener.served_by(&generation, chosen.position) else { return };
    let worker = listener.worker.clone();
    let (_active, _source) = (chosen.active, chosen.source);
    match served_by {
        ServedBy::Http(chain) => {
            let admission = Admission::new(facts, chain);
            let _registration = listener.register(Live::Http(admission.clone()), &generation);
            drop(generation);
            http::serve(stream, admission, worker).await;
        }
        ServedBy::Tcp(chain) => {
            let admission = Admission::new(facts, chain);
            let _registration = listener.register(Live::Tcp(admission.clone()), &generation);
            drop(generation);
            tcp::serve(stream, admission, worker).await;
        }
    }
}

fn new_facts(peer: SocketAddr, local: SocketAddr, listener: &OpenListener) -> ConnectionFacts {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    let clock = &listener.worker.io.clock;
    clock.invalidate(); // nothing may have been flushed since the worker last slept
    ConnectionFacts {
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        remote: peer,
        direct_remote: peer,
        local,
        accepted: clock.now(),
        accepted_unix: clock.unix(),
        transport: TransportProtocol::RawBuffer,
        server_name: None,
        offered_protocols: Vec::new(),
        tls: None,
    }
}

/// Counts a connection that a chain took, from then on.
struct Active<'l> {
    counters: &'l ConnectionCounters,
    _gauge: Held<'l>,
}

impl<'l> Active<'l> {
    fn new(listener: &'l OpenListener) -> Self {
        let counters = &*listener.counters.connections;
        counters.downstream_cx_total.increment();
        Self { counters, _gauge: counters.downstream_cx_active.hold() }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.counters.downstream_cx_destroy.increment();
    }
}
