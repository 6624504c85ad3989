//! Opening the stream of the aggregated discovery service. What is said on it is `xds-client`'s business.

use futures_core::Stream;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Extensions, Request, Status, Streaming};

use crate::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use crate::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

/// The largest response that is accepted. istiod sends all resources of a type in one message.
pub const MAX_RESPONSE_BYTES: usize = 256 << 20;

/// Opens an incremental stream. It ends when `requests` ends, when the server ends it, or when it is dropped.
///
/// Servers answer, and so this returns, only after the first request: `requests` must yield one without waiting for the
/// stream to be open.
///
/// # Errors
///
/// The server's refusal, or `Unavailable` if it cannot be reached.
pub async fn open_delta_stream(
    channel: Channel,
    metadata: MetadataMap,
    requests: impl Stream<Item = DeltaDiscoveryRequest> + Send + 'static,
) -> Result<Streaming<DeltaDiscoveryResponse>, Status> {
    let mut client = AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MAX_RESPONSE_BYTES);
    let request = Request::from_parts(metadata, Extensions::default(), requests);
    Ok(client.delta_aggregated_resources(request).await?.into_inner())
}
