//! What streams send when the windows allow it, and how much of it waits.

use h2::Key;

use super::connection::{Connection, State};
use super::slot::Ending;

/// While more than this waits for windows, on all streams of a connection together, a stream takes only what can be sent at once: those
/// whose windows are closed must not fill our memory, and those whose windows are open must not wait for them.
const MOST_UNSENT: usize = 1 << 20;

impl Connection {
    /// Sends what streams could not send before, as far as the windows allow now.
    pub(super) fn send_blocked(&self, state: &mut State) {
        for _ in 0..state.blocked.len() {
            // The others have their turn next.
            if state.codec.is_blocked() {
                return;
            }
            let Some(key) = state.blocked.pop_front() else { return };
            let waits = self.send_unsent(state, key);
            let Some(slot) = state.codec.get(key) else { continue };
            slot.queued = waits;
            if waits {
                state.blocked.push_back(key);
            }
        }
    }

    /// Sends what a stream could not send before, as far as the windows allow now; `true` when it has to wait on.
    pub(super) fn send_unsent(&self, state: &mut State, key: Key) -> bool {
        let Some(slot) = state.codec.get(key).filter(|slot| slot.blocked) else { return false };
        let mut unsent = std::mem::take(&mut slot.unsent);
        let with_data = matches!(slot.ending, Ending::WithData);
        if !unsent.is_empty() && state.codec.send_window(key) > 0 {
            let mut sent = 0;
            self.writer.put(|out| sent = state.codec.send_data(key, unsent.bytes(), with_data, out));
            unsent.consume(sent);
            state.unsent -= sent;
        }
        let may_take = state.appetite(key) > 0;
        let Some(slot) = state.codec.get(key) else { return false };
        if !unsent.is_empty() || (matches!(slot.ending, Ending::Open) && !may_take) {
            slot.unsent = unsent;
            return true;
        }
        slot.blocked = false;
        slot.wake();
        match std::mem::take(&mut slot.ending) {
            Ending::Open => {}
            Ending::WithTrailers(trailers) => {
                slot.ending = Ending::Sent;
                self.writer.put(|out| state.codec.send_trailers(key, &trailers, out));
                state.spare.keep_trailers(trailers);
            }
            Ending::WithData | Ending::Sent => slot.ending = Ending::Sent,
        }
        false
    }
}

impl State {
    /// How many bytes of a body a stream may take now.
    pub(super) fn appetite(&self, key: Key) -> usize {
        if self.unsent <= MOST_UNSENT { usize::MAX } else { self.codec.send_window(key) }
    }

    /// Lets a stream wait for a window.
    pub(super) fn block(&mut self, key: Key) {
        let Some(slot) = self.codec.get(key) else { return };
        slot.blocked = true;
        if !std::mem::replace(&mut slot.queued, true) {
            self.blocked.push_back(key);
        }
    }
}
