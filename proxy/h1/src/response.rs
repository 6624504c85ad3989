//! Responses: the head, and the parser that fills it.

mod error;
mod head;
mod http2;
mod parse;

pub use error::ResponseError;
pub use head::ResponseHead;
pub use http2::SectionExpectation;
pub use parse::Expectation;
