//! What happens to a connection before its application: who is it, what does it want, which chain takes it, is it secure.

use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use xds_model::listener::{Listener, TransportProtocol};

use super::counters::OpenConnection;
use super::entrance;
use super::generation::{Generation, ServedBy};
use super::handshake::handshake;
use super::live::Live;
use super::open::{ActiveConnection, OpenListener, Registration};
use super::proxy_protocol::{self, Endpoints};
use super::refusal::Refusal;
use super::tls_inspector::{self, MAX_CLIENT_HELLO, Sniffed};
use crate::config::snapshot::ChainTransport;
use crate::http::{self, HttpChain};
use crate::io::Stream;
use crate::overload::{ConnectionLimits, Place, SourcePermit};
use crate::tcp::{self, TcpChain};
use crate::worker::Worker;
use crate::worker::connection::{Admission, ClientHelloFacts, ConnectionFacts};
use crate::worker::timer::Alarm;

/// Bytes that may be pending before the chain is known. A PROXY header that is longer than this is not accepted either.
const MAX_PENDING: usize = MAX_CLIENT_HELLO;

/// Serves a connection from accept to close. It has its place, and is counted as open, until then.
///
/// Not an `async fn`: that would keep room for its arguments beside what becomes of them, for as long as the connection is there.
pub(super) fn admit(
    socket: TcpStream,
    peer: SocketAddr,
    place: (Place, OpenConnection),
    listener: Rc<OpenListener>,
) -> impl Future<Output = ()> {
    // Boxed: the state of what comes before would be part of every connection.
    let admitted = Box::pin(identify(socket, peer, listener));
    async move {
        // What is in a scope of its own is kept no longer.
        let (serving, _registered, _source) = {
            let Some(Admitted { serving, worker, registration, source }) = admitted.await else { return };
            match serving {
                Serving::Http(stream, admission) => (http::serve(stream, admission, worker), registration, source),
                Serving::Tcp(stream, admission) => return Box::pin(tcp::serve(stream, admission, worker)).await,
            }
        };
        serving.await;
        drop(place);
    }
}

/// A connection that is to be served.
struct Admitted {
    serving: Serving,
    worker: Rc<Worker>,
    registration: Registration,
    source: SourcePermit,
}

/// What serves it.
enum Serving {
    Http(Stream, Rc<Admission<HttpChain>>),
    Tcp(Stream, Rc<Admission<TcpChain>>),
}

/// Finds out what a connection is and who serves it; `None` if nobody does.
async fn identify(socket: TcpStream, peer: SocketAddr, listener: Rc<OpenListener>) -> Option<Admitted> {
    let local = socket.local_addr().ok()?; // gone already
    let mut facts = new_facts(peer, local, &listener);
    let mut stream = Stream::accepted(socket, &listener.worker.io).ok()?;
    let generation = listener.generation();
    match prepare(&mut stream, &mut facts, &generation, &listener).await {
        Err(refusal) => {
            refusal.finish(&mut stream, &facts, &generation, &listener).await;
            None
        }
        Ok(chosen) => begin(stream, facts, &generation, chosen, &listener),
    }
}

/// A chain that takes the connection, and its place in the count of active ones.
struct Chosen {
    position: usize,
    active: ActiveConnection,
    source: SourcePermit,
}

/// Reads what the client says first, chooses a chain and secures the connection as the chain demands.
async fn prepare(
    stream: &mut Stream,
    facts: &mut ConnectionFacts,
    generation: &Generation,
    listener: &Rc<OpenListener>,
) -> Result<Chosen, Refusal> {
    let alarm = Alarm::new(&listener.worker.timers);
    let source = {
        let _pending = listener.counters.connections.downstream_pre_cx_active.hold();
        if generation.model.proxy_protocol || generation.model.tls_inspector {
            alarm.set_after(generation.model.listener_filters_timeout);
        }
        let looking = look(stream, facts, &generation.model, &listener.worker.process.overload.connections);
        alarm.limit(looking).await.unwrap_or(Err(Refusal::ListenerFilterTimeout))?
    };
    entrance::check_way(facts, &listener.worker).await?;
    let position = generation.find(facts).ok_or(Refusal::NoFilterChain)?;
    let chain = generation.chain(position).ok_or(Refusal::NoFilterChain)?;
    let active = listener.count_active();
    match &chain.snapshot.transport {
        ChainTransport::Raw => {}
        ChainTransport::Waiting(secret) => return Err(Refusal::SecretMissing(secret.clone())),
        ChainTransport::Tls(tls) => {
            let timeout = chain.model.transport_socket_connect_timeout;
            handshake(stream, facts, tls, timeout, &alarm, listener).await.map_err(Refusal::Handshake)?;
        }
    }
    entrance::check_caller(facts)?;
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
    if let Some(entrance) = &listener.entrance {
        entrance::check_hello(entrance, facts)?;
    }
    Ok(source)
}

async fn read_proxy_header(stream: &mut Stream, facts: &mut ConnectionFacts) -> Result<(), Refusal> {
    loop {
        if let Some((length, endpoints)) = proxy_protocol::parse(stream.input().bytes())? {
            stream.input_mut().consume(length);
            if let Endpoints::Known { source, destination } = endpoints {
                facts.proxy = Some(Box::new(facts.remote));
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
                    let server_name = hello.server_name.map(String::into_boxed_str);
                    facts.client_hello = Some(Box::new(ClientHelloFacts { server_name, protocols: hello.protocols }));
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

fn begin(
    stream: Stream,
    facts: ConnectionFacts,
    generation: &Rc<Generation>,
    chosen: Chosen,
    listener: &Rc<OpenListener>,
) -> Option<Admitted> {
    let (serving, live) = match listener.served_by(generation, chosen.position)? {
        ServedBy::Http(chain) => {
            let admission = Admission::new(facts, chain);
            (Serving::Http(stream, admission.clone()), Live::Http(admission))
        }
        ServedBy::Tcp(chain) => {
            let admission = Admission::new(facts, chain);
            (Serving::Tcp(stream, admission.clone()), Live::Tcp(admission))
        }
    };
    let registration = chosen.active.register(live, generation);
    Some(Admitted { serving, worker: listener.worker.clone(), registration, source: chosen.source })
}

fn new_facts(peer: SocketAddr, local: SocketAddr, listener: &OpenListener) -> ConnectionFacts {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    let clock = &listener.worker.io.clock;
    clock.invalidate(); // nothing may have been flushed since the worker last slept
    ConnectionFacts {
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        remote: peer,
        proxy: None,
        local,
        accepted: clock.now(),
        accepted_unix: clock.unix(),
        transport: TransportProtocol::RawBuffer,
        obeys_overload_manager: !listener.generation().model.bypass_overload_manager,
        is_at_entrance: listener.generation().model.entrance.is_some(),
        client_hello: None,
        tls: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes. There are tens of thousands of idle connections, and each has one. With what the runtime adds, 384: it takes
    /// multiples of 128.
    const LARGEST: usize = 280;

    fn size_of_future<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_carries_the_state_of_neither_handshake_nor_request() {
        let size = size_of_future(admit);
        assert!(size <= LARGEST, "{size} bytes: look at what -Zprint-type-sizes says of it");
    }
}
