//! What strangers may cause in the log: few lines, short ones, and nothing in them that looks like another line.

use std::cell::{Cell, RefCell};
use std::fmt;

use hashbrown::HashMap;
use tokio::time::{Duration, Instant};

/// Lines of one kind are no more often than this.
const EVERY: Duration = Duration::from_secs(1);
/// Peers that are remembered; those beyond share their lines.
const MOST: usize = 1024;
/// Of a text that others have made up, in characters.
const LONGEST: usize = 200;

/// One kind of line.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    logged: Cell<Option<Instant>>,
    left_out: Cell<u64>,
}

impl Seldom {
    /// It happened once more. How many lines were left out before this one, if it is to be logged.
    pub(crate) fn happened(&self) -> Option<u64> {
        let now = Instant::now();
        if self.logged.get().is_some_and(|logged| now - logged < EVERY) {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        self.logged.set(Some(now));
        Some(self.left_out.take())
    }
}

/// One kind of line, of each peer: what one does takes no line from others.
#[derive(Debug, Default)]
pub(crate) struct SeldomOf {
    lines: RefCell<HashMap<String, Seldom>>,
    /// Of those beyond [`MOST`].
    of_others: Seldom,
    /// When it was last looked who may be forgotten.
    swept: Cell<Option<Instant>>,
}

impl SeldomOf {
    /// The same as [`Seldom::happened`], of a peer.
    pub(crate) fn happened(&self, peer: &str) -> Option<u64> {
        let mut lines = self.lines.borrow_mut();
        if lines.len() >= MOST && !lines.contains_key(peer) {
            let now = Instant::now();
            let is_recent = |time: Option<Instant>| time.is_some_and(|time| now - time < EVERY);
            // Thousands may lose their links at once: they are not all looked at for each.
            if !is_recent(self.swept.get()) {
                self.swept.set(Some(now));
                lines.retain(|_, line| is_recent(line.logged.get()));
            }
            if lines.len() >= MOST {
                return self.of_others.happened();
            }
        }
        lines.entry(peer.to_owned()).or_default().happened()
    }
}

/// The beginning of a text in quotes, on one line.
pub(crate) fn quoted(text: &dyn fmt::Display) -> String {
    let text = text.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_written_once_in_a_while_and_says_how_many_were_not() {
        let seldom = Seldom::default();
        let happened = || seldom.happened();
        assert_eq!([happened(), happened(), happened()], [Some(0), None, None]);
        tokio::time::advance(EVERY).await;
        assert_eq!([happened(), happened()], [Some(2), None]);
        tokio::time::advance(EVERY).await;
        assert_eq!(happened(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn each_peer_has_lines_of_its_own() {
        let seldom = SeldomOf::default();
        assert_eq!(["a", "a", "b", "a"].map(|peer| seldom.happened(peer)), [Some(0), None, Some(0), None]);
        tokio::time::advance(EVERY).await;
        assert_eq!(["a", "b"].map(|peer| seldom.happened(peer)), [Some(2), Some(0)]);
        tokio::time::advance(EVERY).await;
        let logged = (0..2 * MOST).filter(|peer| seldom.happened(&peer.to_string()) == Some(0)).count();
        // Those who find no place share one line.
        assert_eq!(logged, MOST + 1);
        tokio::time::advance(EVERY).await;
        assert_eq!((seldom.happened("c"), seldom.lines.borrow().len()), (Some(0), 1));
    }

    #[test]
    fn a_text_is_short_and_on_one_line() {
        assert_eq!(quoted(&"a\n2026 ERROR\x1b[0m"), r#""a\n2026 ERROR\u{1b}[0m""#);
        let long = quoted(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), LONGEST + 5);
    }
}
