//! The ring with real sockets.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod closing;
mod kit;
mod receiving;
mod sending;
