//! A server behind the gateway.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http2_oracle::server::{Builder, Connection, SendResponse};
use http2_oracle::{Reason, RecvStream, SendStream};
use std::future::poll_fn;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Message, read_all};
use crate::kit::{Backend, within};

/// The gateway's connection to a backend that the test plays itself.
pub(crate) struct Http2Upstream {
    requests: mpsc::UnboundedReceiver<Http2Request>,
    orders: mpsc::UnboundedSender<Order>,
    connection: JoinHandle<()>,
}

/// A request that arrived, its body perhaps to come.
pub(crate) struct Http2Request {
    pub(crate) head: Request<()>,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
}

enum Order {
    GoAway,
}

/// The head of an answer.
pub(crate) fn ok() -> Response<()> {
    Response::new(())
}

impl Http2Upstream {
    /// The next connection of the gateway.
    pub(crate) async fn accept(backend: &Backend) -> Self {
        Self::accept_with(backend, &Builder::new()).await
    }

    pub(crate) async fn accept_with(backend: &Backend, builder: &Builder) -> Self {
        Self::on(backend.accept().await.stream, builder).await
    }

    /// On a connection that was accepted.
    pub(crate) async fn on(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, builder: &Builder) -> Self {
        let connection = within("a handshake", builder.handshake(stream)).await.unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let (orders, received) = mpsc::unbounded_channel();
        Self { requests, orders, connection: tokio::spawn(serve(connection, sender, received)) }
    }

    /// The next request.
    pub(crate) async fn request(&mut self) -> Http2Request {
        within("a request", self.requests.recv()).await.unwrap()
    }

    /// Whether a request has arrived that nobody took.
    pub(crate) fn has_request(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Asks the gateway to open no more streams.
    pub(crate) fn go_away(&self) {
        self.orders.send(Order::GoAway).unwrap();
    }

    /// Waits until the connection is over.
    pub(crate) async fn ends(self) {
        within("the end of a connection", self.connection).await.unwrap();
    }

    /// Whether the connection is over.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.is_finished()
    }

    /// Breaks the connection off.
    pub(crate) async fn leave(self) {
        self.connection.abort();
        within("the end of a task", self.connection).await.unwrap_err();
    }
}

async fn serve(
    mut connection: Connection<impl AsyncRead + AsyncWrite + Unpin, Bytes>,
    requests: mpsc::UnboundedSender<Http2Request>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    loop {
        let accepted = poll_fn(|context| {
            while let Poll::Ready(Some(Order::GoAway)) = orders.poll_recv(context) {
                connection.graceful_shutdown();
            }
            connection.poll_accept(context)
        });
        let Some(Ok((head, respond))) = accepted.await else { return };
        let (head, body) = head.into_parts();
        // Nobody may listen any more.
        drop(requests.send(Http2Request { head: Request::from_parts(head, ()), body, respond }));
    }
}

impl Http2Request {
    pub(crate) fn path(&self) -> &str {
        self.head.uri().path()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        super::value(self.head.headers(), name)
    }

    /// Reads what is to come of it.
    pub(crate) async fn read(&mut self) -> Message<()> {
        let (body, trailers) = read_all(&mut self.body).await.unwrap();
        Message { head: (), body, trailers }
    }

    /// Begins to answer.
    pub(crate) fn answer(&mut self, head: Response<()>) -> SendStream<Bytes> {
        self.respond.send_response(head, false).unwrap()
    }

    /// Answers with this alone.
    pub(crate) fn answer_whole(mut self, head: Response<()>, body: impl Into<Bytes>, trailers: Option<HeaderMap>) {
        let body = body.into();
        let whole = body.is_empty() && trailers.is_none();
        let mut stream = self.respond.send_response(head, whole).unwrap();
        if !body.is_empty() {
            stream.send_data(body, trailers.is_none()).unwrap();
        }
        if let Some(trailers) = trailers {
            stream.send_trailers(trailers).unwrap();
        }
    }

    /// Answers with a body.
    pub(crate) fn says(self, body: &'static str) {
        self.answer_whole(ok(), body, None);
    }

    /// Gives it up.
    pub(crate) fn reset(mut self, code: Reason) {
        self.respond.send_reset(code);
    }

    /// Waits until the gateway has given it up; with which code.
    pub(crate) async fn is_reset(&mut self) -> Reason {
        within("a reset", poll_fn(|context| self.respond.poll_reset(context))).await.unwrap()
    }
}
