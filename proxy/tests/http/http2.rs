//! HTTP/2 on either side of the gateway, and on both.

mod abuse;
mod bodies;
mod crowds;
mod drain;
mod endings;
mod grpc;
mod live;
mod memory;
mod messages;
mod negotiated;
mod pairs;
mod pool;
mod protocols;
mod resets;
mod retries;
mod room;
mod tails;
mod tunnels;
