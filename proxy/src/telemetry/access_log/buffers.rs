//! The log lines of a worker on their way to the writer.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Sink;

/// A buffer is handed over when it holds this much, bytes.
const FULL: usize = 64 * 1024;
/// Or when its first line is this old.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// One buffer for each log file that this worker has written to.
#[derive(Debug, Default)]
pub struct LogBuffers {
    buffers: RefCell<Vec<Option<Buffer>>>,
    /// Something waits.
    filled: Cell<bool>,
    first_line: Notify,
}

#[derive(Debug)]
struct Buffer {
    sink: Arc<Sink>,
    lines: Vec<u8>,
}

impl LogBuffers {
    /// Adds a line for `sink`.
    pub(super) fn write(&self, sink: &Arc<Sink>, line: impl FnOnce(&mut Vec<u8>)) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() <= sink.index {
            buffers.resize_with(sink.index + 1, || None);
        }
        let Some(slot) = buffers.get_mut(sink.index) else { return };
        let buffer =
            slot.get_or_insert_with(|| Buffer { sink: sink.clone(), lines: Vec::with_capacity(FULL + FULL / 8) });
        line(&mut buffer.lines);
        if buffer.lines.len() >= FULL {
            buffer.hand_over();
        } else if !self.filled.replace(true) {
            self.first_line.notify_one();
        }
    }

    /// Hands everything over.
    pub fn flush(&self) {
        self.filled.set(false);
        for buffer in self.buffers.borrow_mut().iter_mut().flatten() {
            if !buffer.lines.is_empty() {
                buffer.hand_over();
            }
        }
    }

    /// Hands lines over before they are old, for as long as the worker lives.
    pub async fn run(&self) {
        loop {
            self.first_line.notified().await;
            tokio::time::sleep(LONGEST_WAIT).await;
            self.flush();
        }
    }
}

impl Buffer {
    fn hand_over(&mut self) {
        self.lines = self.sink.hand_over(std::mem::take(&mut self.lines));
        if self.lines.capacity() < FULL {
            self.lines.reserve(FULL + FULL / 8);
        }
    }
}
