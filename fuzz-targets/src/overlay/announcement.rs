//! What an edge announces, as anybody may send it: what is read is written again the same, and names those alone who may be named.

use overlay::catalogue::{Announcement, Signed};
use overlay::identity::is_name;
use overlay::node::Peer;

/// The overlay of the certificates among the seeds.
const OVERLAY: &str = "mesh.example";

/// Reads what is signed, who is said to have signed it, and what it says. Nobody has looked at the signature by then.
pub fn run(input: &[u8]) -> bool {
    let Some(signed) = Signed::from_bytes(input) else { return false };
    assert_eq!(Signed::from_bytes(&signed.to_bytes()).as_ref(), Some(&signed));
    if let Ok(peer) = Peer::of_certificate(&signed.signature.certificate, OVERLAY) {
        assert!(is_name(peer.name()), "{peer:?}");
    }
    let Ok(announcement) = Announcement::parse(&signed.payload) else { return false };
    assert_eq!(Announcement::parse(&announcement.to_bytes()), Ok(announcement));
    true
}
