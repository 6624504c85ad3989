//! What a stream has to do with the legs that carry it.

use std::time::Duration;

use super::error::LegError;
use super::{End, Leg, LegState, MOST_LEGS, Phase, Route, Stream};
use crate::leg::{self, Begun, LegFrame, Open, Progress, RefuseCode};

impl Stream {
    /// Takes a leg that this side has opened. [`Self::fill`] says where it leads.
    pub fn add_leg(&mut self, leg: Leg) {
        self.legs.push(LegState::new(leg, Phase::ToOpen));
    }

    /// Takes a leg that the other side has opened for this stream.
    ///
    /// # Errors
    /// It says what cannot be. It is not taken.
    pub fn add_opened_leg(&mut self, leg: Leg, open: &Open) -> Result<(), LegError> {
        if open.key != self.key || self.legs.len() >= MOST_LEGS {
            return Err(LegError::Unexpected);
        }
        self.check_shard(open.from_shard)?;
        self.acknowledge(open.progress)?;
        self.accepted_by(open.from_shard);
        self.attach(leg, Phase::ToAccept);
        Ok(())
    }

    /// A leg is no more.
    pub fn lose_leg(&mut self, leg: Leg, now: Duration) {
        self.legs.retain(|state| state.leg != leg);
        self.receiver.tell_again(now);
        if self.current == Some(leg) {
            self.current = self.legs.iter().rev().find(|state| state.phase == Phase::Attached).map(|state| state.leg);
            self.sender.start_over();
            if self.current.is_none() {
                self.alone_since = Some(now);
            }
        }
    }

    /// The leg that is sent on.
    pub fn current_leg(&self) -> Option<Leg> {
        self.current
    }

    /// Legs that are open.
    pub fn legs(&self) -> impl Iterator<Item = Leg> {
        self.legs.iter().map(|state| state.leg)
    }

    /// Legs of which the other side has not yet said that it knows them.
    pub fn opening_legs(&self) -> impl Iterator<Item = Leg> {
        self.legs.iter().filter(|state| matches!(state.phase, Phase::ToOpen | Phase::Opened)).map(|state| state.leg)
    }

    /// Takes what a leg brought.
    ///
    /// # Errors
    /// The leg is of no use, and not known any more.
    pub fn receive(&mut self, leg: Leg, bytes: &[u8], now: Duration) -> Result<(), LegError> {
        let Some(state) = self.legs.iter_mut().find(|state| state.leg == leg) else { return Ok(()) };
        let mut waiting = std::mem::take(&mut state.input);
        let input = if waiting.is_empty() {
            bytes
        } else {
            waiting.extend_from_slice(bytes);
            &waiting
        };
        let mut taken = 0;
        let received = loop {
            match self.receive_next(leg, &input[taken..], now) {
                Ok(0) => break Ok(()),
                Ok(count) => taken += count,
                Err(error) => break Err(error),
            }
        };
        if received.is_err() {
            self.lose_leg(leg, now);
        } else if let Some(state) = self.legs.iter_mut().find(|state| state.leg == leg) {
            state.input = input[taken..].to_vec();
        }
        received
    }

    /// Takes the next frame, or as much of its data as has come: they need not wait for the rest of it. How many bytes that was.
    fn receive_next(&mut self, leg: Leg, input: &[u8], now: Duration) -> Result<usize, LegError> {
        let state = self.legs.iter_mut().find(|state| state.leg == leg).ok_or(LegError::Unexpected)?;
        let (frame, count) = if state.missing > 0 {
            let count = input.len().min(state.missing);
            let frame = LegFrame::Data(state.offset, &input[..count]);
            state.offset += count as u64;
            state.missing -= count;
            (frame, count)
        } else if let Some(Begun { offset, data, missing }) = leg::take_begun(input) {
            (state.offset, state.missing) = (offset.saturating_add(data.len() as u64), missing);
            (LegFrame::Data(offset, data), input.len())
        } else {
            let Some(whole) = leg::take(input)? else { return Ok(0) };
            whole
        };
        if count > 0 {
            self.receive_frame(leg, frame, now)?;
        }
        Ok(count)
    }

