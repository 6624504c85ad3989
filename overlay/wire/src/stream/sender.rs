//! What one side sends: bytes that are kept until the other side has them.

use super::limits::Limits;
use crate::budget::Budget;
use crate::buffer::Buffer;
use crate::leg::{self, LegFrame, MAX_DATA, Progress};

/// What a stream may keep however little the budget has left, bytes: it goes on, and whoever waits is woken when that arrives.
const LEAST: usize = MAX_DATA;

/// Of what is left of a budget each stream may keep one part in so many.
const SHARE: usize = 8;

/// The sending half.
#[derive(Debug)]
pub(super) struct Sender {
    /// Bytes from `acknowledged` on.
    buffer: Buffer,
    /// What the other side has.
    acknowledged: u64,
    /// What the leg that is sent on has carried.
    sent: u64,
    /// The most that any leg has carried.
    sent_once: u64,
    /// Bytes that were sent more than once.
    sent_again: u64,
    /// What the other side allows.
    allowed: u64,
    /// Nothing follows what was written.
    finished: bool,
    /// The leg that is sent on has carried the end.
    end_sent: bool,
    end_acknowledged: bool,
    /// Bytes that may be kept. Grows while the network holds more.
    room: usize,
    /// What is kept is taken of it.
    budget: Option<Budget>,
}

/// The other side claims to have what was never sent.
#[derive(Debug)]
pub(super) struct Impossible;

impl Sender {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            buffer: Buffer::default(),
            acknowledged: 0,
            sent: 0,
            sent_once: 0,
            sent_again: 0,
            allowed: 0,
            finished: false,
            end_sent: false,
            end_acknowledged: false,
            room: limits.first_kept.min(limits.kept),
            budget: None,
        }
    }

    pub(super) fn keep_within(&mut self, budget: Budget) {
        self.buffer.charge(budget.clone());
        self.budget = Some(budget);
    }

    fn written(&self) -> u64 {
        self.acknowledged + self.buffer.len() as u64
    }

    /// Takes bytes; how many.
    pub(super) fn write(&mut self, bytes: &[u8], limits: &Limits) -> usize {
        if self.finished {
            return 0;
        }
        self.room = self.wanted_room(limits);
        let room = self.room.saturating_sub(self.buffer.len()).min(limits.unsent.saturating_sub(self.unsent()));
        let wanted = bytes.len().min(room);
        let count = wanted.min(self.share().saturating_sub(self.buffer.len()));
        if count < wanted
            && let Some(budget) = &self.budget
        {
            budget.refuse();
        }
        self.buffer.push(&bytes[..count]);
        count
    }

    fn unsent(&self) -> usize {
        self.written().saturating_sub(self.sent) as usize
    }

    /// Twice as much when all that is kept is under way: it is the network that wants more.
    fn wanted_room(&self, limits: &Limits) -> usize {
        let grows = self.buffer.len() >= self.room && self.unsent() == 0;
        if grows { (self.room * 2).min(limits.kept) } else { self.room }
    }

    /// What a stream may keep as far as the budget goes: a fraction of what is left of the whole, so that those that never give it back leave enough for
    /// others.
    fn share(&self) -> usize {
        self.budget.as_ref().map_or(usize::MAX, |budget| {
            let of_whole = budget.whole().left() / SHARE;
            of_whole.min(self.buffer.len() + budget.left()).max(LEAST)
        })
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn is_done(&self) -> bool {
        self.end_acknowledged
    }

    /// Whether there is room for who found none.
    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        let (kept, most) = (self.buffer.len(), self.wanted_room(limits).min(self.share()));
        kept < most && (kept <= most / 2 && self.unsent() <= limits.unsent / 2 || self.unsent() == 0)
    }

    pub(super) fn sent_again(&self) -> u64 {
        self.sent_again
    }

    pub(super) fn kept(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets everything; nothing is sent any more.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        (self.finished, self.end_acknowledged) = (true, true);
    }

    /// What the other side has, and allows.
    pub(super) fn acknowledge(&mut self, progress: Progress) -> Result<(), Impossible> {
        let end = self.written();
        let has_end = self.finished && progress.delivered == end + 1;
        let delivered = progress.delivered - u64::from(has_end);
        if delivered > end {
            return Err(Impossible);
        }
        // Of two legs the slower one tells old news.
        let more = delivered.saturating_sub(self.acknowledged);
        self.buffer.consume(more as usize);
        self.acknowledged += more;
        self.sent = self.sent.max(self.acknowledged);
        self.allowed = self.allowed.max(progress.allowed);
        self.end_acknowledged |= has_end;
        Ok(())
    }

    /// From now on another leg is sent on: everything that the other side does not have goes again.
    pub(super) fn start_over(&mut self) {
        self.sent = self.acknowledged;
        self.end_sent = false;
    }

    fn sendable(&self) -> usize {
        self.unsent().min(usize::try_from(self.allowed.saturating_sub(self.sent)).unwrap_or(usize::MAX))
    }

    fn may_send_end(&self) -> bool {
        self.finished && !self.end_sent && !self.end_acknowledged && self.unsent() == 0
    }

    pub(super) fn has_output(&self) -> bool {
        self.sendable() > 0 || self.may_send_end()
    }

    /// Appends frames until there are `limit` bytes, or one frame more.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, limit: usize) {
        while out.len() < limit && self.sendable() > 0 {
            let start = (self.sent - self.acknowledged) as usize;
            let count = self.sendable().min(MAX_DATA);
            leg::put_data_head(out, self.sent, count);
            self.buffer.copy_to(start, count, out);
            let end = self.sent + count as u64;
            self.sent_again += self.sent_once.min(end).saturating_sub(self.sent);
            self.sent_once = self.sent_once.max(end);
            self.sent = end;
        }
        if self.may_send_end() {
            leg::put(out, &LegFrame::Fin(self.sent));
            self.end_sent = true;
        }
    }
}
