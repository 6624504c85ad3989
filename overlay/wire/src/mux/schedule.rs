//! Who sends next: the most urgent (RFC 9218), those that are equally urgent in turn.

use std::collections::VecDeque;

use crate::frame::StreamId;

/// Of so many turns one goes to who is less urgent, so that nobody waits for ever.
const FLOOR: u32 = 20;
/// So many new ones go before one of the others, so that whoever begins stream after stream does not stop those that are there.
const MOST_NEW: u32 = 8;

/// How urgent a stream is, 0 (most) to 7 (RFC 9218 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency(u8);

impl Urgency {
    /// How many there are.
    const LEVELS: usize = 8;

    /// The urgency of so much; what is above 7 is 7.
    pub const fn new(level: u8) -> Self {
        Self(if level < Self::LEVELS as u8 { level } else { Self::LEVELS as u8 - 1 })
    }
}

impl Default for Urgency {
    fn default() -> Self {
        Self(3)
    }
}

/// Streams that have something to send. Each is in it once.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    levels: [Level; Urgency::LEVELS],
    turns: u32,
}

/// Those that are equally urgent. Who has just got something to send goes before those that have had a turn and have more (RFC 8290 section 4.2): what is
/// little need not wait for what is much.
#[derive(Debug, Default)]
struct Level {
    new: VecDeque<StreamId>,
    others: VecDeque<StreamId>,
    /// New ones that had their turn since one of the others had.
    in_a_row: u32,
}

impl Level {
    fn next(&mut self) -> Option<(StreamId, bool)> {
        let others_wait_too_long = self.in_a_row >= MOST_NEW && !self.others.is_empty();
        let new = if others_wait_too_long { None } else { self.new.pop_front() };
        self.in_a_row = if new.is_some() { self.in_a_row + 1 } else { 0 };
        new.map(|id| (id, true)).or_else(|| self.others.pop_front().map(|id| (id, false)))
    }

    fn is_empty(&self) -> bool {
        self.new.is_empty() && self.others.is_empty()
    }
}

impl Schedule {
    /// Adds a stream that had nothing to send until now.
    pub(super) fn add(&mut self, id: StreamId, urgency: Urgency) {
        self.levels[usize::from(urgency.0)].new.push_back(id);
    }

    /// Adds a stream after its turn.
    pub(super) fn add_again(&mut self, id: StreamId, urgency: Urgency) {
        self.levels[usize::from(urgency.0)].others.push_back(id);
    }

    /// The stream whose turn it is, and whether it is new. It is not in the schedule any more.
    pub(super) fn next(&mut self) -> Option<(StreamId, bool)> {
        let mut waiting = self.levels.iter_mut().filter(|level| !level.is_empty());
        let first = waiting.next()?;
        self.turns = self.turns.wrapping_add(1);
        let level = if self.turns.is_multiple_of(FLOOR) { waiting.next().unwrap_or(first) } else { first };
        level.next()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.levels.iter().all(Level::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urgent_go_first_equals_in_turn_and_nobody_starves() {
        let mut schedule = Schedule::default();
        let (urgent, other, bulk) = (StreamId(0), StreamId(2), StreamId(4));
        schedule.add(bulk, Urgency::new(7));
        schedule.add(urgent, Urgency::new(0));
        schedule.add(other, Urgency::new(0));
        let mut turns = Vec::new();
        for _ in 0..200 {
            let (id, _) = schedule.next().unwrap();
            turns.push(id);
            schedule.add_again(id, Urgency::new(if id == bulk { 7 } else { 0 }));
        }
        let count = |id| turns.iter().filter(|turn| **turn == id).count();
        assert_eq!((count(urgent), count(other), count(bulk)), (95, 95, 10));
    }

    #[test]
    fn new_ones_without_end_do_not_stop_the_others() {
        let mut schedule = Schedule::default();
        let old = StreamId(0);
        schedule.add_again(old, Urgency::default());
        let mut turns_of_old = 0;
        for id in 1..=90 {
            schedule.add(StreamId(2 * id), Urgency::default());
            let (id, _) = schedule.next().unwrap();
            if id == old {
                turns_of_old += 1;
                schedule.add_again(old, Urgency::default());
            }
        }
        assert_eq!(turns_of_old, 10);
    }

    #[test]
    fn who_had_nothing_before_goes_first_once() {
        let mut schedule = Schedule::default();
        let [one, two, three] = [0, 2, 4].map(StreamId);
        schedule.add(one, Urgency::default());
        assert_eq!(schedule.next(), Some((one, true)));
        schedule.add_again(one, Urgency::default());
        schedule.add(two, Urgency::default());
        schedule.add(three, Urgency::default());
        let turns: Vec<_> = std::iter::from_fn(|| schedule.next()).collect();
        assert_eq!(turns, [(two, true), (three, true), (one, false)]);
        assert!(schedule.is_empty());
    }
}
