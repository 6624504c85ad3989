//! The HTTP side of the admin interface.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Connections at a time; an operator has one, a scraper a few.
const MAX_CONNECTIONS: usize = 256;

/// How long a client may take for a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// No client needs a connection for longer, and one that does not read must not hold a place.
const LONGEST_CONNECTION: Duration = Duration::from_secs(30);

/// The log hears of a lack of descriptors no more often than this.
const WARNING_EVERY: Duration = Duration::from_secs(10);

/// What a port shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything (15000).
    All,
    /// Istio's agent (15020).
    Agent,
    /// Readiness (15021).
    Readiness,
    /// Metrics (15090).
    Metrics,
}

/// A request as the pages see it: no page reads a body.
#[derive(Debug)]
pub struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) from_loopback: bool,
}

impl Call {
    /// The first value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether a query parameter is there, with any value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.query.iter().any(|(found, _)| found == name)
    }
}

/// Pages of one process.
pub trait Pages: Send + Sync + 'static {
    /// Answers a request that came to a port.
    fn answer(&self, access: Access, call: &Call) -> impl Future<Output = Reply> + Send;
}

/// What a page answers.
pub type Reply = Response<Full<Bytes>>;

/// Serves connections until the task is dropped.
///
/// When there are too many connections the oldest ends: a probe is done at once, and whoever holds connections must not be able to
/// keep probes out.
pub async fn serve(listener: TcpListener, access: Access, admin: Arc<impl Pages>) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    let mut warned: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                open.retain(|connection| !connection.is_finished());
                if open.len() >= MAX_CONNECTIONS
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                open.push_back(tokio::spawn(serve_connection(socket, peer, access, admin.clone())).abort_handle());
            }
            Err(error) => {
                if warned.is_none_or(|warned| warned.elapsed() >= WARNING_EVERY) {
                    warned = Some(Instant::now());
                    tracing::warn!(address = ?listener.local_addr().ok(), "the admin interface cannot accept: {error}");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_connection(socket: TcpStream, peer: SocketAddr, access: Access, admin: Arc<impl Pages>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let admin = admin.clone();
        async move {
            let call = Call {
                method: request.method().clone(),
                path: request.uri().path().to_owned(),
                query: parse_query(request.uri().query().unwrap_or_default()),
                from_loopback: peer.ip().to_canonical().is_loopback(),
            };
            Ok::<_, Infallible>(admin.answer(access, &call).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(access == Access::All)
        .serve_connection(TokioIo::new(socket), service);
    match tokio::time::timeout(LONGEST_CONNECTION, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, "admin interface: {error}"),
        Err(_) => tracing::debug!(%peer, "admin interface: a connection took too long"),
    }
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name), percent_decode(value))
        })
        .collect()
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let value = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match value {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text page.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=UTF-8", body)
}

/// A JSON page.
pub(super) fn json(value: &serde_json::Value) -> Reply {
    let body = serde_json::to_vec_pretty(value).unwrap_or_default();
    reply(StatusCode::OK, "application/json", body)
}

/// What is answered where there is no page.
pub(super) fn not_found(call: &Call) -> Reply {
    text(StatusCode::NOT_FOUND, format!("invalid path `{}`\n", call.path))
}

/// A page of any kind.
pub(super) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let pairs = parse_query("format=json&filter=a%7Cb&usedonly&bad=%zz");
        let expected = [("format", "json"), ("filter", "a|b"), ("usedonly", ""), ("bad", "%zz")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
