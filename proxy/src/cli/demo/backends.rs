//! What stands behind the gateway in the demo: two versions of a catalogue and an echo server.

use std::convert::Infallible;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Starts all backends; they end with the returned set.
pub(super) async fn start() -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    for (version, address) in [("v1", "127.0.0.1:18101"), ("v2", "127.0.0.1:18102")] {
        let listener = bind(address).await?;
        tasks.spawn(serve(listener, version));
    }
    let listener = bind("127.0.0.1:18103").await?;
    tasks.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(echo(socket));
        }
    });
    Ok(tasks)
}

/// A catalogue that calls itself so.
pub(super) async fn serve(listener: TcpListener, version: &'static str) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(catalogue(socket, version));
    }
}

async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("backend of the demo: cannot listen on {address}"))
}

/// Says which version it is and what it saw.
async fn catalogue(socket: TcpStream, version: &'static str) {
    let service = service_fn(move |request: Request<Incoming>| async move {
        let edge = request.headers().get("x-edge").and_then(|value| value.to_str().ok()).unwrap_or("-");
        let body = format!("{version} {} {edge}", request.uri().path());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body))))
    });
    // A broken connection is the client's to report.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

async fn echo(socket: TcpStream) {
    let (mut reader, mut writer) = socket.into_split();
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
}
