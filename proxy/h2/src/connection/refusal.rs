//! Field sections that are refused: malformed ones, and those beyond a limit (RFC 9113 8.1.1).

use h1::SectionError;

use crate::connection::Connection;
use crate::error::{Code, ConnectionError};
use crate::event::Event;
use crate::streams::Key;

type Outcome = Result<Option<Event>, ConnectionError>;

impl<T> Connection<T> {
    /// A section on a stream that the user knows is refused.
    #[cold]
    pub(super) fn section_error(&mut self, key: Key, error: SectionError, out: &mut Vec<u8>) -> Outcome {
        if error.is_malformed() && error != SectionError::LengthMismatch {
            return self.malformed(key, error.message(), out);
        }
        self.stream_error(key, code_of(error), error.message(), out)
    }

    /// A request is refused.
    #[cold]
    pub(super) fn refuse_section(&mut self, stream: u32, error: SectionError, out: &mut Vec<u8>) -> Outcome {
        let is_malformed = error.is_malformed() && error != SectionError::LengthMismatch;
        if is_malformed && self.config.close_on_malformed_message {
            // The user is told first; the connection ends with the next call.
            self.doomed = Some(ConnectionError::protocol(error.message()));
            return Ok(Some(Event::Refused {
                code: Code::PROTOCOL_ERROR,
                reason: error.message(),
                detail: error.detail(),
            }));
        }
        self.write_forced_reset(stream, code_of(error), out)?;
        self.pass_over(stream);
        Ok(Some(Event::Refused { code: code_of(error), reason: error.message(), detail: error.detail() }))
    }

    /// A message is malformed (RFC 9113 8.1.1).
    #[cold]
    pub(super) fn malformed(&mut self, key: Key, reason: &'static str, out: &mut Vec<u8>) -> Outcome {
        if self.config.close_on_malformed_message {
            return Err(ConnectionError::protocol(reason));
        }
        self.stream_error(key, Code::PROTOCOL_ERROR, reason, out)
    }
}

/// What a stream with such a section is reset with: what is beyond our limits gets what Envoy says then.
fn code_of(error: SectionError) -> Code {
    if error.is_limit() { Code::INTERNAL_ERROR } else { Code::PROTOCOL_ERROR }
}
