//! What the tests share: a gateway in this process, backends, certificates and models.

mod authority;
mod backend;
mod edge;
mod model;
mod wait;

pub(crate) use authority::{Authority, ClientOptions, Issued, ONLY_TLS12, ONLY_TLS13, TlsClient, connect_tls, uri};
pub(crate) use backend::{Backend, Behaviour};
pub(crate) use edge::{Edge, connect};
pub(crate) use model::{
    certificate_secret, cluster, listener, log_to, passthrough, secret, server_tls, tcp_chain, trust, weighted,
};
pub(crate) use wait::{closes, eventually, says, within};
