//! Memory that the kernel receives into: a ring of buffers, from which it takes one for every piece that comes
//! (`IORING_REGISTER_PBUF_RING`).

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::io;
use std::mem::size_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The only group of buffers.
pub(crate) const GROUP: u16 = 0;
const PAGE: usize = 4096;

/// The buffers of a ring. Those that the kernel does not hold are ours until they are given back.
pub(crate) struct Buffers {
    /// The ring's entries, on pages of their own, then the buffers.
    memory: NonNull<u8>,
    layout: Layout,
    count: u16,
    size: u32,
    tail: u16,
    /// The kernel may still write: the memory is never freed.
    leaked: bool,
}

impl Buffers {
    /// Registers `count` (a power of two) buffers of `size` bytes. They must be dropped after the ring that `submitter` is of.
    pub(crate) fn register(submitter: &Submitter<'_>, count: u16, size: u32) -> io::Result<Self> {
        let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
        if !count.is_power_of_two() || size == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = entries_size(count) + usize::from(count) * size as usize;
        let layout = Layout::from_size_align(bytes, PAGE).map_err(too_large)?;
        // SAFETY: the layout is not empty, as neither count nor size is 0.
        let memory = unsafe { alloc(layout) };
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(layout) };
        // The buffers are not touched before the kernel fills them: until then they are no memory.
        // SAFETY: the entries are the first bytes of the layout.
        unsafe { memory.as_ptr().write_bytes(0, entries_size(count)) };
        let mut buffers = Self { memory, layout, count, size, tail: 0, leaked: false };
        // SAFETY: the entries begin at a page, are `count` long, and live as long as the ring (see above, and `Ring`).
        unsafe { submitter.register_buf_ring_with_flags(memory.as_ptr() as u64, count, GROUP, 0) }?;
        for id in 0..count {
            buffers.put(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The `count` bytes that the kernel says it has received into a buffer; `None` if there is no such buffer.
    ///
    /// # Safety
    /// The kernel has said so, and has not been given the buffer again.
    pub(crate) unsafe fn filled(&self, id: u16, count: usize) -> Option<&[u8]> {
        if id >= self.count || count > self.size as usize {
            return None;
        }
        // SAFETY: the buffer lies within the memory, and the kernel has written these bytes (see above). It gets the buffer again by
        // `give`, for which `self` must be borrowed mutably.
        Some(unsafe { std::slice::from_raw_parts(self.buffer(id), count) })
    }

    /// Lets the kernel use a buffer again.
    pub(crate) fn give(&mut self, id: u16) {
        if id < self.count {
            self.put(id);
            self.publish();
        }
    }

    /// Never frees the memory.
    pub(crate) fn leak(&mut self) {
        self.leaked = true;
    }

    fn put(&mut self, id: u16) {
        let buffer = self.buffer(id) as u64;
        let position = usize::from(self.tail & (self.count - 1));
        // SAFETY: the position is below `count`, so this is within the entries.
        let entry = unsafe { self.entries().add(position) };
        // SAFETY: the entry lies behind the tail that the kernel knows, so it is not read now, and nobody else refers to it. Zeroes
        // are a valid entry.
        let entry = unsafe { &mut *entry };
        entry.set_addr(buffer);
        entry.set_len(self.size);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: this is the beginning of the entries, on a page boundary.
        let tail = unsafe { BufRingEntry::tail(self.entries()) };
        // SAFETY: aligned, within the memory, and written by nobody else; the kernel reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    fn entries(&self) -> *mut BufRingEntry {
        self.memory.as_ptr().cast()
    }

    fn buffer(&self, id: u16) -> *mut u8 {
        let offset = entries_size(self.count) + usize::from(id) * self.size as usize;
        // SAFETY: `id` is below `count`: callers check it, or count to it.
        unsafe { self.memory.as_ptr().add(offset) }
    }
}

/// Whole pages.
fn entries_size(count: u16) -> usize {
    (usize::from(count) * size_of::<BufRingEntry>()).next_multiple_of(PAGE)
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if !self.leaked {
            // SAFETY: allocated with this layout; the ring is gone, so the kernel does not know the memory any more.
            unsafe { dealloc(self.memory.as_ptr(), self.layout) };
        }
    }
}
