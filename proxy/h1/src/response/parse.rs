//! The response parser: line by line, as lines arrive.

use crate::body_length::{BodyLength, TransferEncoding};
use crate::field_line::{self, Field, NoField, REMOVED};
use crate::fields::{MAX_BYTES, MAX_FIELDS_FROM_WIRE, Span};
use crate::limits::Limits;
use crate::method::Method;
use crate::name::Header;
use crate::response::{ResponseError, ResponseHead};
use crate::scan::{is_field_value, list_elements};
use crate::version::Version;

/// What the request was, as far as the meaning of its response depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The method of the request.
    pub method: Method,
    /// Whether the request asked for another protocol; otherwise 101 is refused.
    pub upgrade: bool,
}

impl ResponseHead {
    /// Parses a response head (RFC 9112 4), incrementally as `RequestHead::parse` does. A head that
    /// [`ResponseHead::is_interim`] is followed by another one: clear and parse again.
    pub fn parse(
        &mut self,
        input: &[u8],
        expectation: Expectation,
        limits: &Limits,
    ) -> Result<Option<usize>, ResponseError> {
        let input = input.get(..MAX_BYTES).unwrap_or(input);
        match self.advance(input, expectation, limits)? {
            None if input.len() >= limits.max_head_bytes => Err(ResponseError::HeadTooLarge),
            Some(end) if end > limits.max_head_bytes => Err(ResponseError::HeadTooLarge),
            outcome => Ok(outcome),
        }
    }

    fn advance(
        &mut self,
        input: &[u8],
        expectation: Expectation,
        limits: &Limits,
    ) -> Result<Option<usize>, ResponseError> {
        if self.progress.searched > 0 {
            let fresh = input.get(self.progress.searched..).unwrap_or_default();
            if memchr::memchr(b'\n', fresh).is_none() {
                self.progress.searched = input.len();
                return Ok(None);
            }
        }
        if !self.progress.started && !self.status_line(input)? {
            self.progress.searched = input.len();
            return Ok(None);
        }
        loop {
            match field_line::parse(input, self.progress.position) {
                Ok((field, next)) => {
                    self.field(input, field, limits)?;
                    self.progress.position = next;
                }
                Err(NoField::End(end)) => {
                    self.progress.position = end;
                    self.finish(input.get(..end).unwrap_or_default(), expectation)?;
                    return Ok(Some(end));
                }
                Err(NoField::Incomplete) => {
                    self.progress.searched = input.len();
                    return Ok(None);
                }
                Err(NoField::Refused(error)) => return Err(error.into()),
            }
        }
    }

    /// Reads the status line; `false` when it is not complete. The reason is checked and dropped.
    fn status_line(&mut self, input: &[u8]) -> Result<bool, ResponseError> {
        let known = input.len().min(STATUS_LINE_START.len());
        if input.get(..known) != STATUS_LINE_START.get(..known) {
            return Err(ResponseError::StatusLine);
        }
        let Some(end) = memchr::memchr(b'\n', input) else { return Ok(false) };
        let Some([line @ .., b'\r']) = input.get(..end) else { return Err(ResponseError::BareLineFeed) };
        let (version, status, reason) = match line.get(STATUS_LINE_START.len()..) {
            Some([version, b' ', a, b, c]) => (*version, [*a, *b, *c], &[][..]),
            Some([version, b' ', a, b, c, b' ', reason @ ..]) => (*version, [*a, *b, *c], reason),
            _ => return Err(ResponseError::StatusLine),
        };
        self.version = match version {
            b'1' => Version::Http11,
            b'0' => Version::Http10,
            _ => return Err(ResponseError::StatusLine),
        };
        if !status.iter().all(u8::is_ascii_digit) || status[0] == b'0' || !(reason == b"OK" || is_field_value(reason)) {
            return Err(ResponseError::StatusLine);
        }
        self.status = status.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
        self.progress.position = end + 1;
        self.progress.searched = 0;
        self.progress.started = true;
        Ok(true)
    }

