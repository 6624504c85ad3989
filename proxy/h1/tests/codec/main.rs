//! The rules of the codec, one table per concern; every message is also fed in pieces.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod bodies;
mod differential;
mod heads;
mod pieces;
mod requests;
mod responses;
mod serializing;
mod support;
