//! A live connection, as its listener and its task both see it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use xds_model::listener::TransportProtocol;

/// What is known of a connection from the time it was accepted. Never changes.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// Unique in the process.
    pub id: u64,
    /// The client: the peer of the socket, or what the PROXY protocol said.
    pub remote: SocketAddr,
    /// The peer of the socket, if the PROXY protocol said that the client is somebody else.
    pub proxy: Option<Box<SocketAddr>>,
    /// Our side: of the socket, or what the PROXY protocol said.
    pub local: SocketAddr,
    /// When it was accepted.
    pub accepted: Instant,
    /// The same, since the Unix epoch.
    pub accepted_unix: Duration,
    /// What its first bytes are.
    pub transport: TransportProtocol,
    /// What memory in use leads to concerns it (`Listener.bypass_overload_manager`).
    pub obeys_overload_manager: bool,
    /// It came through an entrance of an edge (`Listener.entrance`).
    pub is_at_entrance: bool,
    /// What its ClientHello says, as sniffed or as TLS saw it. Boxed: a clear connection has none.
    pub client_hello: Option<Box<ClientHelloFacts>>,
    /// The outcome of the handshake, where we terminate TLS.
    pub tls: Option<Box<TlsFacts>>,
}

impl ConnectionFacts {
    /// The peer of the socket.
    pub fn direct_remote(&self) -> SocketAddr {
        self.proxy.as_deref().copied().unwrap_or(self.remote)
    }

    /// Who calls, if it came through an entrance: the one URI name of its certificate.
    pub fn caller(&self) -> Option<&str> {
        let certificate = self.tls.as_ref().filter(|_| self.is_at_entrance)?.peer.as_ref()?;
        let [name] = certificate.uri_names.as_slice() else { return None };
        Some(name)
    }

    /// The server name that the client asks for by TLS.
    pub fn server_name(&self) -> Option<&str> {
        self.client_hello.as_ref()?.server_name.as_deref()
    }

    /// The protocols that the client offers by ALPN.
    pub fn offered_protocols(&self) -> &[Vec<u8>] {
        self.client_hello.as_ref().map_or(&[], |hello| &hello.protocols)
    }
}

#[cfg(test)]
impl ConnectionFacts {
    /// Of a client of this machine that speaks in the clear.
    pub(crate) fn clear() -> Self {
        let address = ([127, 0, 0, 1], 1).into();
        Self {
            id: 1,
            remote: address,
            proxy: None,
            local: address,
            accepted: Instant::now(),
            accepted_unix: Duration::ZERO,
            transport: TransportProtocol::RawBuffer,
            obeys_overload_manager: true,
            is_at_entrance: false,
            client_hello: None,
            tls: None,
        }
    }
}

/// What a ClientHello says.
#[derive(Clone, Debug, Default)]
pub struct ClientHelloFacts {
    /// The server name, lower case.
    pub server_name: Option<Box<str>>,
    /// Protocols of the ALPN extension.
    pub protocols: Vec<Vec<u8>>,
}

/// The outcome of a TLS handshake.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    /// As Envoy writes it, such as `TLSv1.3`.
    pub version: &'static str,
    /// OpenSSL's name of the cipher suite.
    pub cipher: &'static str,
    /// The protocol agreed on by ALPN.
    pub protocol: Option<Box<[u8]>>,
    /// The certificate that the peer showed.
    pub peer: Option<Box<CertificateFacts>>,
    /// The certificate that we showed.
    pub local: Option<Arc<CertificateFacts>>,
    /// The peer's certificate was checked and accepted.
    pub peer_validated: bool,
}

/// What logs and headers say about a certificate.
#[derive(Clone, Debug, Default)]
pub struct CertificateFacts {
    /// The leaf and what the peer sent after it, DER.
    pub chain: Vec<Vec<u8>>,
    /// Subject, RFC 2253.
    pub subject: String,
    /// Issuer, RFC 2253.
    pub issuer: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// URI names.
    pub uri_names: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// SHA-256 of the leaf, lower-case hexadecimal.
    pub sha256: String,
    /// Begin of validity, since the Unix epoch.
    pub not_before: Duration,
    /// End of validity, since the Unix epoch.
    pub not_after: Duration,
}

/// What the listener wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Go on.
    Serve,
    /// Finish with the next request: an idle connection may wait for it.
    LastRequest,
    /// Finish what is under way, then close.
    Drain,
    /// As [`Self::Drain`], because memory is short: also where nothing was ever asked.
    Shed,
    /// Close now.
    Close,
}

/// The link between a listener and a live connection that it admitted. `A` is what serves it: an HTTP or a TCP chain.
#[derive(Debug)]
pub struct Admission<A> {
    /// What is known of the connection.
    pub facts: ConnectionFacts,
    application: RefCell<Rc<A>>,
    wish: Cell<Wish>,
    task: RefCell<Option<Waker>>,
}

impl<A> Admission<A> {
    /// Of a connection that `application` is to serve.
    pub fn new(facts: ConnectionFacts, application: Rc<A>) -> Rc<Self> {
        Rc::new(Self {
            facts,
            application: RefCell::new(application),
            wish: Cell::new(Wish::Serve),
            task: RefCell::new(None),
        })
    }

    /// What serves the connection now. Requests ask once, at their beginning.
    pub fn application(&self) -> Rc<A> {
        self.application.borrow().clone()
    }

    /// From the next request on, `application` serves the connection.
    pub fn adopt(&self, application: Rc<A>) {
        drop(self.application.replace(application));
    }

    /// Asks the connection to drain or to close. A stronger wish is never taken back.
    pub fn ask(&self, wish: Wish) {
        if wish > self.wish.get() {
            self.wish.set(wish);
            self.wake();
        }
    }

    /// Lets whoever serves the connection look again.
    pub fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    /// What the listener wants now.
    pub fn wish(&self) -> Wish {
        self.wish.get()
    }

    /// Ready when the listener wants at least `wish`.
    pub fn poll_wish(&self, context: &mut Context<'_>, wish: Wish) -> Poll<()> {
        if self.wish.get() >= wish {
            return Poll::Ready(());
        }
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
        Poll::Pending
    }
}
