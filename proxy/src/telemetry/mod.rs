//! What the proxy says about itself: counters, response flags and access logs.

pub mod access_log;
pub mod counter;
pub mod response_flags;
