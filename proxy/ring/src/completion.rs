//! What has come of operations.

use io_uring::{cqueue, opcode};
use rustix::io::Errno;

use crate::ring::Ring;
use crate::slot::{Operation, Owner, ReceiveEnd};

impl<O: Owner> Ring<O> {
    /// Hands to owners what has come of their operations.
    pub(crate) fn complete(&mut self) {
        let mut completed = std::mem::take(&mut self.completed);
        completed.extend(self.ring.completion());
        for entry in completed.drain(..) {
            let (operation, index) = Operation::of_tag(entry.user_data());
            let result = u32::try_from(entry.result())
                .map(|count| count as usize)
                .map_err(|_| Errno::from_raw_os_error(-entry.result()));
            match operation {
                Operation::Cancel => {}
                Operation::Receive => self.received(index, result, entry.flags()),
                Operation::Send => self.sent(index, result),
                Operation::Readable | Operation::Writable => self.waited(index, operation),
            }
        }
        self.completed = completed;
    }

    fn received(&mut self, index: u32, result: Result<usize, Errno>, flags: u32) {
        let more = cqueue::more(flags);
        let buffer = cqueue::buffer_select(flags);
        let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else { return };
        let mut go_on = true;
        if let (Ok(count @ 1..), Some(id), false) = (&result, buffer, slot.removed) {
            // SAFETY: this is what the completion says; the buffer is given back below.
            let bytes = unsafe { self.buffers.filled(id, *count) };
            go_on = bytes.is_none_or(|bytes| slot.owner.received(bytes));
        }
        if let Some(id) = buffer {
            self.buffers.give(id);
        }
        if more {
            if !go_on && !slot.stopping && !slot.removed {
                slot.stopping = true;
                self.push(opcode::AsyncCancel::new(Operation::Receive.tag(index)).build());
            }
            return;
        }
        slot.end(Operation::Receive);
        slot.stopping = false;
        if !slot.removed {
            slot.owner.receive_ended(match result {
                Ok(0) => ReceiveEnd::Peer,
                Ok(_) | Err(Errno::CANCELED | Errno::NOBUFS | Errno::INTR | Errno::AGAIN) => ReceiveEnd::Stopped,
                Err(error) => ReceiveEnd::Failed(error),
            });
        }
        self.free_if_idle(index);
    }

    fn sent(&mut self, index: u32, result: Result<usize, Errno>) {
        let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else { return };
        slot.end(Operation::Send);
        let Some((bytes, sent)) = &mut slot.sending else { return };
        if let Ok(count) = result {
            *sent += count;
            if !slot.removed {
                slot.owner.sent(count);
            }
        }
        let result = result.map(drop);
        let is_all = *sent >= bytes.len();
        if slot.removed {
            slot.sending = None;
            return self.free_if_idle(index);
        }
        let again = result == Err(Errno::INTR) || result.is_ok() && !is_all;
        if again {
            return self.continue_sending(index);
        }
        if let Some((bytes, _)) = slot.sending.take() {
            slot.owner.send_ended(bytes, result);
        }
    }

    fn waited(&mut self, index: u32, operation: Operation) {
        let Some(slot) = self.slot(index) else { return };
        slot.end(operation);
        match operation {
            _ if slot.removed => self.free_if_idle(index),
            Operation::Readable => slot.owner.readable(),
            _ => slot.owner.writable(),
        }
    }
}
