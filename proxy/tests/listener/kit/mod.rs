//! What the tests share: backends, certificates, models of TCP and TLS.

mod authority;
mod backend;
mod model;

use std::net::SocketAddr;

use tokio::net::TcpStream;

pub(crate) use authority::{Authority, ClientOptions, Issued, ONLY_TLS12, ONLY_TLS13, TlsClient, connect_tls, uri};
pub(crate) use backend::{Backend, Behaviour};
pub(crate) use model::{certificate_secret, log_to, passthrough, secret, server_tls, tcp_chain, trust, weighted};

pub(crate) use crate::shared::edge::{Edge, Options};
pub(crate) use crate::shared::model::{cluster, listener};
pub(crate) use crate::shared::wait::{closes, eventually, says, within};

/// A client's connection.
pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    within("a connect", TcpStream::connect(address)).await.unwrap()
}
