//! Servers behind the gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// What a backend does with a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// Says its name and a line feed first, then repeats what it hears.
    GreetAndEcho,
    /// Repeats what it hears, then says its name when the client has finished.
    EchoThenName,
    /// Sends zeros for as long as somebody takes them.
    Flood,
}

/// A server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    /// Bytes sent by [`Behaviour::Flood`].
    pub(crate) sent: Arc<AtomicU64>,
    /// Connections taken so far.
    pub(crate) connections: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Backend {
    pub(crate) async fn start(name: &'static str, behaviour: Behaviour) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that what a flood pushes into the gateway is seen to stop.
        socket.set_send_buffer_size(64 * 1024).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(128).unwrap();
        let address = listener.local_addr().unwrap();
        let (sent, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, name, behaviour, sent.clone(), connections.clone()));
        Self { address, sent, connections, _tasks: tasks }
    }
}

async fn accept(
    listener: TcpListener,
    name: &'static str,
    behaviour: Behaviour,
    sent: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
) {
    let mut serving = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        serving.spawn(serve(stream, name, behaviour, sent.clone()));
    }
}

async fn serve(mut stream: TcpStream, name: &str, behaviour: Behaviour, sent: Arc<AtomicU64>) {
    let greeting = format!("{name}\n");
    match behaviour {
        Behaviour::GreetAndEcho => {
            drop(stream.write_all(greeting.as_bytes()).await);
            echo(&mut stream).await;
        }
        Behaviour::EchoThenName => {
            echo(&mut stream).await;
            drop(stream.write_all(greeting.as_bytes()).await);
        }
        Behaviour::Flood => {
            let zeros = vec![0; 16 * 1024];
            while let Ok(count) = stream.write(&zeros).await {
                sent.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }
}

async fn echo(stream: &mut TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
