//! The demo's client: one connection per request, so that every answer stands for itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The gateway in clear text.
pub(super) const HTTP: &str = "127.0.0.1:18080";
const HTTPS: &str = "127.0.0.1:18443";
const TCP: &str = "127.0.0.1:19000";
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// Sends a request over clear text.
pub(super) async fn get(host: &str, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
    let socket = TcpStream::connect(HTTP).await?;
    exchange(socket, host, path, headers).await
}

/// Sends a request over TLS, trusting just this certificate.
pub(super) async fn get_over_tls(host: &str, path: &str, trusted: &str) -> anyhow::Result<Answer> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())?;
    let socket = TcpStream::connect(HTTPS).await?;
    let socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await.context("TLS handshake")?;
    exchange(socket, host, path, &[]).await
}

/// Sends bytes over TCP and returns what comes back.
pub(super) async fn echo(message: &str) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect(TCP).await?;
    socket.write_all(message.as_bytes()).await?;
    socket.shutdown().await?;
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, socket.read_to_string(&mut answer)).await??;
    Ok(answer)
}

async fn exchange<S>(socket: S, host: &str, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::get(path).header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = async {
        let (parts, body) = sender.send_request(request.body(Empty::<Bytes>::new())?).await?.into_parts();
        let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| anyhow!("no answer within {PATIENCE:?}"))?;
    connection.abort();
    answer
}
