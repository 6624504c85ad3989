//! What a pool lends for one request: a whole connection, or the right to a stream of one.

use std::net::SocketAddr;
use std::rc::Rc;

use super::UpstreamConnection;
use super::http2::SharedConnection;

/// What carries one request to an endpoint.
#[derive(Debug)]
pub enum Lent {
    /// An HTTP/1 connection, for one request after the other.
    Http1(Box<UpstreamConnection>),
    /// An HTTP/2 connection that others use, too; a stream of it is opened with the head of the request.
    Http2(Rc<SharedConnection>),
}

impl Lent {
    /// The version of HTTP, as logs name it.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Http1(_) => "HTTP/1.1",
            Self::Http2(_) => "HTTP/2",
        }
    }

    /// The endpoint's side.
    pub fn remote(&self) -> SocketAddr {
        match self {
            Self::Http1(connection) => connection.remote,
            Self::Http2(connection) => connection.remote,
        }
    }

    /// Our side.
    pub fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Http1(connection) => connection.local,
            Self::Http2(connection) => connection.local,
        }
    }
}
