//! Bytes from one link to another, as many as the next link may send at once: what it has no credit for stays with its sender. So a leg that nobody reads
//! holds what its first link has allowed, and no more. Datagrams wait for no credit, and the oldest are dropped.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::counters::{Counters, count};
use crate::link::LinkStream;

/// Moved at once, bytes.
const PIECE: usize = 16 * 1024;

/// Passes bytes on in both directions until both have ended, or what is read from either breaks off.
pub(super) async fn both(near: &LinkStream, far: &LinkStream, counters: &Counters) -> io::Result<()> {
    let (mut there, mut back) = (false, false);
    poll_fn(|context| {
        there = there || one(near, far, context)?.is_ready();
        back = back || one(far, near, context)?.is_ready();
        for (from, to) in [(near, far), (far, near)] {
            while let Some(packet) = from.datagram() {
                count(&counters.datagram_packets_relayed);
                to.send_datagram(packet);
            }
        }
        if there && back { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// Ready when all has been passed on, or nothing can be any more: who refuses a leg takes nothing and says why, which is still to be passed on
/// in the other direction.
fn one(from: &LinkStream, to: &LinkStream, context: &Context<'_>) -> Poll<io::Result<()>> {
    let mut piece = [0; PIECE];
    loop {
        let Poll::Ready(credit) = to.poll_credit(context) else {
            // Nothing is read meanwhile, but its end is heard of.
            return from.poll_failure(context).map(Err);
        };
        let Ok(credit) = credit else { return Poll::Ready(Ok(())) };
        let most = credit.min(PIECE);
        let Poll::Ready(count) = from.poll_read_into(context, &mut piece[..most]) else { return Poll::Pending };
        match count? {
            0 => {
                to.finish();
                return Poll::Ready(Ok(()));
            }
            count => to.try_write(&piece[..count]),
        };
    }
}
