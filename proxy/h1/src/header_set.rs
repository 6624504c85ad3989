//! Sets of well-known names.

use crate::name::Header;

/// A set of well-known names, for membership tests and bulk removal without string comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderSet([u64; 2]);

impl HeaderSet {
    /// The set without members.
    pub const EMPTY: HeaderSet = HeaderSet([0; 2]);

    /// The set of `headers`; [`Header::Other`] is ignored.
    pub const fn of(headers: &[Header]) -> Self {
        let mut set = HeaderSet::EMPTY;
        let mut at = 0;
        while at < headers.len() {
            set.insert(headers[at]);
            at += 1;
        }
        set.remove(Header::Other);
        set
    }

    /// Adds a name.
    #[inline(always)]
    pub(crate) const fn insert(&mut self, header: Header) {
        self.0[header as usize >> 6 & 1] |= 1 << (header as u8 & 63);
    }

    /// Adds a name; notes in `again` if it was a member already.
    #[inline(always)]
    pub(crate) fn insert_noting(&mut self, header: Header, again: &mut HeaderSet) {
        let (word, bit) = (header as usize >> 6 & 1, 1 << (header as u8 & 63));
        again.0[word] |= self.0[word] & bit;
        self.0[word] |= bit;
    }

    /// Takes a name out.
    #[inline(always)]
    pub(crate) const fn remove(&mut self, header: Header) {
        self.0[header as usize >> 6 & 1] &= !(1 << (header as u8 & 63));
    }

    /// Whether `header` is a member.
    #[inline(always)]
    pub const fn contains(self, header: Header) -> bool {
        self.0[header as usize >> 6 & 1] & (1 << (header as u8 & 63)) != 0
    }

    /// Whether the two sets share a member.
    #[inline(always)]
    pub const fn intersects(self, other: HeaderSet) -> bool {
        (self.0[0] & other.0[0]) | (self.0[1] & other.0[1]) != 0
    }

    /// The members of this set that are not in `other`.
    #[inline(always)]
    pub const fn without(self, other: HeaderSet) -> HeaderSet {
        HeaderSet([self.0[0] & !other.0[0], self.0[1] & !other.0[1]])
    }

    /// The members of both sets together.
    #[inline(always)]
    pub const fn with(self, other: HeaderSet) -> HeaderSet {
        HeaderSet([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_they_were_given() {
        let set = HeaderSet::of(&[Header::Host, Header::XRealIp, Header::Other]);
        assert!(set.contains(Header::Host) && set.contains(Header::XRealIp));
        assert!(!set.contains(Header::Te) && !set.contains(Header::Other));
        assert!(set.without(HeaderSet::of(&[Header::Host])).intersects(HeaderSet::of(&[Header::XRealIp])));
        assert!(!set.intersects(HeaderSet::EMPTY));
        assert!(HeaderSet::EMPTY.with(set).contains(Header::XRealIp));
    }

    #[test]
    fn every_name_has_a_bit_of_its_own() {
        for header in Header::ALL {
            let set = HeaderSet::of(&[*header]);
            assert!(Header::ALL.iter().all(|other| set.contains(*other) == (other == header)), "{header:?}");
        }
    }
}
