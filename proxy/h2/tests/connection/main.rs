//! Connections through their public interface: the rules, what is told, and what goes over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod abuse;
mod flow;
mod heads;
mod late_frames;
mod lifecycle;
mod messages;
mod rules;
mod support;
mod window_abuse;
mod wire;
