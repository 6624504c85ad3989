//! Bytes that were put and not sent yet.

use std::task::Waker;

use super::Blocks;

/// A producer waits while more bytes than this are unsent.
pub const HIGH_WATER: usize = 128 * 1024;

/// The unsent bytes of a connection.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Not yet sealed, if the connection is secure.
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes taken out of these that are not sent yet: the TLS session or the ring has them.
    pub(super) under_way: usize,
    /// In the flusher's list.
    pub(super) queued: bool,
    /// The socket took less than all; a task waits until it takes more. Or the ring is sending.
    pub(super) blocked: bool,
    /// Sending failed; everything put from now on is dropped.
    pub(super) dead: bool,
    /// The write side closes once everything is sent.
    pub(super) finish: bool,
    /// The producer, when it waits for progress.
    pub(super) producer: Option<Waker>,
}

impl Output {
    /// The buffer to append to.
    pub(super) fn buffer(&mut self, blocks: &Blocks) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = blocks.take_output();
        }
        &mut self.bytes
    }

    /// As [`Self::buffer`], expecting `count` bytes.
    pub(super) fn buffer_for(&mut self, count: usize, blocks: &Blocks) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 && count > super::BLOCK_SIZE {
            self.bytes = blocks.take_large_output();
        }
        self.buffer(blocks)
    }

    /// What is to be sent next.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Says that the first `count` bytes of [`Self::unsent`] are gone.
    pub(super) fn advance(&mut self, count: usize, blocks: &Blocks) {
        self.sent += count;
        if self.sent >= self.bytes.len() {
            self.clear(blocks);
        } else if self.sent >= HIGH_WATER {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Takes everything out to be sent by the ring.
    pub(super) fn take_unsent(&mut self) -> Vec<u8> {
        self.under_way = self.bytes.len();
        std::mem::take(&mut self.bytes)
    }

    /// How many bytes wait in all.
    pub(super) fn backlog(&self) -> usize {
        self.bytes.len() - self.sent + self.under_way
    }

    /// Gives up: nothing will be sent any more.
    pub(super) fn fail(&mut self, blocks: &Blocks) {
        self.dead = true;
        self.under_way = 0;
        self.clear(blocks);
    }

    /// Tells a waiting producer to look again.
    pub(super) fn wake(&mut self) {
        if let Some(producer) = self.producer.take() {
            producer.wake();
        }
    }

    fn clear(&mut self, blocks: &Blocks) {
        blocks.give_output(std::mem::take(&mut self.bytes));
        self.sent = 0;
    }
}
