//! What edges say of themselves, as others know it: the newest of each, for as long as it is confirmed.
//!
//! What an edge announces is one piece, signed as a whole, so that nobody between can leave something out. Which of two is newer its
//! stamp says, never a clock. How long it is good counts from when it was heard, so that an edge whose clock is wrong is none the worse.

use std::time::Duration;

use hashbrown::HashMap;

/// Orders what an edge says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Grows with every start of the edge, which keeps it.
    pub epoch: u64,
    /// Grows with every change.
    pub sequence: u64,
}

/// Bounds of a catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Edges that are known.
    pub edges: usize,
    /// Bytes of one announcement.
    pub announcement: usize,
    /// Bytes of all of them.
    pub all: usize,
    /// How long an announcement is good that is not confirmed.
    pub lifetime: Duration,
    /// How long the stamp of an edge is remembered after that, so that nothing older is believed.
    pub memory: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            edges: 10_000,
            announcement: 4 * 1024 * 1024,
            all: 256 * 1024 * 1024,
            lifetime: Duration::from_secs(60),
            memory: Duration::from_secs(600),
        }
    }
}

/// What became of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// It is newer than what was known.
    New,
    /// It is what is known.
    Known,
    /// Something newer is known.
    Old,
    /// There is no room for it.
    NoRoom,
}

/// The newest announcement of each edge. `T` is what the user makes of it.
#[derive(Debug)]
pub struct Catalogue<T> {
    limits: Limits,
    entries: HashMap<String, Entry<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    stamp: Stamp,
    /// `None` when it is good no longer.
    announced: Option<Announced<T>>,
    /// Good until then, or remembered until then.
    until: Duration,
}

#[derive(Debug)]
struct Announced<T> {
    value: T,
    size: usize,
}

