//! What the proxy says about itself: counters, response flags and access logs.

pub mod access_log;
pub mod counter;
#[cfg(test)]
mod limits_page;
pub mod response_flags;
pub mod seldom;