    /// Appends what is to be sent on a leg until there are `limit` bytes, or a frame more.
    pub fn fill(&mut self, leg: Leg, out: &mut Vec<u8>, limit: usize, now: Duration) {
        let Some(phase) = self.phase(leg) else { return };
        match phase {
            Phase::ToOpen => {
                let open = self.open_frame();
                leg::put(out, &LegFrame::Open(open));
                self.set_phase(leg, Phase::Opened);
            }
            Phase::ToAccept => {
                let progress = self.receiver.tell(&self.limits);
                leg::put(out, &LegFrame::Accept { progress, shard: self.route.from_shard });
                self.set_phase(leg, Phase::Attached);
            }
            Phase::Opened | Phase::Attached => {}
        }
        if self.phase(leg) != Some(Phase::Attached) || self.current != Some(leg) {
            return;
        }
        if let Some(code) = self.reset.take() {
            leg::put(out, &LegFrame::Reset(code));
            return;
        }
        if self.end.is_some() {
            return;
        }
        if self.receiver.due(&self.limits).is_some_and(|due| due <= now) {
            leg::put(out, &LegFrame::Ack(self.receiver.tell(&self.limits)));
        }
        self.sender.fill(out, limit);
    }

    /// Whether [`Self::fill`] has something for a leg.
    pub fn has_output(&self, leg: Leg, now: Duration) -> bool {
        match self.phase(leg) {
            Some(Phase::ToOpen | Phase::ToAccept) => true,
            Some(Phase::Attached) if self.current == Some(leg) => {
                self.reset.is_some()
                    || self.end.is_none()
                        && (self.sender.has_output() || self.receiver.due(&self.limits).is_some_and(|due| due <= now))
            }
            _ => false,
        }
    }

    fn receive_frame(&mut self, leg: Leg, frame: LegFrame<'_>, now: Duration) -> Result<(), LegError> {
        let phase = self.phase(leg).ok_or(LegError::Unexpected)?;
        match (phase, frame) {
            (_, LegFrame::Unknown(_)) => {}
            (Phase::Opened, LegFrame::Accept { progress, shard }) => {
                self.check_shard(shard)?;
                self.acknowledge(progress)?;
                self.accepted_by(shard);
                self.set_phase(leg, Phase::Attached);
                self.make_current(leg);
            }
            (Phase::Opened, LegFrame::Refuse(code, reason)) => {
                if code == RefuseCode::UnknownStream {
                    self.reset = None;
                    self.stop(End::Unknown);
                }
                return Err(LegError::Refused(code, reason));
            }
            // Of a leg that we have not answered on the other side may go on to use an older one.
            (Phase::Attached | Phase::ToAccept, frame) => self.receive_attached(frame, now)?,
            (Phase::ToOpen | Phase::Opened, _) => return Err(LegError::Unexpected),
        }
        Ok(())
    }

    fn receive_attached(&mut self, frame: LegFrame<'_>, now: Duration) -> Result<(), LegError> {
        match frame {
            LegFrame::Reset(code) => {
                self.reset = None;
                if self.end.is_none() {
                    self.stop(End::There(code));
                }
            }
            _ if self.end.is_some() => {}
            LegFrame::Data(offset, bytes) => self.receiver.receive(offset, bytes, now)?,
            LegFrame::Fin(offset) => self.receiver.receive_end(offset, now)?,
            LegFrame::Ack(progress) => self.acknowledge(progress)?,
            _ => return Err(LegError::Unexpected),
        }
        Ok(())
    }

    fn acknowledge(&mut self, progress: Progress) -> Result<(), LegError> {
        if self.end.is_some() {
            return Ok(());
        }
        self.sender.acknowledge(progress).map_err(|_| LegError::Impossible)
    }

    /// A stream is with one shard of the other edge: the first that speaks of it. Another can have it if what that one said was lost on its way, so that
    /// it was opened again; nothing was sent to it yet.
    fn check_shard(&self, shard: u16) -> Result<(), LegError> {
        match self.route.to_shard {
            Some(known) if known != shard => Err(LegError::OtherShard { known, shard }),
            _ => Ok(()),
        }
    }

    fn accepted_by(&mut self, shard: u16) {
        self.route.to_shard = Some(shard);
        self.is_accepted = true;
    }

    fn open_frame(&mut self) -> Open {
        let Route { from, from_shard, to, to_shard, tenant, class } = self.route.clone();
        Open {
            key: self.key,
            resumes: self.is_accepted,
            progress: self.receiver.tell(&self.limits),
            from,
            from_shard,
            to,
            to_shard,
            tenant,
            class,
        }
    }

    pub(super) fn attach(&mut self, leg: Leg, phase: Phase) {
        self.legs.push(LegState::new(leg, phase));
        self.make_current(leg);
    }

    fn make_current(&mut self, leg: Leg) {
        self.current = Some(leg);
        self.alone_since = None;
        self.sender.start_over();
    }

    fn phase(&self, leg: Leg) -> Option<Phase> {
        self.legs.iter().find(|state| state.leg == leg).map(|state| state.phase)
    }

    fn set_phase(&mut self, leg: Leg, phase: Phase) {
        if let Some(state) = self.legs.iter_mut().find(|state| state.leg == leg) {
            state.phase = phase;
        }
    }
}
