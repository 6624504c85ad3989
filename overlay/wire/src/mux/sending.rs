//! What a link sends, and in which order.

use super::stream::{ReceiveState, SendState, Sending};
use super::{Mux, Stream};
use crate::frame::{self, Code, Frame, MAX_CONTENT, MAX_STREAM_OVERHEAD, StreamId};

/// Bytes of one stream in a frame, at most.
const MAX_PIECE: usize = MAX_CONTENT - 8;

/// Frames of one stream in its turn, unless it is new: what comes in larger pieces wakes its reader less often, and is passed on in larger ones.
const PIECES: usize = 2;

impl Mux {
    /// Takes bytes to be sent on a stream; how many. If not all, [`super::Event::Writable`] follows. Nothing is taken from a stream that
    /// has ended.
    pub fn write(&mut self, id: StreamId, bytes: &[u8]) -> usize {
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        let sending = &mut stream.sending;
        if sending.state != SendState::Open {
            return 0;
        }
        let count = bytes.len().min(self.limits.unsent.saturating_sub(sending.buffer.len()));
        sending.buffer.push(&bytes[..count]);
        sending.wants_room = count < bytes.len();
        self.schedule_if_ready(id);
        count
    }

    /// Room for [`Self::write`], bytes. If there is none, [`super::Event::Writable`] follows.
    pub fn room(&mut self, id: StreamId) -> usize {
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        let sending = &mut stream.sending;
        if sending.state != SendState::Open {
            return 0;
        }
        let room = self.limits.unsent.saturating_sub(sending.buffer.len());
        sending.wants_room |= room == 0;
        room
    }

    /// Room for bytes that the other side has allowed already, so that they wait for the connection alone. If there is none,
    /// [`super::Event::Writable`] follows.
    pub fn credit(&mut self, id: StreamId) -> usize {
        let room = self.room(id);
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        let sending = &mut stream.sending;
        let credit = room.min(sending.credit());
        sending.wants_credit |= credit == 0;
        credit
    }

    /// Ends what is sent on a stream.
    pub fn finish(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.sending.state == SendState::Open
        {
            stream.sending.state = SendState::Finishing;
            self.schedule_if_ready(id);
        }
    }

    /// Gives up what is to be sent on a stream.
    pub fn reset(&mut self, id: StreamId, code: Code) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.sending.state == SendState::Done {
            return;
        }
        stream.sending.state = SendState::Done;
        stream.sending.buffer.clear();
        stream.datagrams.clear();
        stream.notices.reset = Some(code);
        self.note(id);
    }

    /// Appends what is to be sent until there are `limit` bytes, or what one stream sends in its turn more.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) {
        if let Some((code, reason)) = self.link.close.take() {
            frame::put(out, Frame::Close(code, reason.as_bytes()));
            self.closed = true;
        }
        if self.closed {
            return;
        }
        self.fill_link_notices(out);
        while out.len() < limit
            && let Some(id) = self.noticed.pop_front()
        {
            self.fill_notices(out, id);
        }
        while out.len() < limit
            && let Some((id, is_new)) = self.schedule.next()
        {
            self.fill_stream(out, id, is_new);
        }
    }

    /// Whether [`Self::fill`] has something.
    pub fn has_output(&self) -> bool {
        let link = &self.link;
        if self.closed {
            return false;
        }
        !self.schedule.is_empty()
            || !self.noticed.is_empty()
            || link.streams
            || link.go_away
            || link.hello.is_some()
            || link.ping.is_some()
            || link.pong.is_some()
            || link.close.is_some()
    }

    fn fill_link_notices(&mut self, out: &mut Vec<u8>) {
        if let Some(hello) = self.link.hello.take() {
            frame::put(out, Frame::Hello(&hello));
        }
        if let Some(number) = self.link.pong.take() {
            frame::put(out, Frame::Pong(number));
        }
        if let Some(number) = self.link.ping.take() {
            frame::put(out, Frame::Ping(number));
        }
        if std::mem::take(&mut self.link.streams) {
            self.peer_may_open = self.peer_opened + (self.limits.streams - self.peer_open);
            frame::put(out, Frame::MaxStreams(self.peer_may_open));
        }
        if std::mem::take(&mut self.link.go_away) {
            frame::put(out, Frame::GoAway);
        }
    }

    fn fill_notices(&mut self, out: &mut Vec<u8>, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let notices = &mut stream.notices;
        notices.queued = false;
        if let Some(code) = notices.reset.take() {
            frame::put(out, Frame::ResetStream(id, code));
        }
        if let Some(code) = notices.stop.take() {
            frame::put(out, Frame::StopSending(id, code));
        }
        if std::mem::take(&mut notices.window) && stream.receiving.state == ReceiveState::Open {
            frame::put(out, Frame::MaxStreamData(id, stream.receiving.allowed));
        }
        self.remove_if_over(id);
    }

    fn fill_stream(&mut self, out: &mut Vec<u8>, id: StreamId, is_new: bool) {
        let unsent = self.limits.unsent;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.scheduled = false;
        stream.datagrams.fill(out, id, MAX_PIECE);
        let sending = &mut stream.sending;
        if !sending.is_ready() {
            return self.schedule_again(id, is_new);
        }
        for _ in 0..if is_new { 1 } else { PIECES } {
            sending.put_piece(out, id);
            if !sending.is_ready() {
                break;
            }
        }
        // Not for a few bytes: whoever writes is to write much.
        if sending.wants_room && sending.buffer.len() <= unsent / 2 {
            sending.wants_room = false;
            self.events.push_back(super::Event::Writable(id));
        }
        self.schedule_again(id, is_new);
        self.remove_if_over(id);
    }

    pub(super) fn schedule_if_ready(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.has_output()
            && !std::mem::replace(&mut stream.scheduled, true)
        {
            self.schedule.add(id, stream.urgency);
        }
    }

    /// After its turn. Who was new waits for another one among the others, even if it has nothing more by then: else who sends little at a time would always go
    /// first.
    fn schedule_again(&mut self, id: StreamId, was_new: bool) {
        if let Some(stream) = self.streams.get_mut(&id)
            && (was_new || stream.has_output())
        {
            stream.scheduled = true;
            self.schedule.add_again(id, stream.urgency);
        }
    }
}

impl Stream {
    /// Whether it has something to send now.
    fn has_output(&self) -> bool {
        self.sending.is_ready() || self.datagrams.has_output()
    }

    pub(super) fn allow_sending(&mut self, most: u64) {
        self.sending.allowed = self.sending.allowed.max(most);
    }
}

impl Sending {
    /// Appends a frame with what may be sent now.
    fn put_piece(&mut self, out: &mut Vec<u8>, id: StreamId) {
        let count = self.sendable().min(MAX_PIECE);
        let fin = self.state == SendState::Finishing && count == self.buffer.len();
        out.reserve(count + MAX_STREAM_OVERHEAD);
        frame::put_stream_head(out, id, count, fin);
        self.buffer.copy_to(0, count, out);
        self.buffer.consume(count);
        self.sent += count as u64;
        if fin {
            self.state = SendState::Done;
        }
    }
}
