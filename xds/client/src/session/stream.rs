//! One stream, from connecting to its end.

use std::time::{Instant, SystemTime};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::{info, warn};
use xds_api::ads::open_delta_stream;
use xds_api::envoy::config::core::v3::Node;
use xds_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use super::run::{End, Runner};
use super::wire;
use crate::control_plane::Connection;
use crate::delta::{Delivery, Request};
use crate::event::Event;

/// Requests that the server has not taken yet. A server that leaves more than these unread is not listening.
const REQUESTS: usize = 1024;

/// Refusals of one response that are logged; the status and the NACK have more.
const LOGGED_REFUSALS: usize = 10;

/// The sending side.
pub(super) struct Outgoing {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    node: Node,
}

impl Runner {
    /// Opens a stream and serves it. Returns why there is none (any more).
    pub(super) async fn serve_stream(&mut self) -> End {
        let result = self.try_serve_stream().await;
        self.protocol.close();
        self.outgoing = None;
        result.err().unwrap_or(End::Stopped)
    }

    /// Never returns `Ok`: a stream has no natural end.
    async fn try_serve_stream(&mut self) -> Result<std::convert::Infallible, End> {
        let control_plane = self.options.control_plane.clone();
        let connection = self.attend(control_plane.connect(), None).await?.map_err(End::Failed)?;
        let metadata = self.attend(control_plane.metadata(), None).await?.map_err(End::Failed)?;

        let (requests, receiver) = mpsc::channel(REQUESTS);
        self.outgoing = Some(Outgoing { requests, node: self.options.node.message() });
        let first = {
            let configuration = self.shared.configuration();
            self.protocol.open(|kind| configuration.cache().held(kind))
        };
        self.shared.configuration().reopened();
        self.request(first)?;

        let opening = open_delta_stream(connection.channel.clone(), metadata, ReceiverStream::new(receiver));
        let mut responses = self.await_first(opening, &connection).await?;
        let first = self.await_first(responses.message(), &connection).await?;
        self.note_connected().await?;
        self.receive(first.ok_or_else(ended)?).await?;
        loop {
            let response = self.next(&mut responses, &connection).await?;
            self.receive(response).await?;
        }
    }

    /// Sends requests, if a stream stands.
    pub(super) fn request(&self, requests: impl IntoIterator<Item = Request>) -> Result<(), End> {
        self.outgoing.as_ref().map_or(Ok(()), |outgoing| outgoing.send(requests))
    }

    /// A server sends its headers only with its first response, so both have the same bound.
    async fn await_first<T>(
        &mut self,
        future: impl Future<Output = Result<T, Status>>,
        connection: &Connection,
    ) -> Result<T, End> {
        let limit = self.options.timing.first_response;
        match self.attend(tokio::time::timeout(limit, future), Some(connection)).await? {
            Ok(result) => result.map_err(|status| End::Failed(describe(&status))),
            Err(_) => Err(End::Failed(format!("no response within {limit:?}"))),
        }
    }

    async fn next(
        &mut self,
        responses: &mut Streaming<DeltaDiscoveryResponse>,
        connection: &Connection,
    ) -> Result<DeltaDiscoveryResponse, End> {
        let received = self.attend(responses.message(), Some(connection)).await?;
        received.map_err(|status| End::Failed(describe(&status)))?.ok_or_else(ended)
    }

    async fn receive(&mut self, response: DeltaDiscoveryResponse) -> Result<(), End> {
        let version = response.system_version_info.clone();
        let delivery = match self.protocol.receive(wire::response(response)) {
            Ok(delivery) => delivery,
            Err(unexpected) => {
                warn!(session = self.options.name, "{unexpected}");
                self.shared.status().unexpected_responses += 1;
                return Ok(());
            }
        };
        let Delivery { kind, resources, removed, unwanted, receipt } = delivery;
        let refused = self.shared.configuration().apply(kind, &resources, &removed, Instant::now());
        {
            let mut status = self.shared.status();
            let status = &mut status.kinds[kind.index()];
            status.version = version;
            status.unwanted += unwanted as u64;
            status.note_verdict(resources.len(), &refused);
        }
        for refusal in refused.iter().take(LOGGED_REFUSALS) {
            warn!(session = self.options.name, "{kind} {} is refused: {}", refusal.name, refusal.reason);
        }
        let answer = self.protocol.conclude(receipt, resources.len(), &refused);
        self.request(answer)?;
        self.publish().await
    }

    async fn note_connected(&mut self) -> Result<(), End> {
        info!(
            session = self.options.name,
            address = self.options.control_plane.address,
            "connected to the control plane"
        );
        {
            let mut status = self.shared.status();
            status.connected_since = Some(SystemTime::now());
            status.streams += 1;
        }
        self.send(vec![Event::Connected]).await
    }
}

impl Outgoing {
    fn send(&self, requests: impl IntoIterator<Item = Request>) -> Result<(), End> {
        for request in requests {
            let sent = self.requests.try_send(wire::request(request, &self.node));
            sent.map_err(|_| End::Failed("the server does not take our requests".to_owned()))?;
        }
        Ok(())
    }
}

fn ended() -> End {
    End::Failed("the server ended the stream".to_owned())
}

fn describe(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
