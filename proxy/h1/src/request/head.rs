//! The head of a request, whichever protocol it came by.

use crate::body_length::{BodyLength, Framing};
use crate::fields::{FieldError, Fields, Span};
use crate::method::Method;
use crate::name::Header;
use crate::path::{self, PathError, PathOptions, PathOutcome};
use crate::request::http2::Section;
use crate::scan::is_authority;
use crate::target::{Scheme, is_sendable};
use crate::version::Version;

/// A path or an authority that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTarget;

impl std::fmt::Display for InvalidTarget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a request target or authority holds bytes that cannot be sent")
    }
}

impl std::error::Error for InvalidTarget {}

/// The head of a request: method, path, authority and fields in one reusable buffer.
///
/// The authority takes the place of `Host`, which is not among the fields; what concerns only this connection
/// (`Connection` and what it names, `TE` but for trailers, ...) is taken out while parsing. Content-length stays visible
/// among the fields, but only [`RequestHead::body`] decides what is written.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The version of the message.
    pub version: Version,
    /// The scheme of an absolute-form target, else `None`. `https` on a clear-text port is for the caller to refuse.
    pub scheme: Option<Scheme>,
    /// How the body is delimited.
    pub body: BodyLength,
    /// Whether the client keeps the connection.
    pub keep_alive: bool,
    /// `Expect: 100-continue`
    pub expect_continue: bool,
    /// Whether a fragment was cut off the target.
    pub had_fragment: bool,
    /// Whether the upgrade came as extended CONNECT (RFC 8441); the method is GET nevertheless.
    pub extended_connect: bool,
    pub(super) fields: Fields,
    pub(super) path: Span,
    pub(super) original_path: Span,
    pub(super) authority: Span,
    pub(super) upgrade: Option<Span>,
    pub(super) unusual_path: bool,
    pub(super) progress: Progress,
    scratch: Vec<u8>,
}

/// How far a head on the wire is parsed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Where the current line starts.
    pub(super) position: usize,
    /// Everything before is known to hold no end of the current line.
    pub(super) searched: usize,
    pub(super) started: bool,
    pub(super) path_missing: bool,
    pub(super) authority: Option<Span>,
    pub(super) host: Option<Span>,
    pub(super) framing: Framing,
    pub(super) upgrade: Option<Span>,
    pub(super) wants_upgrade: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) nominates: bool,
    pub(super) has_te: bool,
    pub(super) section: Section,
}

impl RequestHead {
    /// An empty head; nothing is allocated yet.
    pub fn new() -> Self {
        RequestHead::default()
    }

    /// Makes it empty for the next request; allocations are kept.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.method = Method::default();
        self.version = Version::default();
        self.scheme = None;
        self.body = BodyLength::None;
        self.keep_alive = false;
        self.expect_continue = false;
        self.had_fragment = false;
        self.extended_connect = false;
        self.path = Span::default();
        self.original_path = Span::default();
        self.authority = Span::default();
        self.upgrade = None;
        self.unusual_path = false;
        self.progress = Progress::default();
    }

    /// Starts a head that does not come from an HTTP/1 connection; fields are appended afterwards.
    pub fn start(&mut self, method: Method, path: &[u8], authority: &[u8]) -> Result<(), InvalidTarget> {
        self.clear();
        self.method = method;
        self.set_path(path)?;
        self.original_path = self.path;
        self.set_authority(authority)
    }

    /// Gives back memory above `bytes` bytes; for owners that keep heads in a pool.
    #[inline]
    pub fn shrink_to(&mut self, bytes: usize) {
        self.fields.shrink_to(bytes);
        self.scratch.shrink_to(bytes);
    }

    /// The fields.
    #[inline]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The fields, to change them.
    #[inline]
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    /// Path and query as they will be sent. `*` for the asterisk form, empty for CONNECT.
    #[inline]
    pub fn path_and_query(&self) -> &[u8] {
        self.fields.slice(self.path)
    }

    /// The path alone.
    #[inline]
    pub fn path(&self) -> &[u8] {
        path::split(self.path_and_query()).0
    }

    /// The query without its question mark; `None` when there is no question mark.
    #[inline]
    pub fn query(&self) -> Option<&[u8]> {
        path::split(self.path_and_query()).1
    }

    /// Path and query as the client sent them, before normalisation and rewrites, without a fragment.
    #[inline]
    pub fn original_path_and_query(&self) -> &[u8] {
        self.fields.slice(self.original_path)
    }

    /// The authority: that of an absolute-form target, else the value of `Host`. It may be empty.
    #[inline]
    pub fn authority(&self) -> &[u8] {
        self.fields.slice(self.authority)
    }

    /// The protocol the client asks to switch to. Only with `Connection: upgrade`, and never `h2c`, which is ignored.
    #[inline]
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.upgrade.map(|span| self.fields.slice(span))
    }

    /// Replaces path and query. The original stays readable.
    pub fn set_path(&mut self, path_and_query: &[u8]) -> Result<(), InvalidTarget> {
        if !is_sendable(path_and_query) {
            return Err(InvalidTarget);
        }
        self.path = self.fields.store(path_and_query).ok_or(InvalidTarget)?;
        self.unusual_path = true;
        Ok(())
    }

    /// Replaces the authority.
    pub fn set_authority(&mut self, authority: &[u8]) -> Result<(), InvalidTarget> {
        if !is_authority(authority) {
            return Err(InvalidTarget);
        }
        self.authority = self.fields.store(authority).ok_or(InvalidTarget)?;
        Ok(())
    }

    /// Adds a field that holds the current path and query (`x-envoy-original-path` before a rewrite).
    pub fn append_path_as(&mut self, header: Header) -> Result<(), FieldError> {
        self.fields.append_copy(header, self.path)
    }

    /// Adds a field that holds the current authority (`x-envoy-original-host` before a rewrite).
    pub fn append_authority_as(&mut self, header: Header) -> Result<(), FieldError> {
        self.fields.append_copy(header, self.authority)
    }

    /// Normalises the path as [`crate::path::normalize`] does. Nothing is copied when nothing needs to change.
    pub fn normalize_path(&mut self, options: &PathOptions) -> Result<PathOutcome, PathError> {
        let may_merge = options.merge_slashes && memchr::memmem::find(self.path(), b"//").is_some();
        if !self.unusual_path && !may_merge {
            return Ok(PathOutcome::Unchanged);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = path::normalize(self.path_and_query(), options, &mut scratch);
        if matches!(outcome, Ok(PathOutcome::Changed | PathOutcome::Redirect)) {
            self.path = self.fields.store(&scratch).unwrap_or_default();
        }
        self.scratch = scratch;
        outcome
    }
}
