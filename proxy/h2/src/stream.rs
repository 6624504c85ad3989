//! One stream (RFC 9113 5.1).

use std::time::Instant;

use h1::Method;

use crate::window::ReceiveWindow;

/// How far one direction of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The final head is still to come.
    Head,
    /// Content or trailers may come.
    Content,
    /// END_STREAM was there.
    Ended,
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Us,
    Peer,
}

/// One stream that its user did not release yet.
#[derive(Debug)]
pub(crate) struct Stream<T> {
    pub(crate) id: u32,
    pub(crate) value: Option<T>,
    pub(crate) receiving: Progress,
    pub(crate) sending: Progress,
    /// Who reset it, if anybody: nothing is sent any more, and what still arrives is ignored.
    pub(crate) reset: Option<Side>,
    /// Bytes that we may send; below zero after the peer made its windows smaller.
    pub(crate) send_window: i64,
    pub(crate) receive_window: ReceiveWindow,
    /// Bytes of content that the user was handed and is not done with.
    pub(crate) held: usize,
    /// Bytes of its head and trailers, as their limits count them. Server only.
    pub(crate) head_bytes: usize,
    /// Bytes of content that must still arrive, where content-length said so.
    pub(crate) content_left: Option<u64>,
    /// When its request arrived. Server only.
    pub(crate) since: Option<Instant>,
    /// Of the request.
    pub(crate) method: Method,
    /// What extended CONNECT asked for.
    pub(crate) protocol: Option<Box<[u8]>>,
}

impl<T> Stream<T> {
    #[inline]
    pub(crate) fn may_send_content(&self) -> bool {
        self.reset.is_none() && self.sending == Progress::Content
    }

    /// Both messages came to their end.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.receiving == Progress::Ended && self.sending == Progress::Ended
    }
}
