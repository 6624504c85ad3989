//! A client.

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http2_oracle::client::{Builder, ResponseFuture, SendRequest};
use http2_oracle::ext::Protocol;
use http2_oracle::{Error, Reason, RecvStream, SendStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Message, read_all};
use crate::kit::within;

/// A client's connection.
pub(crate) struct Http2Client {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), Error>>,
}

/// A request under way.
pub(crate) struct Asked {
    pub(crate) answer: ResponseFuture,
    pub(crate) body: SendStream<Bytes>,
}

/// A request without a body.
pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a{path}")).body(()).unwrap()
}

/// A request with one.
pub(crate) fn post(path: &str) -> Request<()> {
    Request::post(format!("http://a{path}")).body(()).unwrap()
}

/// Extended CONNECT (RFC 8441).
pub(crate) fn connect_request(protocol: &'static str, path: &str) -> Request<()> {
    let mut request = get(path);
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static(protocol));
    request
}

impl Http2Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &Builder::new()).await
    }

    pub(crate) async fn with(address: SocketAddr, builder: &Builder) -> Self {
        let stream = within("a connect", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (requests, connection) = within("a handshake", builder.handshake(stream)).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    /// Sends a head; `whole`: that is all.
    pub(crate) async fn send(&mut self, request: Request<()>, whole: bool) -> Asked {
        self.requests = within("room for a stream", self.requests.clone().ready()).await.unwrap();
        let (answer, body) = self.requests.send_request(request, whole).unwrap();
        Asked { answer, body }
    }

    /// Sends a request without a body and reads the answer.
    pub(crate) async fn ask(&mut self, path: &str) -> Message<Response<()>> {
        self.send(get(path), true).await.message().await
    }

    /// Waits until the gateway has said that it takes extended CONNECT.
    pub(crate) async fn may_connect(&self) {
        let allowed = async || self.requests.is_extended_connect_protocol_enabled();
        crate::kit::eventually("extended CONNECT is offered", allowed).await;
    }

    /// Whether the gateway has said that it takes extended CONNECT, after an answer of its.
    pub(crate) fn is_connect_offered(&self) -> bool {
        self.requests.is_extended_connect_protocol_enabled()
    }

    /// Waits until the gateway ends the connection; the code of its GOAWAY.
    pub(crate) async fn ends(self) -> Reason {
        let Self { requests, connection } = self;
        drop(requests);
        match within("the end of a connection", connection).await.unwrap() {
            Ok(()) => Reason::NO_ERROR,
            Err(error) => error.reason().unwrap_or_else(|| panic!("{error}")),
        }
    }

    /// Whether the connection is over.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.is_finished()
    }

    /// Closes the connection, whatever is under way.
    pub(crate) async fn leave(self) {
        self.connection.abort();
        within("the end of a task", self.connection).await.unwrap_err();
    }
}

impl Asked {
    /// The head of the answer, its body to come.
    pub(crate) async fn head(&mut self) -> Response<RecvStream> {
        within("the head of an answer", &mut self.answer).await.unwrap()
    }

    /// The next interim answer.
    pub(crate) async fn interim(&mut self) -> Response<()> {
        let interim = poll_fn(|context| self.answer.poll_informational(context));
        within("an interim answer", interim).await.unwrap().unwrap()
    }

    /// The whole answer.
    pub(crate) async fn message(self) -> Message<Response<()>> {
        self.try_message().await.unwrap()
    }

    /// The whole answer.
    ///
    /// # Errors
    /// The stream was reset.
    pub(crate) async fn try_message(mut self) -> Result<Message<Response<()>>, Error> {
        let (head, mut body) = within("the head of an answer", &mut self.answer).await?.into_parts();
        let (body, trailers) = read_all(&mut body).await?;
        Ok(Message { head: Response::from_parts(head, ()), body, trailers })
    }
}

impl Message<Response<()>> {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        super::value(self.head.headers(), name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref().and_then(|trailers: &HeaderMap| super::value(trailers, name))
    }
}
