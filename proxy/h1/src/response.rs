//! Responses: the head, and the parser that fills it.

mod error;
mod head;
mod parse;

pub use error::ResponseError;
pub use head::ResponseHead;
pub use parse::Expectation;
