//! Requests: the head, and the parser that fills it.

mod error;
mod head;
mod http2;
mod parse;

pub use error::RequestError;
pub use head::{InvalidTarget, RequestHead};
