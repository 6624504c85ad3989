//! HTTP: from a connection's first byte to the access log's last.
//!
//! [`connection`] finds out which protocol a client speaks; [`http1`] reads its requests one after the other, [`http2`] all at once;
//! [`exchange`] is the whole life of one of them. Its steps are [`forwarded`],
//! [`client_certificate`], [`filter`], [`upstream_request`] with [`retry`], [`response_forwarding`], [`upgrade`] and [`local_reply`], with [`upstream_reset`];
//! they share [`chain`] (the configuration), [`downstream`] (the client), [`source`] and [`sink`] (what is read and written), [`message`] (memory), [`outcome`] (what the log line will say), [`body`], [`pace`] (clients that are too slow), [`mutation`],
//! [`view`] and [`counters`].

mod body;
mod chain;
pub(crate) mod client_certificate;
mod connection;
mod counters;
mod departure;
mod downstream;
mod exchange;
mod filter;
mod forwarded;
mod grpc;
mod http1;
mod http2;
mod local_reply;
mod message;
mod mutation;
mod outcome;
mod pace;
mod response_forwarding;
mod retry;
mod sink;
mod source;
mod upgrade;
mod upstream_request;
mod upstream_reset;
mod view;

pub use chain::HttpChain;
pub use connection::serve;
pub use counters::HttpCounters;
pub use http1::RequestPool;
pub use http2::StreamPool;
pub use message::MemoryPool;
pub use pace::MinimumRate;
pub use upstream_request::replay_limit;
