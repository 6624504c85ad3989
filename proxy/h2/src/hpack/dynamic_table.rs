//! The dynamic table of the decoder (RFC 7541 2.3.2, 4).

use std::collections::VecDeque;

use h1::{SectionField, SectionKind};

/// Bytes that an entry costs beside its name and value (RFC 7541 4.1).
const OVERHEAD: usize = 32;

/// Bytes of a line beside its name and value: entries lie as HTTP/1 writes them, so that a head gets them by one copy.
const LINE_PARTS: usize = ": \r\n".len();

/// What the peer put there. All text lies in one buffer, so that nothing is allocated once that has grown.
pub(super) struct DynamicTable {
    /// The entries as lines, oldest first; what is older than the oldest entry is dead.
    text: Vec<u8>,
    entries: VecDeque<Entry>,
    size: usize,
    capacity: usize,
    /// The capacity never gets larger.
    limit: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    end: usize,
    name_length: usize,
    kind: SectionKind,
}

impl Entry {
    fn size(&self) -> usize {
        self.end - self.start - LINE_PARTS + OVERHEAD
    }
}

impl DynamicTable {
    pub(super) fn new(limit: usize) -> Self {
        DynamicTable { text: Vec::new(), entries: VecDeque::new(), size: 0, capacity: limit, limit }
    }

    /// The entry with this index, the newest being 0.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<(SectionKind, SectionField<'_>)> {
        let entry = self.entries.get(index)?;
        let line = self.text.get(entry.start..entry.end)?;
        Some((entry.kind, SectionField::of_line(entry.kind, line, entry.name_length)))
    }

    /// Changes the capacity; `false` when that is more than the limit.
    pub(super) fn resize(&mut self, capacity: usize) -> bool {
        let allowed = capacity <= self.limit;
        if allowed {
            self.capacity = capacity;
            self.evict();
        }
        allowed
    }

    /// Adds a field.
    pub(super) fn insert(&mut self, kind: SectionKind, name: &[u8], value: &[u8]) {
        if self.has_room(name.len(), value.len()) {
            let start = self.text.len();
            SectionField::write_line(name, value, &mut self.text);
            self.push(start, name.len(), kind);
        }
    }

    /// Adds a field with the name of an entry, even if that has to go to make room.
    pub(super) fn insert_with_name_of(&mut self, index: usize, kind: SectionKind, value: &[u8]) {
        let Some(named) = self.entries.get(index).copied() else { return };
        if self.has_room(named.name_length, value.len()) {
            let start = self.text.len();
            self.text.extend_from_within(named.start..named.start + named.name_length);
            SectionField::write_line(b"", value, &mut self.text);
            self.push(start, named.name_length, kind);
        }
    }

    /// A field that is larger than the whole table empties it (RFC 7541 4.4).
    fn has_room(&mut self, name_length: usize, value_length: usize) -> bool {
        let fits = name_length + value_length + OVERHEAD <= self.capacity;
        if !fits {
            self.entries.clear();
            self.text.clear();
            self.size = 0;
        }
        fits
    }

    /// Adds an entry that was written from `start`, and takes out those that are too much.
    fn push(&mut self, start: usize, name_length: usize, kind: SectionKind) {
        let entry = Entry { start, end: self.text.len(), name_length, kind };
        self.size += entry.size();
        self.entries.push_front(entry);
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.capacity {
            let Some(oldest) = self.entries.pop_back() else { break };
            self.size -= oldest.size();
        }
        // At least half of it is dead then, so each byte is moved once at most for one that was added.
        if self.text.len() > 2 * self.limit {
            self.move_to_the_front();
        }
    }

    fn move_to_the_front(&mut self) {
        let dead = self.entries.back().map_or(self.text.len(), |oldest| oldest.start);
        self.text.drain(..dead);
        for entry in &mut self.entries {
            entry.start -= dead;
            entry.end -= dead;
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    #[cfg(test)]
    pub(super) fn text_capacity(&self) -> usize {
        self.text.capacity()
    }
}
