//! The request parser: line by line, as lines arrive.

use crate::body_length::{BodyLength, TransferEncoding};
use crate::field_line::{self, Field, NoField, REMOVED};
use crate::fields::{JOINED_IN_REQUESTS, MAX_BYTES, MAX_FIELDS_FROM_WIRE, Span};
use crate::hop_by_hop;
use crate::limits::{Limits, Underscores};
use crate::method::{self, Method};
use crate::name::Header;
use crate::request::{RequestError, RequestHead};
use crate::scan::{is_authority, list_elements};
use crate::target;
use crate::version::Version;

impl RequestHead {
    /// Parses a request head (RFC 9112 2 and 3).
    ///
    /// `input` starts at the first byte of the message and holds what has arrived so far. `Ok(None)`: more is needed;
    /// call again with the same bytes and more, no byte is looked at twice but those of the unfinished line.
    /// `Ok(Some(n))`: the head is complete and took `n` bytes. After an error method, path and authority are readable as
    /// far as they were understood. Call [`RequestHead::clear`] before the next message.
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, RequestError> {
        let input = input.get(..MAX_BYTES).unwrap_or(input);
        let outcome = match self.advance(input, limits) {
            Ok(None) if input.len() >= limits.max_head_bytes => Err(RequestError::HeadTooLarge),
            Ok(Some(end)) if end > limits.max_head_bytes => Err(RequestError::HeadTooLarge),
            outcome => outcome,
        };
        if outcome.is_err() {
            let position = self.progress.position.min(input.len());
            self.fields.adopt(input.get(..position).unwrap_or_default());
            self.authority = self.progress.authority.or(self.progress.host).unwrap_or_default();
        }
        outcome
    }

