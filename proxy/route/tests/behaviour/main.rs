//! The rules of route tables, seen from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod hashes;
mod rewrites;
mod routes;
mod support;
mod virtual_hosts;
