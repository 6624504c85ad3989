//! Datagrams in packets: what is read is written again the same, and what is put together is what a naive reader makes of all packets so far.
//!
//! An input is a list of packets, each behind its length in two bytes.

use overlay_wire::datagram::{Assembly, MAX_DATAGRAM, Packet, Taken, cut};

/// Takes the packets of a tunnel.
pub fn run(input: &[u8]) -> bool {
    let (mut assembly, mut seen) = (Assembly::default(), Vec::new());
    let mut is_taken = false;
    for bytes in packets(input) {
        let Ok(packet) = Packet::parse(bytes) else { continue };
        assert!(packet.length <= MAX_DATAGRAM && packet.offset + packet.bytes.len() <= packet.length);
        assert_eq!(Packet::parse(&packet.to_bytes()), Ok(packet));
        seen.push(packet);
        let taken = assembly.take(&packet);
        assert_eq!(taken, naive(&seen), "packet {}", seen.len());
        if let Taken::Whole(flow, datagram) = taken {
            is_taken = true;
            let mut again = Assembly::default();
            let pieces: Vec<_> = cut(flow, packet.number, &datagram).collect();
            let last = pieces.iter().map(|piece| again.take(piece)).last();
            assert_eq!(last, Some(Taken::Whole(flow, datagram.clone())), "in {} pieces", pieces.len());
        }
    }
    is_taken
}

fn packets(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = input;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (packet, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = behind;
        Some(packet)
    })
}

/// What the last of all packets leads to.
fn naive(seen: &[Packet<'_>]) -> Taken {
    let Some(first) = seen.iter().rposition(|packet| packet.offset == 0) else { return Taken::Orphan };
    let begun = seen[first];
    let (mut have, mut last) = (begun.bytes.to_vec(), true);
    for packet in &seen[first + 1..] {
        let is_same = (packet.flow, packet.number, packet.length) == (begun.flow, begun.number, begun.length);
        last = is_same && packet.offset == have.len() && have.len() < begun.length;
        if last {
            have.extend_from_slice(packet.bytes);
        }
    }
    match last {
        false => Taken::Orphan,
        true if have.len() == begun.length => Taken::Whole(begun.flow, have),
        true => Taken::Part,
    }
}