    fn advance(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, RequestError> {
        if self.progress.searched > 0 {
            let fresh = input.get(self.progress.searched..).unwrap_or_default();
            if memchr::memchr(b'\n', fresh).is_none() {
                self.progress.searched = input.len();
                return Ok(None);
            }
        }
        if !self.progress.started && !self.request_line(input, limits)? {
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
                    self.finish(input.get(..end).unwrap_or_default())?;
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

    /// Reads the request line; `false` when it is not complete. Empty lines before it are skipped (RFC 9112 2.2).
    fn request_line(&mut self, input: &[u8], limits: &Limits) -> Result<bool, RequestError> {
        while input.get(self.progress.position..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
            self.progress.position += 2;
        }
        let start = self.progress.position;
        let rest = input.get(start..).unwrap_or_default();
        if rest.is_empty() || rest == b"\r" {
            return Ok(false);
        }
        if !rest.first().is_some_and(u8::is_ascii_uppercase) {
            return Err(RequestError::Method);
        }
        let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(false) };
        let Some([line @ .., b'\r']) = rest.get(..end) else { return Err(RequestError::BareLineFeed) };
        self.split_request_line(line, start, limits)?;
        self.progress.position = start + end + 1;
        self.progress.searched = 0;
        self.progress.started = true;
        Ok(true)
    }

    fn split_request_line(&mut self, line: &[u8], start: usize, limits: &Limits) -> Result<(), RequestError> {
        let space = line.iter().take(method::LONGEST).position(|byte| *byte == b' ').ok_or(RequestError::Method)?;
        let (method, rest) = line.split_at(space);
        self.method = Method::from_name(method).ok_or(RequestError::Method)?;
        let rest = rest.get(1..).unwrap_or_default();
        let last_space = match rest.len().checked_sub(9) {
            Some(at) if rest.get(at) == Some(&b' ') => at,
            _ => rest.iter().rposition(|byte| *byte == b' ').ok_or(RequestError::RequestLine)?,
        };
        let (target, version) = rest.split_at(last_space);
        let parsed = target::parse(self.method, target, start + space + 1).ok_or_else(|| refused_target(target))?;
        self.version = parse_version(version, limits)?;
        self.path = parsed.path;
        self.original_path = parsed.path;
        self.scheme = parsed.scheme;
        self.had_fragment = parsed.had_fragment;
        self.unusual_path = parsed.unusual;
        self.progress.authority = parsed.authority;
        self.progress.path_missing = parsed.path_missing;
        Ok(())
    }

    #[inline(always)]
    fn field(&mut self, input: &[u8], mut field: Field, limits: &Limits) -> Result<(), RequestError> {
        if self.fields.seen() >= limits.max_headers.min(MAX_FIELDS_FROM_WIRE) {
            return Err(RequestError::TooManyHeaders);
        }
        if field.header.needs_attention() {
            self.special_field(input, field.header, field.value())?;
            field.flags |= u8::from(field.header.ends_at_this_hop()) * REMOVED;
        } else if field.header == Header::Other && limits.underscores != Underscores::Allow {
            let underscore = input.get(field.name().range()).is_some_and(|name| name.contains(&b'_'));
            if underscore && limits.underscores == Underscores::Reject {
                return Err(RequestError::Underscore);
            }
            field.flags |= u8::from(underscore) * REMOVED;
        }
        self.fields.note(field);
        Ok(())
    }

    /// A field that decides framing or concerns this connection only.
    #[inline(never)]
    fn special_field(&mut self, input: &[u8], header: Header, span: Span) -> Result<(), RequestError> {
        let value = input.get(span.range()).unwrap_or_default();
        let progress = &mut self.progress;
        match header {
            Header::Host => {
                if progress.host.replace(span).is_some() {
                    return Err(RequestError::DuplicateHost);
                }
                if !is_authority(value) {
                    return Err(RequestError::Host);
                }
            }
            Header::ContentLength => progress.framing.content_length(value)?,
            Header::TransferEncoding => progress.framing.transfer_encoding(value),
            Header::Connection if value.eq_ignore_ascii_case(b"keep-alive") => progress.keep_alive = true,
            Header::Connection => {
                for element in list_elements(value) {
                    match element {
                        close if close.eq_ignore_ascii_case(b"close") => progress.close = true,
                        keep if keep.eq_ignore_ascii_case(b"keep-alive") => progress.keep_alive = true,
                        upgrade if upgrade.eq_ignore_ascii_case(b"upgrade") => progress.wants_upgrade = true,
                        _ => progress.nominates = true,
                    }
                }
            }
            Header::ProxyConnection => progress.close |= value.eq_ignore_ascii_case(b"close"),
            Header::Upgrade => {
                if progress.upgrade.replace(span).is_some() {
                    return Err(RequestError::DuplicateUpgrade);
                }
                if value.eq_ignore_ascii_case(b"h2c") {
                    progress.upgrade = Some(Span::default());
                }
            }
            Header::Te => progress.has_te = true,
            Header::Expect => self.expect_continue = value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
        Ok(())
    }

    /// The head is complete: check what can only be checked now.
    fn finish(&mut self, head: &[u8]) -> Result<(), RequestError> {
        let authority = match (self.progress.authority, self.progress.host) {
            (Some(target), _) => target,
            (None, Some(host)) => host,
            (None, None) => return Err(RequestError::MissingHost),
        };
        self.authority = authority;
        self.body = self.body_length()?;
        self.fields.adopt(head);
        self.fields.join_repeated(JOINED_IN_REQUESTS);
        if self.progress.path_missing {
            self.add_missing_slash();
        }
        if self.progress.nominates {
            hop_by_hop::remove_nominated(&mut self.fields)?;
        }
        if self.progress.has_te {
            hop_by_hop::reduce_te(&mut self.fields);
        }
        self.keep_alive = !self.progress.close && (self.version != Version::Http10 || self.progress.keep_alive);
        let upgrade = self.progress.upgrade.filter(|span| self.progress.wants_upgrade && *span != Span::default());
        if upgrade.is_some() && self.version == Version::Http11 {
            self.accept_upgrade(upgrade)?;
        }
        Ok(())
    }

    /// Framing by RFC 9112 6.3; where that allows a choice, the request is refused.
    #[inline]
    fn body_length(&self) -> Result<BodyLength, RequestError> {
        let framing = self.progress.framing;
        let Some(encoding) = framing.transfer_encoding else {
            return match framing.content_length {
                Some(length) if length > 0 && self.method == Method::Connect => Err(RequestError::BodyDisallowed),
                Some(length) => Ok(BodyLength::Fixed(length)),
                None => Ok(BodyLength::None),
            };
        };
        match encoding {
            _ if self.version == Version::Http10 => Err(RequestError::TransferEncodingInHttp10),
            _ if framing.content_length.is_some() => Err(RequestError::ContentLengthWithTransferEncoding),
            _ if self.method == Method::Connect => Err(RequestError::TransferEncoding),
            TransferEncoding::Chunked => Ok(BodyLength::Chunked),
            TransferEncoding::Identity => Err(RequestError::IdentityTransferEncoding),
            TransferEncoding::Unsupported => Err(RequestError::TransferEncoding),
        }
    }

    /// Bytes behind an upgrade belong to the new protocol, so there must be no body before them.
    #[cold]
    fn accept_upgrade(&mut self, upgrade: Option<Span>) -> Result<(), RequestError> {
        if !self.body.is_empty() {
            return Err(RequestError::BodyDisallowed);
        }
        self.upgrade = upgrade;
        self.fields.restore(Header::Upgrade);
        self.fields.restore(Header::Connection);
        Ok(())
    }

    /// `http://host?query` means `/?query` (RFC 9112 3.2.1).
    #[cold]
    fn add_missing_slash(&mut self) {
        let start = self.fields.store(b"/").unwrap_or_default().start;
        let end = self.fields.store_copy(self.path).end;
        self.path = Span { start, end };
        self.original_path = self.path;
    }
}

/// Which kind of target is refused: that which starts like a URL has a code of its own in Envoy's logs.
#[cold]
fn refused_target(target: &[u8]) -> RequestError {
    let graphic = target.iter().all(u8::is_ascii_graphic);
    let is_url = graphic
        && target.first().is_some_and(u8::is_ascii_alphabetic)
        && memchr::memmem::find(target, b"://").is_some();
    if is_url { RequestError::AbsoluteTarget } else { RequestError::Target }
}

#[inline]
fn parse_version(version: &[u8], limits: &Limits) -> Result<Version, RequestError> {
    match version {
        b" HTTP/1.1" => Ok(Version::Http11),
        b" HTTP/1.0" if limits.accept_http_10 => Ok(Version::Http10),
        [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(RequestError::Version)
        }
        _ => Err(RequestError::RequestLine),
    }
}
