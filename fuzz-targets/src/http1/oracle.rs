//! Messages as hyper reads them.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use h1::Method;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http1::ours::Message;

/// The requests that arrive whole.
pub(super) fn requests(stream: &[u8]) -> Vec<Message> {
    let messages = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| {
        let messages = &messages;
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let start = format!("{} {}", head.method, head.uri);
                let message = Message { start, fields: list(&head.headers), body: body.to_bytes().to_vec() };
                messages.borrow_mut().push(message);
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let io = TokioIo::new(tokio::io::join(stream, tokio::io::sink()));
    let mut builder = server::Builder::new();
    let connection = builder.half_close(true).header_read_timeout(None).serve_connection(io, service);
    // An error is one in what follows the messages that were taken.
    drop(block_on(connection));
    messages.into_inner()
}

/// The response to a request with `method`, if it arrives whole.
pub(super) fn response(stream: &[u8], method: Method) -> Option<Message> {
    let (near, mut far) = tokio::io::duplex(64 << 10);
    let serve = async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(far.read_buf(&mut request).await.unwrap() > 0, "hyper sent no request");
        }
        far.write_all(stream).await.unwrap();
        far.shutdown().await.unwrap();
        far
    };
    let ask = async {
        let (mut sender, connection) = client::handshake(TokioIo::new(near)).await.unwrap();
        let request = Request::builder().method(method.as_str()).uri("/").body(Empty::<Bytes>::new()).unwrap();
        let exchange = async {
            let (head, body) = sender.send_request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes().to_vec();
            drop(sender);
            Some(Message { start: head.status.as_u16().to_string(), fields: list(&head.headers), body })
        };
        tokio::join!(exchange, connection).0
    };
    block_on(async { tokio::join!(serve, ask).1 })
}

fn list(fields: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
