//! What a change of configuration does to live connections: one table, one function.
//!
//! For every new generation the chain match of each live connection is run again with the facts that it came with. A chain of the
//! same kind whose TLS is no stricter than what the connection was admitted under adopts it: the connection lives on, and new
//! requests see the new configuration. Otherwise that one connection drains, or closes where TLS has become stricter. Envoy drains
//! every connection of a chain that changed in any way, and of all chains when anything else of the listener did.

use std::time::Duration;

use xds_model::listener::{FilterChain, TransportProtocol};
use xds_model::tls::DownstreamTls;

use crate::config::snapshot::{Application, ChainSnapshot, ChainTransport};
use crate::tls::allows_parameters;
use crate::worker::connection::{ConnectionFacts, TlsFacts};

/// When a change of a field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// With the next request; a TCP connection, which is one request, goes on as it is.
    NextRequest,
    /// With the next connection.
    NextConnection,
    /// With the next request of connections whose chain match leads to the same kind of chain again; the others drain.
    Rematch,
    /// Connections of the chain drain: what their bytes mean has changed.
    Drain,
    /// Connections close that would not have been admitted.
    CloseAffected,
}

/// The table: every field of a listener, of its chains and of their TLS.
pub const EFFECTS: &[(&str, Effect)] = &[
    // A listener of another name is another listener. One that is removed drains, and closes at the deadline.
    ("Listener.name", Effect::Drain),
    ("Listener.address", Effect::NextConnection),
    ("Listener.proxy_protocol", Effect::NextConnection),
    ("Listener.tls_inspector", Effect::NextConnection),
    ("Listener.listener_filters_timeout", Effect::NextConnection),
    ("Listener.ignore_global_connection_limit", Effect::NextConnection),
    ("Listener.bypass_overload_manager", Effect::NextConnection),
    ("Listener.filter_chains", Effect::Rematch),
    ("Listener.default_filter_chain", Effect::Rematch),
    ("Listener.access_log", Effect::NextConnection),
    ("Listener.entrance", Effect::NextConnection),
    ("FilterChain.name", Effect::NextRequest),
    ("FilterChain.matches", Effect::Rematch),
    // Clear text where TLS is now required closes; a connection that was terminated and now would not be drains.
    ("FilterChain.tls", Effect::CloseAffected),
    ("FilterChain.transport_socket_connect_timeout", Effect::NextConnection),
    // HTTP to TCP or back drains. Everything inside an HTTP connection manager counts with the next request.
    ("FilterChain.terminal", Effect::NextRequest),
    ("DownstreamTls.certificates", Effect::NextConnection),
    // Closes whoever showed a certificate that is not accepted any more.
    ("DownstreamTls.validation", Effect::CloseAffected),
    // Closes whoever showed none.
    ("DownstreamTls.require_client_certificate", Effect::CloseAffected),
    // Closes whoever uses a version, or a suite of TLS 1.2, that is not allowed any more.
    ("DownstreamTls.parameters", Effect::CloseAffected),
    ("DownstreamTls.alpn", Effect::NextConnection),
];

/// What becomes of one live connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The new chain serves its next request.
    Adopt,
    /// It finishes what is under way.
    Drain,
    /// It closes now.
    Close,
}

/// What speaks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP.
    Http,
    /// Opaque bytes.
    Tcp,
}

impl Kind {
    /// Of a chain's connections.
    pub fn of(application: &Application) -> Self {
        match application {
            Application::Http(_) => Self::Http,
            Application::Tcp(_) => Self::Tcp,
        }
    }
}

/// A chain that a live connection matches now.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// As the control plane said.
    pub model: &'a FilterChain,
    /// Compiled.
    pub snapshot: &'a ChainSnapshot,
}

/// Applies the table to a connection that was admitted with `facts` to a chain of `kind`.
pub fn verdict(facts: &ConnectionFacts, kind: Kind, now: Option<Candidate<'_>>) -> Verdict {
    let Some(chain) = now else { return Verdict::Drain };
    match (&facts.tls, &chain.model.tls) {
        (None, None) => {}
        (Some(tls), Some(wanted)) => {
            if !admits(tls, wanted, chain.snapshot, facts.accepted_unix) {
                return Verdict::Close;
            }
        }
        (None, Some(_)) if facts.transport == TransportProtocol::RawBuffer => return Verdict::Close,
        // TLS that was passed through and would now be terminated, or the other way round.
        (None, Some(_)) | (Some(_), None) => return Verdict::Drain,
    }
    match Kind::of(&chain.snapshot.application) == kind {
        true => Verdict::Adopt,
        false => Verdict::Drain,
    }
}

/// Whether the connection would be admitted now as it was then.
fn admits(tls: &TlsFacts, wanted: &DownstreamTls, chain: &ChainSnapshot, accepted: Duration) -> bool {
    match &chain.transport {
        ChainTransport::Tls(server) => server.admits(tls, accepted),
        // The certificate can be checked when the secret is there; the rest is known now.
        ChainTransport::Waiting(_) => {
            allows_parameters(&wanted.parameters, tls) && (tls.peer.is_some() || !wanted.require_client_certificate)
        }
        ChainTransport::Raw => true,
    }
}

#[cfg(test)]
mod tests;
