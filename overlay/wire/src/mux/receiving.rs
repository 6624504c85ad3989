//! What a link makes of the bytes that come.

use super::limits::FIRST_WINDOW;
use super::stream::{ReceiveState, SendState};
use super::{Event, Mux, MuxError, Stream, Urgency};
use crate::budget::Budget;
use crate::frame::{self, Code, Frame, StreamId};
use crate::reason::harmless;

/// The window of a stream grows as long as it is less than one part in so many of what is left of its budget.
const SHARE: usize = 8;

/// What [`Mux::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet: [`Event::Readable`] follows.
    Nothing,
    /// All was read.
    End,
    /// The sender gave up.
    Reset(Code),
}

impl Mux {
    /// Takes bytes from the connection; of how many something was made. The rest is to come again, with what follows it.
    ///
    /// # Errors
    /// The other side does not keep to the protocol. Nothing may be received any more.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<usize, MuxError> {
        let mut taken = 0;
        while let Some((frame, length)) = frame::take(&bytes[taken..])? {
            taken += length;
            self.receive_frame(frame)?;
        }
        Ok(taken)
    }

    /// Reads from a stream.
    pub fn read(&mut self, id: StreamId, into: &mut [u8]) -> Read {
        let Some(stream) = self.streams.get_mut(&id) else { return Read::End };
        let receiving = &mut stream.receiving;
        receiving.told = false;
        if receiving.overrun {
            return Read::Reset(receiving.too_much);
        }
        let count = receiving.buffer.read(into);
        if count > 0 {
            self.allow_more(id);
            return Read::Bytes(count);
        }
        match receiving.state {
            ReceiveState::Open if into.is_empty() => Read::Bytes(0),
            ReceiveState::Open => Read::Nothing,
            ReceiveState::Reset(code) => Read::Reset(code),
            ReceiveState::Stopped => Read::End,
            ReceiveState::Finished | ReceiveState::Done => {
                receiving.state = ReceiveState::Done;
                Read::End
            }
        }
    }

    /// Whether the sender, or this side for lack of room, gave up; whatever waits to be read. [`Event::Readable`] follows when it does, or more comes.
    pub fn failure(&mut self, id: StreamId) -> Option<Code> {
        let receiving = &mut self.streams.get_mut(&id)?.receiving;
        receiving.told = false;
        match receiving.state {
            ReceiveState::Reset(code) => Some(code),
            _ => receiving.overrun.then_some(receiving.too_much),
        }
    }

    /// What waits on a stream, in either direction, counts towards a budget from now on; `false` if that has no room for it. If it has none for what comes
    /// later, the stream is given up with `too_much`.
    #[must_use]
    pub fn charge(&mut self, id: StreamId, budget: &Budget, too_much: Code) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        if budget.left() < stream.sending.buffer.len() + stream.receiving.buffer.len() {
            budget.refuse();
            return false;
        }
        stream.sending.buffer.charge(budget.clone());
        stream.receiving.buffer.charge(budget.clone());
        stream.datagrams.charge(budget);
        stream.receiving.too_much = too_much;
        true
    }

    /// Whether a stream was given up because what came found no room in its budget.
    pub fn is_overrun(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|stream| stream.receiving.overrun)
    }

    /// Bytes of a stream that wait for their reader.
    pub fn unread(&self, id: StreamId) -> usize {
        self.streams.get(&id).map_or(0, |stream| stream.receiving.buffer.len())
    }

    /// Whether nothing will come on a stream any more; some of what came may wait for its reader.
    pub fn has_ended(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.receiving.state != ReceiveState::Open)
    }

    /// Throws away what comes on a stream, and tells the other side.
    pub fn stop(&mut self, id: StreamId, code: Code) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.receiving.buffer.clear();
        if stream.receiving.state == ReceiveState::Open {
            stream.receiving.state = ReceiveState::Stopped;
            stream.notices.stop = Some(code);
            self.note(id);
        }
    }

    fn receive_frame(&mut self, frame: Frame<'_>) -> Result<(), MuxError> {
        if !self.peer_said_hello && !matches!(frame, Frame::Hello(_) | Frame::Close(..)) {
            return Err(MuxError::NoHello);
        }
        let useful = match frame {
            Frame::Hello(_) if self.peer_said_hello => return Err(MuxError::SecondHello),
            Frame::Hello(content) => {
                self.peer_said_hello = true;
                self.events.push_back(Event::Hello(content.to_vec()));
                true
            }
            Frame::Ping(number) => {
                self.link.pong = Some(number);
                false
            }
            Frame::Pong(number) => {
                self.events.push_back(Event::Pong(number));
                false
            }
            Frame::Stream { id, bytes, fin } => self.receive_stream(id, bytes, fin)?,
            Frame::ResetStream(id, code) => self.receive_reset(id, code)?,
            Frame::StopSending(id, code) => self.receive_stop(id, code)?,
            Frame::MaxStreamData(id, most) => self.receive_window(id, most)?,
            Frame::MaxStreams(most) => self.receive_streams(most),
            Frame::GoAway => {
                self.events.push_back(Event::GoAway);
                false
            }
            Frame::Datagram(id, packet) => {
                self.receive_datagram(id, packet);
                !packet.is_empty()
            }
            Frame::Close(code, reason) => {
                self.events.push_back(Event::Closed(code, harmless(&String::from_utf8_lossy(reason))));
                true
            }
            Frame::Unknown(_) => false,
        };
        self.idle_frames = if useful { self.idle_frames.saturating_sub(1) } else { self.idle_frames + 1 };
        if self.idle_frames > self.limits.idle_frames { Err(MuxError::IdleFrames) } else { Ok(()) }
    }

    /// Whether it carried something.
    fn receive_stream(&mut self, id: StreamId, bytes: &[u8], fin: bool) -> Result<bool, MuxError> {
        let Some(stream) = self.known(id)? else { return Ok(false) };
        let receiving = &mut stream.receiving;
        if matches!(receiving.state, ReceiveState::Finished | ReceiveState::Reset(_) | ReceiveState::Done) {
            return Err(MuxError::AfterEnd(id));
        }
        receiving.received += bytes.len() as u64;
        if receiving.received > receiving.allowed {
            return Err(MuxError::FlowControl(id));
        }
        if receiving.state == ReceiveState::Stopped {
            // Its sender was told, and hears no more of windows.
            if fin {
                receiving.state = ReceiveState::Finished;
                self.remove_if_over(id);
            }
            return Ok(true);
        }
        if !receiving.buffer.try_push(bytes) {
            self.give_up(id, fin);
            return Ok(true);
        }
        receiving.sender_waited |= receiving.received == receiving.allowed;
        if fin {
            receiving.state = ReceiveState::Finished;
        }
        self.tell_reader(id);
        Ok(fin || !bytes.is_empty())
    }

    /// There is no room for what came.
    fn give_up(&mut self, id: StreamId, fin: bool) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.receiving.overrun = true;
        let code = stream.receiving.too_much;
        self.stop(id, code);
        self.reset(id, code);
        if fin && let Some(stream) = self.streams.get_mut(&id) {
            stream.receiving.state = ReceiveState::Finished;
        }
        self.events.push_back(Event::Stopped(id, code));
        self.tell_reader(id);
    }

    fn receive_reset(&mut self, id: StreamId, code: Code) -> Result<bool, MuxError> {
        let Some(stream) = self.known(id)? else { return Ok(false) };
        let receiving = &mut stream.receiving;
        receiving.buffer.clear();
        receiving.state = ReceiveState::Reset(code);
        self.tell_reader(id);
        self.remove_if_over(id);
        Ok(true)
    }

    fn receive_stop(&mut self, id: StreamId, code: Code) -> Result<bool, MuxError> {
        let Some(stream) = self.known(id)? else { return Ok(false) };
        if stream.sending.state == SendState::Done {
            return Ok(false);
        }
        self.reset(id, code);
        self.events.push_back(Event::Stopped(id, code));
        Ok(true)
    }

    fn receive_window(&mut self, id: StreamId, most: u64) -> Result<bool, MuxError> {
        let Some(stream) = self.known(id)? else { return Ok(false) };
        let grew = most > stream.sending.allowed;
        stream.allow_sending(most);
        if grew && std::mem::take(&mut stream.sending.wants_credit) {
            self.events.push_back(Event::Writable(id));
        }
        self.schedule_if_ready(id);
        Ok(grew)
    }

    fn receive_streams(&mut self, most: u64) -> bool {
        let grew = most > self.may_open;
        if grew {
            self.may_open = most;
            self.events.push_back(Event::MayOpen);
        }
        grew
    }

    /// The stream of a frame, which may open it; `None` if it is gone.
    fn known(&mut self, id: StreamId) -> Result<Option<&mut Stream>, MuxError> {
        let index = id.0 >> 1;
        if self.is_ours(id) {
            if index >= self.opened {
                return Err(MuxError::NeverOpened(id));
            }
        } else if index >= self.peer_opened {
            if index >= self.peer_may_open {
                return Err(MuxError::TooManyStreams(id));
            }
            // Frames of later ones may overtake those of earlier ones: all up to this one are open.
            for index in self.peer_opened..=index {
                let opened = StreamId(index << 1 | (id.0 & 1));
                self.streams.insert(opened, Stream::new(Urgency::default(), &self.limits));
                self.events.push_back(Event::Opened(opened));
                self.peer_open += 1;
            }
            self.peer_opened = index + 1;
            self.allow_streams();
        }
        Ok(self.streams.get_mut(&id))
    }

    pub(super) fn tell_reader(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.released
            && !std::mem::replace(&mut stream.receiving.told, true)
        {
            self.events.push_back(Event::Readable(id));
        }
    }

    /// Gives the sender of a stream what was read, and more if it waits although the reader keeps up.
    fn allow_more(&mut self, id: StreamId) {
        let left = self.limits.extra_windows.saturating_sub(self.extra_windows);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let receiving = &mut stream.receiving;
        if receiving.state != ReceiveState::Open {
            return;
        }
        if receiving.sender_waited && receiving.buffer.is_empty() {
            receiving.sender_waited = false;
            let most = self.limits.stream_window.min((receiving.buffer.left() / SHARE) as u64).max(FIRST_WINDOW);
            let wanted = (receiving.window * 2).min(most);
            let more = (wanted - receiving.window.min(wanted)).min(left);
            receiving.window += more;
            self.extra_windows += more;
        }
        let allowed = receiving.received - receiving.buffer.len() as u64 + receiving.window;
        // Not one frame for each piece that is read.
        if allowed - receiving.allowed >= receiving.window / 2 {
            receiving.allowed = allowed;
            stream.notices.window = true;
            self.note(id);
        }
    }
}
