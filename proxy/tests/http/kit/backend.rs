//! Servers behind the gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{Wire, within};

/// A server that a test plays itself.
#[derive(Debug)]
pub(crate) struct Backend {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    /// The next connection of the gateway.
    pub(crate) async fn accept(&self) -> Wire {
        Wire::new(within("a connection to the backend", self.listener.accept()).await.unwrap().0)
    }
}

/// An address where connects are refused: it is taken, but nobody listens.
#[derive(Debug)]
pub(crate) struct Refusing {
    _socket: TcpSocket,
    pub(crate) address: SocketAddr,
}

impl Refusing {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}

/// A server that answers every request without a body with its name.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Connections taken so far.
    pub(crate) connections: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(name: &'static str) -> Self {
        Self::saying(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len())).await
    }

    /// One whose answers have this status, and no body.
    pub(crate) async fn answering(status: &str) -> Self {
        Self::saying(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await
    }

    async fn saying(answer: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, answer.into(), connections.clone()));
        Self { address, connections, _tasks: tasks }
    }
}

async fn accept(listener: TcpListener, answer: Arc<str>, connections: Arc<AtomicU64>) {
    let mut serving = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        serving.spawn(serve(stream, answer.clone()));
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<str>) {
    let mut received = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut received).await {
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            received.drain(..end + 4);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
