//! One member of etcd: connecting to it, and asking it.

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::{EtcdOptions, failed};
use crate::enroll::store::StoreError;

/// Time for connecting to a member, and for its answer. The next one is asked afterwards.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(3);
/// How long a connection may have brought nothing before a call asks whether it is there still (not more often than etcd lets its clients), and time for the
/// answer. Otherwise calls go on failing over a connection that has died without a word.
const SILENCE: Duration = Duration::from_secs(5);
const ALIVE: Duration = Duration::from_secs(3);

pub(super) struct Member {
    pub(super) endpoint: String,
    channel: Channel,
}

impl Member {
    /// Nothing is connected yet.
    pub(super) fn new(endpoint: &str, tls: Option<&ClientTlsConfig>) -> Result<Self, StoreError> {
        let failed = |reason: &dyn fmt::Display| failed(endpoint, reason);
        let mut builder = Endpoint::from_shared(endpoint.to_owned()).map_err(|error| failed(&error))?;
        match (endpoint.starts_with("https://"), tls) {
            (true, Some(tls)) => builder = builder.tls_config(tls.clone()).map_err(|error| failed(&error))?,
            (true, None) => return Err(failed(&"TLS needs to know whom to trust: etcd's cacert")),
            (false, Some(_)) => return Err(failed(&"certificates are of no use without https://")),
            (false, None) if endpoint.starts_with("http://") => {}
            (false, None) => return Err(failed(&"is not https://host:port or http://host:port")),
        }
        if is_readable_by_others(builder.uri()) {
            tracing::warn!("{endpoint}: everybody on the way can read the keys of the authority; use https://");
        }
        let builder = builder.http2_keep_alive_interval(SILENCE).keep_alive_timeout(ALIVE);
        let channel = builder.connect_timeout(CONNECT).timeout(ANSWER).connect_lazy();
        Ok(Self { endpoint: endpoint.to_owned(), channel })
    }

    /// Asks it; if it does not answer, says why.
    pub(super) async fn ask<Q, R>(&self, path: &'static str, question: Q) -> Result<R, String>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        call(&self.channel, path, question).await.map_err(|status| in_words(&status))
    }
}

async fn call<Q, R>(channel: &Channel, path: &'static str, question: Q) -> Result<R, Status>
where
    Q: Message + 'static,
    R: Message + Default + 'static,
{
    let mut client = Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let codec = ProstCodec::<Q, R>::default();
    let answered = client.unary(Request::new(question), PathAndQuery::from_static(path), codec).await;
    Ok(answered?.into_inner())
}

/// With what is behind it: a status alone says that the transport failed, and not why.
fn in_words(status: &Status) -> String {
    let mut words = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

/// Whether what is said to a member leaves the machine in clear text.
fn is_readable_by_others(member: &Uri) -> bool {
    let host = member.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    member.scheme_str() == Some("http") && !is_loopback
}

/// What a member is trusted by, and what it is shown, from files.
pub(super) fn tls(options: &EtcdOptions) -> Result<Option<ClientTlsConfig>, StoreError> {
    let Some(cacert) = &options.cacert else { return Ok(None) };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(cacert)?));
    if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
        tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
    }
    Ok(Some(tls))
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path).map_err(|error| failed(&path.display().to_string(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_is_for_this_machine() {
        for (endpoint, is_readable) in [
            ("http://127.0.0.1:2379", false),
            ("http://[::1]:2379", false),
            ("http://localhost:2379", false),
            ("https://10.0.0.1:2379", false),
            ("http://10.0.0.1:2379", true),
            ("http://etcd:2379", true),
        ] {
            assert_eq!(is_readable_by_others(&endpoint.parse().unwrap()), is_readable, "{endpoint}");
        }
    }
}
