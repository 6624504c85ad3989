//! One question and one answer over TLS, by which nodes get certificates.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The most bytes of a question or an answer.
pub(super) const LONGEST: u64 = 64 * 1024;
/// Time for all of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// What a node asks that has no certificate.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Join {
    pub(super) token: String,
    /// The request for a certificate (PKCS #10, DER), base64.
    pub(super) request: String,
    /// [`Token::proof`](super::Token::proof) for the request.
    pub(super) proof: [u8; 32],
}

/// What a node asks that has one, and has shown it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Renew {
    /// As in [`Join`].
    pub(super) request: String,
}

/// The answer to both.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The certificate and the roots, base64.
    Issued(Vec<String>),
    /// In words.
    Refused(String),
    /// The authority does not know at present, in words.
    Unavailable(String),
    /// Another hub has the authority.
    NotTheAuthority,
}

/// Asks a hub, by `host:port`. Whom it must be and who asks is in `config`.
///
/// # Errors
/// It cannot be reached, is not who it should be, does not let us in, or says nothing that can be read.
pub(super) async fn ask(config: Arc<ClientConfig>, hub: String, question: &impl Serialize) -> io::Result<Reply> {
    let asked = timeout(PATIENCE, async {
        let stream = TcpStream::connect(hub).await?;
        let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
        let mut tls = TlsConnector::from(config).connect(name, stream).await?;
        tls.write_all(&serde_json::to_vec(question)?).await?;
        tls.shutdown().await?;
        let mut answer = Vec::new();
        tls.take(LONGEST).read_to_end(&mut answer).await?;
        Ok(serde_json::from_slice(&answer)?)
    });
    asked.await.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {PATIENCE:?}"))))
}

/// The certificate and the roots of an answer.
pub(super) fn certificates(
    encoded: &[String],
) -> Result<(CertificateDer<'static>, Vec<CertificateDer<'static>>), String> {
    let decode = |encoded: &String| {
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|error| error.to_string())?;
        Ok::<_, String>(CertificateDer::from(bytes))
    };
    let (certificate, roots) = encoded.split_first().ok_or("no certificate")?;
    Ok((decode(certificate)?, roots.iter().map(decode).collect::<Result<_, _>>()?))
}

/// Asks one hub after the other until one has signed: what it answers. One that refuses may have an old copy of the store, or be no friend: the others are
/// asked as well.
pub(super) async fn ask_all<F>(hubs: &[String], ask: impl Fn(String) -> F) -> Result<Vec<String>, Reasons>
where
    F: Future<Output = io::Result<Reply>>,
{
    let mut reasons = Reasons::default();
    for hub in hubs {
        match ask(hub.clone()).await {
            Ok(Reply::Issued(chain)) => return Ok(chain),
            Ok(Reply::Refused(reason)) => {
                reasons.is_refusal = true;
                reasons.add(hub, &reason);
            }
            Ok(Reply::Unavailable(reason)) => reasons.add(hub, &reason),
            Ok(Reply::NotTheAuthority) => reasons.add(hub, &"not the authority"),
            Err(error) => reasons.add(hub, &error),
        }
    }
    Err(reasons)
}

/// Why each hub that was asked is of no use, for a message.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    /// One of them has said no.
    pub(super) is_refusal: bool,
    words: Vec<String>,
}

impl Reasons {
    fn add(&mut self, hub: &str, reason: &dyn fmt::Display) {
        self.words.push(format!("{hub}: {reason}"));
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask_these(answers: &[(&str, io::Result<Reply>)]) -> Result<Vec<String>, Reasons> {
        let hubs: Vec<_> = answers.iter().map(|(hub, _)| (*hub).to_owned()).collect();
        let answer = async |hub: String| match &answers.iter().find(|(name, _)| *name == hub).unwrap().1 {
            Ok(reply) => serde_json::from_slice(&serde_json::to_vec(reply).unwrap()).map_err(io::Error::other),
            Err(error) => Err(error.kind().into()),
        };
        ask_all(&hubs, answer).await
    }

    #[tokio::test]
    async fn the_word_of_one_hub_is_not_the_last_one() {
        let refused = || Ok(Reply::Refused("no".into()));
        let issued = || Ok(Reply::Issued(vec!["certificate".into()]));
        let unavailable = || Ok(Reply::Unavailable("not now".into()));
        let chain = ask_these(&[("a", refused()), ("b", unavailable()), ("c", issued())]).await.unwrap();
        assert_eq!(chain, ["certificate"]);
        let away = || Err(io::ErrorKind::ConnectionRefused.into());
        let reasons =
            ask_these(&[("a", refused()), ("b", Ok(Reply::NotTheAuthority)), ("c", away())]).await.unwrap_err();
        assert!(reasons.is_refusal);
        assert_eq!(reasons.to_string(), "a: no; b: not the authority; c: connection refused");
        assert!(!ask_these(&[("a", unavailable()), ("b", away())]).await.unwrap_err().is_refusal);
    }
}