    #[inline(always)]
    fn field(&mut self, input: &[u8], mut field: Field, limits: &Limits) -> Result<(), ResponseError> {
        if self.fields.seen() >= limits.max_headers.min(MAX_FIELDS_FROM_WIRE) {
            return Err(ResponseError::TooManyHeaders);
        }
        if field.header.needs_attention() {
            self.special_field(input, field.header, field.value())?;
            let removed = field.header.ends_at_this_hop() || field.header == Header::Te;
            field.flags |= u8::from(removed) * REMOVED;
        }
        self.fields.note(field);
        Ok(())
    }

    /// A field that decides framing or concerns this connection only.
    #[inline(never)]
    fn special_field(&mut self, input: &[u8], header: Header, span: Span) -> Result<(), ResponseError> {
        let value = input.get(span.range()).unwrap_or_default();
        let progress = &mut self.progress;
        match header {
            Header::ContentLength => progress.framing.content_length(value)?,
            Header::TransferEncoding => progress.framing.transfer_encoding(value),
            Header::Connection if value.eq_ignore_ascii_case(b"keep-alive") => progress.keep_alive = true,
            Header::Connection => {
                for element in list_elements(value) {
                    progress.close |= element.eq_ignore_ascii_case(b"close");
                    progress.keep_alive |= element.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            Header::ProxyConnection => progress.close |= value.eq_ignore_ascii_case(b"close"),
            Header::Upgrade if !value.is_empty() => progress.upgrade = Some(span),
            _ => {}
        }
        Ok(())
    }

    /// The head is complete: what follows it depends on the request, the status and the framing fields.
    fn finish(&mut self, head: &[u8], expectation: Expectation) -> Result<(), ResponseError> {
        self.content_length = self.progress.framing.content_length;
        self.keep_alive = !self.progress.close && (self.version != Version::Http10 || self.progress.keep_alive);
        self.fields.adopt(head);
        if self.status == 101 {
            return self.switch_protocols(expectation);
        }
        self.body = self.body_length(expectation.method)?;
        self.tunnel = expectation.method == Method::Connect && (200..300).contains(&self.status);
        self.keep_alive &= self.body != BodyLength::UntilClose && !self.tunnel;
        Ok(())
    }

    #[cold]
    fn switch_protocols(&mut self, expectation: Expectation) -> Result<(), ResponseError> {
        if !expectation.upgrade || self.progress.upgrade.is_none() {
            return Err(ResponseError::UnexpectedUpgrade);
        }
        self.upgrade = self.progress.upgrade;
        self.content_length = None;
        self.fields.remove(Header::ContentLength);
        self.fields.restore(Header::Upgrade);
        self.fields.restore(Header::Connection);
        self.tunnel = true;
        self.keep_alive = false;
        Ok(())
    }

    /// Framing by RFC 9112 6.3; where that allows a choice, the response is refused.
    #[inline]
    fn body_length(&mut self, method: Method) -> Result<BodyLength, ResponseError> {
        let framing = self.progress.framing;
        if self.status < 200 || self.status == 204 {
            return self.no_body();
        }
        let declared = match (framing.transfer_encoding, framing.content_length) {
            (None, Some(length)) => BodyLength::Fixed(length),
            (None, None) => BodyLength::UntilClose,
            (Some(_), Some(_)) => return Err(ResponseError::ContentLengthWithTransferEncoding),
            (Some(_), None) if self.version == Version::Http10 => return Err(ResponseError::TransferEncoding),
            (Some(TransferEncoding::Chunked), None) => BodyLength::Chunked,
            (Some(_), None) => return Err(ResponseError::TransferEncoding),
        };
        let bodiless = method == Method::Head || self.status == 304;
        let tunnel = method == Method::Connect && (200..300).contains(&self.status);
        Ok(if bodiless || tunnel { BodyLength::None } else { declared })
    }

    /// A status without body announces none (Envoy lets `content-length: 0` pass and takes it out).
    #[cold]
    fn no_body(&mut self) -> Result<BodyLength, ResponseError> {
        let framing = self.progress.framing;
        if framing.transfer_encoding.is_some() || framing.content_length.is_some_and(|length| length > 0) {
            return Err(ResponseError::BodyDisallowed);
        }
        self.fields.remove(Header::ContentLength);
        self.content_length = None;
        Ok(BodyLength::None)
    }
}

const STATUS_LINE_START: &[u8] = b"HTTP/1.";
