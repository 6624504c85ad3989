//! The head of a response, whichever protocol it came by.

use crate::body_length::{BodyLength, Framing};
use crate::fields::{Fields, Span};
use crate::response::http2::Section;
use crate::version::Version;

/// The head of a response: status and fields in one reusable buffer.
///
/// What concerns only the upstream connection (`Connection`, `Keep-Alive`, `Transfer-Encoding`, ...) is taken out while
/// parsing; fields that a response's `Connection` names stay, as with Envoy. Content-length stays visible among the
/// fields, but only [`ResponseHead::body`] and [`ResponseHead::content_length`] decide what is written.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The status, 100 to 999.
    pub status: u16,
    /// The version of the message.
    pub version: Version,
    /// How the body that follows is delimited.
    pub body: BodyLength,
    /// What content-length said, also where no body follows (HEAD, 304).
    pub content_length: Option<u64>,
    /// Whether the upstream keeps the connection once the body was read. Bytes behind the body forbid that, too.
    pub keep_alive: bool,
    /// Whether the bytes behind the head belong to another protocol: 101, or 2xx to CONNECT.
    pub tunnel: bool,
    pub(super) fields: Fields,
    pub(super) upgrade: Option<Span>,
    pub(super) progress: Progress,
}

/// How far a head on the wire is parsed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Where the current line starts.
    pub(super) position: usize,
    /// Everything before is known to hold no end of the current line.
    pub(super) searched: usize,
    pub(super) started: bool,
    pub(super) framing: Framing,
    pub(super) upgrade: Option<Span>,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) section: Section,
}

impl ResponseHead {
    /// An empty head; nothing is allocated yet.
    pub fn new() -> Self {
        ResponseHead::default()
    }

    /// Makes it empty for the next response; allocations are kept.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.status = 0;
        self.version = Version::default();
        self.body = BodyLength::None;
        self.content_length = None;
        self.keep_alive = false;
        self.tunnel = false;
        self.upgrade = None;
        self.progress = Progress::default();
    }

    /// Starts a head that does not come from an HTTP/1 connection; fields are appended afterwards.
    pub fn start(&mut self, status: u16, body: BodyLength) {
        self.clear();
        self.status = status;
        self.body = body;
        self.keep_alive = true;
    }

    /// Gives back memory above `bytes` bytes; for owners that keep heads in a pool.
    #[inline]
    pub fn shrink_to(&mut self, bytes: usize) {
        self.fields.shrink_to(bytes);
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

    /// Answers a CONNECT request: 200, and a tunnel behind it (RFC 9110 section 9.3.6).
    pub fn open_tunnel(&mut self) {
        self.clear();
        self.status = 200;
        self.tunnel = true;
    }

    /// Whether another response to the same request follows: 1xx but 101.
    #[inline]
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// The protocol a 101 switches to.
    #[inline]
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.upgrade.map(|span| self.fields.slice(span))
    }
}
