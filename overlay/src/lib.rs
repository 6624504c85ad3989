//! How edges reach each other.
//!
//! Edges dial out to hubs, and to other edges that can be dialled, over *links* ([`link`]). A [`node`] has links, and *streams* ([`stream`]) to other edges, which hubs relay.
//! A stream outlives the links that carry it; datagrams ([`datagram`]) go beside it. Nothing here knows of HTTP or of the mesh.

pub mod catalogue;
pub mod control;
pub mod datagram;
pub mod descriptors;
pub mod enroll;
pub mod folder;
mod handshakes;
pub mod hub;
pub mod identity;
pub mod link;
pub mod node;
pub mod shards;
pub mod status;
mod strangers;
pub mod stream;
pub mod transport;
pub mod tunnel;
pub mod uplink;
mod waiters;

use std::task::{Context, Waker};

fn wake(waiting: &mut Option<Waker>) {
    if let Some(waker) = waiting.take() {
        waker.wake();
    }
}

fn wait(waiting: &mut Option<Waker>, context: &Context<'_>) {
    match waiting {
        Some(waker) if waker.will_wake(context.waker()) => {}
        _ => *waiting = Some(context.waker().clone()),
    }
}
