//! Sockets driven by io_uring: many sends in one system call, and bytes that are there without one.
//!
//! A [`Ring`] belongs to one thread. Sockets are [added](Ring::add) to it with an [`Owner`] each, which hears what becomes of them
//! whenever the thread takes a [turn](Ring::turn). Between turns the thread may sleep on [`Ring::wakeups`], as on any other descriptor by
//! [`Readiness`].
//!
//! This is the only place of the project with `unsafe` code, and its interface has none. What makes it sound:
//!
//! * Memory that the kernel may read or write belongs to the ring until the kernel is done with it: bytes to be sent are given to
//!   the ring and come back with their completion; received bytes are in buffers of the ring and only lent to owners.
//! * A socket that is [removed](Ring::remove) stays open until its last operation has completed, so that no operation ever meets
//!   another socket under the same number.
//! * A ring that is dropped waits for what it has cancelled. What the kernel would not give back is leaked.

mod buffers;
mod completion;
mod readiness;
mod ring;
mod slot;
mod unavailable;

pub use readiness::Readiness;
pub use ring::{Options, Ring, Turn};
pub use slot::{Key, Owner, ReceiveEnd};
pub use unavailable::Unavailable;
