//! Datagrams of flows: cut into packets that a link takes, and put together again. A packet may be lost, and with it its datagram.
//!
//! This is what two edges say to each other; hubs see it sealed. A flow has the number of the stream that it was opened by, as datagrams of HTTP have
//! (RFC 9297).

mod queue;

use thiserror::Error;

pub use self::queue::Queue;
use crate::frame::{MAX_CONTENT, StreamId};
use crate::varint;

/// The longest datagram, bytes: what UDP carries over IPv6.
pub const MAX_DATAGRAM: usize = 65_527;
/// What is left of a frame for who seals packets: the stream of the link, a counter and a tag.
const MAX_SEAL: usize = 48;
/// The fields of a packet, at most.
const MAX_FIELDS: usize = 8 + 8 + 4 + 4;
/// Bytes of a datagram in one packet, at most.
const MAX_PIECE: usize = MAX_CONTENT - MAX_SEAL - MAX_FIELDS;

/// A datagram, or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Whose it is.
    pub flow: StreamId,
    /// Which one, counted by the sender over all flows.
    pub number: u64,
    /// The bytes of the whole datagram.
    pub length: usize,
    /// Where these belong.
    pub offset: usize,
    /// Some of them.
    pub bytes: &'a [u8],
}

/// Bytes that are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a packet of a datagram")]
pub struct Malformed;

impl<'a> Packet<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let mut field = || {
            let (value, behind) = varint::take(rest).ok_or(Malformed)?;
            rest = behind;
            Ok(value)
        };
        let (flow, number) = (StreamId(field()?), field()?);
        let (length, offset) = (size(field()?)?, size(field()?)?);
        let is_piece = !rest.is_empty() && rest.len() <= length.saturating_sub(offset);
        if is_piece || (length, offset, rest.len()) == (0, 0, 0) {
            Ok(Self { flow, number, length, offset, bytes: rest })
        } else {
            Err(Malformed)
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_FIELDS + self.bytes.len());
        for field in [self.flow.0, self.number, self.length as u64, self.offset as u64] {
            varint::put(&mut out, field);
        }
        out.extend_from_slice(self.bytes);
        out
    }
}

fn size(value: u64) -> Result<usize, Malformed> {
    usize::try_from(value).ok().filter(|size| *size <= MAX_DATAGRAM).ok_or(Malformed)
}

/// The packets of a datagram, in order; none of one that is too long.
pub fn cut(flow: StreamId, number: u64, datagram: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let length = datagram.len();
    let pieces = if length > MAX_DATAGRAM { 0 } else { length.div_ceil(MAX_PIECE).max(1) };
    (0..pieces).map(move |piece| {
        let offset = piece * MAX_PIECE;
        Packet { flow, number, length, offset, bytes: &datagram[offset..length.min(offset + MAX_PIECE)] }
    })
}

/// The datagram that is being put together. There is but one: its packets come one after the other, and what comes between them ends it.
#[derive(Debug, Default)]
pub struct Assembly {
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    flow: StreamId,
    number: u64,
    length: usize,
    bytes: Vec<u8>,
}

/// What a packet leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// A whole datagram.
    Whole(StreamId, Vec<u8>),
    /// More is to come.
    Part,
    /// Its beginning was lost.
    Orphan,
}

impl Assembly {
    /// Takes the next packet.
    pub fn take(&mut self, packet: &Packet<'_>) -> Taken {
        let Packet { flow, number, length, offset, bytes } = *packet;
        if offset == 0 {
            // Whoever says how long it will be has not sent so much yet.
            self.begun = Some(Begun { flow, number, length, bytes: bytes.to_vec() });
        } else {
            let follows = |begun: &&mut Begun| {
                (begun.flow, begun.number, begun.length, begun.bytes.len()) == (flow, number, length, offset)
            };
            let Some(begun) = self.begun.as_mut().filter(follows) else { return Taken::Orphan };
            begun.bytes.extend_from_slice(bytes);
        }
        match self.begun.take_if(|begun| begun.bytes.len() == begun.length) {
            Some(begun) => Taken::Whole(begun.flow, begun.bytes),
            None => Taken::Part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: StreamId = StreamId(4);

    fn datagram(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    /// As they travel.
    fn packets(number: u64, datagram: &[u8]) -> Vec<Vec<u8>> {
        cut(FLOW, number, datagram).map(|packet| packet.to_bytes()).collect()
    }

    fn take(assembly: &mut Assembly, packet: &[u8]) -> Taken {
        Packet::parse(packet).map_or_else(|error| panic!("{error}"), |packet| assembly.take(&packet))
    }

    #[test]
    fn a_datagram_of_any_size_arrives_whole() {
        let mut assembly = Assembly::default();
        for length in [0, 1, 1200, 9000, MAX_PIECE, MAX_PIECE + 1, 65_507, MAX_DATAGRAM] {
            let datagram = datagram(length);
            let packets = packets(length as u64, &datagram);
            assert!(packets.iter().all(|packet| packet.len() + MAX_SEAL <= MAX_CONTENT), "{length}");
            let taken: Vec<_> = packets.iter().map(|packet| take(&mut assembly, packet)).collect();
            let (last, parts) = taken.split_last().unwrap_or_else(|| panic!("no packet of {length} bytes"));
            assert_eq!(*last, Taken::Whole(FLOW, datagram));
            assert!(parts.iter().all(|part| *part == Taken::Part));
        }
        assert!(packets(1, &datagram(MAX_DATAGRAM + 1)).is_empty());
    }

    #[test]
    fn a_lost_packet_loses_its_datagram_alone() {
        let (first, second) = (datagram(40_000), datagram(40_000));
        let (first, second_packets) = (packets(1, &first), packets(2, &second));
        for lost in 0..first.len() {
            let mut assembly = Assembly::default();
            let all = first.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, packet)| packet);
            let whole = all.chain(&second_packets).filter_map(|packet| match take(&mut assembly, packet) {
                Taken::Whole(_, bytes) => Some(bytes),
                Taken::Part | Taken::Orphan => None,
            });
            assert_eq!(whole.collect::<Vec<_>>(), std::slice::from_ref(&second), "without packet {lost}");
        }
        // Two of the same size are not mixed.
        let mut assembly = Assembly::default();
        assert_eq!(take(&mut assembly, &first[0]), Taken::Part);
        assert_eq!(take(&mut assembly, &second_packets[1]), Taken::Orphan);
        assert_eq!(take(&mut assembly, &first[1]), Taken::Part);
    }

    #[test]
    fn what_says_it_is_longer_than_it_may_be_or_carries_nothing_is_refused() {
        let with = |length: u64, offset: u64, bytes: &[u8]| {
            let mut out = Vec::new();
            [4, 1, length, offset].into_iter().for_each(|field| varint::put(&mut out, field));
            out.extend_from_slice(bytes);
            out
        };
        for bad in [with(65_528, 0, b"x"), with(2, 0, b"xyz"), with(2, 2, b"x"), with(2, 1, b""), with(0, 1, b"")] {
            assert_eq!(Packet::parse(&bad), Err(Malformed), "{bad:?}");
        }
        assert_eq!(Packet::parse(&[4, 1, 0x40]), Err(Malformed));
    }
}
