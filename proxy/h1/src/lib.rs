//! HTTP/1 as an edge speaks it, both ways and without I/O.
//!
//! [`RequestHead`] and [`ResponseHead`] own one reusable buffer each; they are parsed from what arrived, changed, and
//! written to a buffer of the caller. [`BodyDecoder`] finds the bytes of a body, [`chunked`] writes chunks, [`path`]
//! normalises paths. Nothing allocates once buffers have grown to the size of the traffic.
//!
//! The rules are those of RFC 9112 at their strict end: where a lenient reading could let two parties disagree about where
//! a message ends, the message is refused. Otherwise behaviour is that of Envoy behind istiod.

mod body;
mod body_length;
pub mod chunked;
pub mod date;
mod field_line;
mod field_section;
mod fields;
mod header_set;
mod hop_by_hop;
mod limits;
mod method;
mod name;
pub mod path;
mod request;
mod response;
mod scan;
mod serialize;
pub mod status;
mod target;
mod version;

pub use body::{BodyDecoder, BodyError, Decoded};
pub use body_length::BodyLength;
pub use field_section::{PseudoHeader, SectionError, SectionField, SectionKind, SectionName, SectionSize};
pub use fields::{
    FieldError, FieldRef, Fields, JOINED_IN_REQUESTS, JOINED_IN_RESPONSES, MAX_BYTES, MAX_FIELDS, PreparedFields,
    ValueWriter,
};
pub use header_set::HeaderSet;
pub use limits::{Limits, Underscores};
pub use method::Method;
pub use name::Header;
pub use path::{EscapedSlashes, PathError, PathOptions, PathOutcome};
pub use request::{InvalidTarget, RequestError, RequestHead};
pub use response::{Expectation, ResponseError, ResponseHead, SectionExpectation};
pub use serialize::{LocalReply, write_local_reply, write_request, write_response};
pub use target::Scheme;
pub use version::Version;
