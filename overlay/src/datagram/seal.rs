//! Sealing: ChaCha20-Poly1305 (RFC 8439) with keys that both ends of a tunnel export from its TLS (RFC 8446 section 7.5), one for each direction. The
//! nonce is the number of the packet, which goes before it.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use overlay_wire::mux::Side;
use overlay_wire::varint;
use rustls::ConnectionCommon;

use super::replay::Replay;

const LABEL: &[u8] = b"EXPORTER-selvedge-datagrams";
const KEY: usize = 32;
/// Packets that are not the other edge's, after which none is taken any more (RFC 9001 section 6.6).
const MOST_FORGED: u64 = 1 << 36;

/// What one end of a tunnel seals and opens packets with.
pub(crate) struct Seals {
    ours: LessSafeKey,
    theirs: LessSafeKey,
    next: u64,
    replay: Replay,
    forged: u64,
}

impl Seals {
    /// Those of a tunnel whose handshake is done.
    ///
    /// # Errors
    /// It exports no keys.
    pub(crate) fn of<Data>(connection: &ConnectionCommon<Data>, side: Side) -> Result<Self, rustls::Error> {
        Self::new(connection.export_keying_material([0; 2 * KEY], LABEL, None)?, side)
    }

    fn new(secret: [u8; 2 * KEY], side: Side) -> Result<Self, rustls::Error> {
        let key = |bytes: &[u8]| {
            let key = UnboundKey::new(&CHACHA20_POLY1305, bytes);
            key.map(LessSafeKey::new).map_err(|_| rustls::Error::General("no key for datagrams".to_owned()))
        };
        let (dialled, accepted) = secret.split_at(KEY);
        let (ours, theirs) = match side {
            Side::Dialled => (key(dialled)?, key(accepted)?),
            Side::Accepted => (key(accepted)?, key(dialled)?),
        };
        Ok(Self { ours, theirs, next: 0, replay: Replay::default(), forged: 0 })
    }

    /// A packet for the other end; `None` if no number is left.
    pub(crate) fn seal(&mut self, mut packet: Vec<u8>) -> Option<Vec<u8>> {
        let number = Some(self.next).filter(|number| *number <= varint::MAX)?;
        self.ours.seal_in_place_append_tag(nonce(number), Aad::empty(), &mut packet).ok()?;
        self.next += 1;
        let mut sealed = Vec::with_capacity(8 + packet.len());
        varint::put(&mut sealed, number);
        sealed.extend_from_slice(&packet);
        Some(sealed)
    }

    /// What the other end has sealed; `None` of anything else, and of what has come before.
    pub(crate) fn open<'packet>(&mut self, sealed: &'packet mut [u8]) -> Option<&'packet [u8]> {
        let (number, rest) = varint::take(sealed)?;
        let at = sealed.len() - rest.len();
        if self.forged >= MOST_FORGED {
            return None;
        }
        match self.theirs.open_in_place(nonce(number), Aad::empty(), &mut sealed[at..]) {
            // Only what is authentic moves the window.
            Ok(packet) => self.replay.note(number).then_some(&*packet),
            Err(_) => {
                self.forged += 1;
                None
            }
        }
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Seals, Seals) {
        let secret: [u8; 2 * KEY] = std::array::from_fn(|at| at as u8);
        match (Seals::new(secret, Side::Dialled), Seals::new(secret, Side::Accepted)) {
            (Ok(near), Ok(far)) => (near, far),
            other => panic!("{:?}", other.0.err().or(other.1.err())),
        }
    }

    fn seal(seals: &mut Seals, packet: &[u8]) -> Vec<u8> {
        seals.seal(packet.to_vec()).unwrap_or_else(|| panic!("not sealed"))
    }

    #[test]
    fn what_one_end_seals_the_other_opens_once_and_nobody_reads_it() {
        let (mut near, mut far) = pair();
        for text in [&b"there"[..], b"", &[7; 16_000]] {
            let sealed = seal(&mut near, text);
            assert!(text.is_empty() || !sealed.windows(text.len()).any(|window| window == text));
            assert_eq!(far.open(&mut sealed.clone()), Some(text));
            assert_eq!(far.open(&mut sealed.clone()), None, "a second time");
            let back = seal(&mut far, text);
            assert_eq!(near.open(&mut back.clone()), Some(text));
        }
    }

    #[test]
    fn what_is_changed_cut_off_or_turned_around_is_refused_and_harms_nothing() {
        let (mut near, mut far) = pair();
        let sealed = seal(&mut near, b"text");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(far.open(&mut changed), None, "byte {at}");
            assert_eq!(far.open(&mut sealed[..at].to_vec()), None, "{at} bytes");
        }
        assert_eq!(near.open(&mut sealed.clone()), None, "its own");
        assert_eq!(far.open(&mut sealed.clone()), Some(&b"text"[..]));
    }

    #[test]
    fn packets_may_come_in_another_order() {
        let (mut near, mut far) = pair();
        let sealed: Vec<_> = (0..10_u8).map(|number| seal(&mut near, &[number])).collect();
        for number in [3, 0, 9, 1] {
            assert_eq!(far.open(&mut sealed[number].clone()), Some(&[number as u8][..]));
        }
    }

    #[test]
    fn after_too_many_forgeries_nothing_is_taken() {
        let (mut near, mut far) = pair();
        far.forged = MOST_FORGED;
        assert_eq!(far.open(&mut seal(&mut near, b"text")), None);
    }
}
