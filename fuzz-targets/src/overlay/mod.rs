//! The overlay: what is between two nodes of it, whatever the other one sends.

pub mod announcement;
pub mod call;
pub mod datagram;
pub mod leg;
pub mod link;
pub mod stream;
pub mod trust;