impl<T> Catalogue<T> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, entries: HashMap::new(), bytes: 0 }
    }

    /// Whether an announcement with this stamp would be new. To be asked before its signature is looked at.
    pub fn is_new(&self, edge: &str, stamp: Stamp) -> bool {
        self.entries
            .get(edge)
            .is_none_or(|entry| stamp > entry.stamp || stamp == entry.stamp && entry.announced.is_none())
    }

    /// Takes an announcement of `size` bytes whose signature is good.
    pub fn merge(&mut self, edge: &str, stamp: Stamp, value: T, size: usize, now: Duration) -> Merge {
        let known = self.entries.get(edge);
        if let Some(entry) = known
            && stamp <= entry.stamp
            && !(stamp == entry.stamp && entry.announced.is_none())
        {
            return if stamp == entry.stamp { Merge::Known } else { Merge::Old };
        }
        let freed = known.and_then(|entry| entry.announced.as_ref()).map_or(0, |announced| announced.size);
        let is_full = known.is_none() && self.entries.len() >= self.limits.edges;
        if is_full || size > self.limits.announcement || self.bytes - freed + size > self.limits.all {
            return Merge::NoRoom;
        }
        self.bytes = self.bytes - freed + size;
        let announced = Some(Announced { value, size });
        self.entries.insert(edge.to_owned(), Entry { stamp, announced, until: now + self.limits.lifetime });
        Merge::New
    }

    /// The edge has said again that this is what it announces; `false` if something else is known.
    pub fn confirm(&mut self, edge: &str, stamp: Stamp, now: Duration) -> bool {
        match self.entries.get_mut(edge) {
            Some(entry) if entry.stamp == stamp && entry.announced.is_some() => {
                entry.until = now + self.limits.lifetime;
                true
            }
            _ => false,
        }
    }

    /// Forgets what an edge announces at once, but not its stamp; whether there was something.
    pub fn withdraw(&mut self, edge: &str, now: Duration) -> bool {
        let Some(entry) = self.entries.get_mut(edge) else { return false };
        entry.until = now + self.limits.memory;
        match entry.announced.take() {
            Some(announced) => {
                self.bytes -= announced.size;
                true
            }
            None => false,
        }
    }

    /// Forgets what was not confirmed in time; whose it was.
    pub fn expire(&mut self, now: Duration) -> Vec<String> {
        let due: Vec<String> =
            self.entries.iter().filter(|(_, entry)| entry.until <= now).map(|(edge, _)| edge.clone()).collect();
        let mut expired = Vec::new();
        for edge in due {
            if self.withdraw(&edge, now) {
                expired.push(edge);
            } else {
                self.entries.remove(&edge);
            }
        }
        expired.sort();
        expired
    }

    /// When [`Self::expire`] has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        self.entries.values().map(|entry| entry.until).min()
    }

    /// What an edge announces.
    pub fn get(&self, edge: &str) -> Option<(Stamp, &T)> {
        let entry = self.entries.get(edge)?;
        entry.announced.as_ref().map(|announced| (entry.stamp, &announced.value))
    }

    /// What an edge announces with this stamp, to be changed.
    pub fn get_mut(&mut self, edge: &str, stamp: Stamp) -> Option<&mut T> {
        let entry = self.entries.get_mut(edge).filter(|entry| entry.stamp == stamp)?;
        entry.announced.as_mut().map(|announced| &mut announced.value)
    }

    /// What all edges announce.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Stamp, &T)> {
        self.entries.iter().filter_map(|(edge, entry)| {
            entry.announced.as_ref().map(|announced| (edge.as_str(), entry.stamp, &announced.value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        edges: 3,
        announcement: 100,
        all: 150,
        lifetime: Duration::from_secs(60),
        memory: Duration::from_secs(600),
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn stamp(epoch: u64, sequence: u64) -> Stamp {
        Stamp { epoch, sequence }
    }

    #[test]
    fn the_newest_of_an_edge_counts_whatever_comes_last() {
        let mut catalogue = Catalogue::new(LIMITS);
        assert_eq!(catalogue.merge("a", stamp(1, 5), "old", 10, at(0)), Merge::New);
        assert_eq!(catalogue.merge("a", stamp(1, 4), "older", 10, at(0)), Merge::Old);
        assert_eq!(catalogue.merge("a", stamp(1, 5), "replayed", 10, at(0)), Merge::Known);
        assert_eq!(catalogue.merge("a", stamp(2, 0), "restarted", 10, at(0)), Merge::New);
        assert!(!catalogue.is_new("a", stamp(1, 6)) && catalogue.is_new("a", stamp(2, 1)));
        assert_eq!(catalogue.get("a"), Some((stamp(2, 0), &"restarted")));
    }

    #[test]
    fn what_is_not_confirmed_is_forgotten_but_nothing_older_is_believed_afterwards() {
        let mut catalogue = Catalogue::new(LIMITS);
        catalogue.merge("a", stamp(1, 1), "a", 10, at(0));
        catalogue.merge("b", stamp(1, 1), "b", 10, at(0));
        assert!(catalogue.confirm("a", stamp(1, 1), at(30)) && !catalogue.confirm("a", stamp(1, 0), at(30)));
        assert_eq!(catalogue.deadline(), Some(at(60)));
        assert_eq!(catalogue.expire(at(60)), ["b"]);
        assert_eq!((catalogue.get("a").is_some(), catalogue.get("b").is_some()), (true, false));
        assert_eq!(catalogue.merge("b", stamp(1, 0), "replayed", 10, at(61)), Merge::Old);
        // The same may come back: it was not heard for a while.
        assert_eq!(catalogue.merge("b", stamp(1, 1), "again", 10, at(61)), Merge::New);
        assert_eq!(catalogue.expire(at(121)), ["a", "b"]);
        assert_eq!(catalogue.expire(at(721)), [""; 0]);
        assert_eq!((catalogue.entries.len(), catalogue.bytes), (0, 0));
    }

    #[test]
    fn there_is_room_for_so_much() {
        let mut catalogue = Catalogue::new(LIMITS);
        assert_eq!(catalogue.merge("a", stamp(1, 1), (), 101, at(0)), Merge::NoRoom);
        assert_eq!(catalogue.merge("a", stamp(1, 1), (), 100, at(0)), Merge::New);
        assert_eq!(catalogue.merge("b", stamp(1, 1), (), 60, at(0)), Merge::NoRoom);
        assert_eq!(catalogue.merge("a", stamp(1, 2), (), 60, at(0)), Merge::New);
        assert_eq!(catalogue.merge("b", stamp(1, 1), (), 60, at(0)), Merge::New);
        assert_eq!(catalogue.merge("c", stamp(1, 1), (), 10, at(0)), Merge::New);
        assert_eq!(catalogue.merge("d", stamp(1, 1), (), 10, at(0)), Merge::NoRoom);
        assert_eq!(catalogue.iter().count(), 3);
    }
}
