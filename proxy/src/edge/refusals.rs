//! What is not taken of other edges, or not offered to them, as lines of the log: one for all services with the same reason, when that changes, and seldom. Other
//! edges say what they announce as often as they like, and with as many names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Of the same edge and for the same reason nothing is said more often.
const EVERY: Duration = Duration::from_secs(60);

/// What is refused as of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusals(BTreeMap<Cause, Refused>);

/// What they have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cause {
    /// The edge that offers it, if it is another one.
    edge: Option<String>,
    reason: Cow<'static, str>,
}

/// How many there are, and one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    count: usize,
    host: Option<String>,
}

/// What the log has said of them.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    said: BTreeMap<Cause, (Refused, Instant)>,
}

impl Refusals {
    /// Of a service of another edge.
    pub(super) fn take(&mut self, edge: &str, host: &str, reason: &'static str) {
        self.add(Cause { edge: Some(edge.to_owned()), reason: reason.into() }, Some(host));
    }

    /// Of a service here.
    pub(super) fn offer(&mut self, host: &str, reason: impl Into<Cow<'static, str>>) {
        self.add(Cause { edge: None, reason: reason.into() }, Some(host));
    }

    /// Of nothing that has a name.
    pub(super) fn note(&mut self, reason: String) {
        self.add(Cause { edge: None, reason: reason.into() }, None);
    }

    /// Both.
    pub(super) fn and(mut self, others: &Self) -> Self {
        self.0.extend(others.0.iter().map(|(cause, refused)| (cause.clone(), refused.clone())));
        self
    }

    fn add(&mut self, cause: Cause, host: Option<&str>) {
        let refused = self.0.entry(cause).or_insert_with(|| Refused { count: 0, host: host.map(str::to_owned) });
        refused.count += 1;
    }

    /// How many there are of an edge; of our own without one.
    #[cfg(test)]
    pub(super) fn count(&self, edge: Option<&str>) -> Vec<usize> {
        let of_edge = self.0.iter().filter(|(cause, _)| cause.edge.as_deref() == edge);
        of_edge.map(|(_, refused)| refused.count).collect()
    }
}

impl RefusalLog {
    /// Says what is new. Returns when it is time to look again, if something is new that has to wait.
    pub(super) fn say(&mut self, refusals: &Refusals) -> Option<Instant> {
        let now = Instant::now();
        for (Cause { edge, reason }, Refused { count, host }) in self.due(refusals, now) {
            let count = host.as_ref().map(|_| count);
            tracing::warn!(edge, count, host, "{reason}");
        }
        let waiting = refusals.0.iter().filter_map(|(cause, refused)| {
            let (said, at) = self.said.get(cause)?;
            (said != refused).then_some(*at + EVERY)
        });
        waiting.min()
    }

    /// What is to be said now.
    fn due(&mut self, refusals: &Refusals, now: Instant) -> Vec<(Cause, Refused)> {
        let is_recent = |at: Instant| now < at + EVERY;
        self.said.retain(|cause, (_, at)| is_recent(*at) || refusals.0.contains_key(cause));
        let is_new = |(cause, refused): &(&Cause, &Refused)| {
            self.said.get(*cause).is_none_or(|(said, at)| said != *refused && !is_recent(*at))
        };
        let due = refusals.0.iter().filter(is_new).map(|(cause, refused)| (cause.clone(), refused.clone()));
        let due: Vec<_> = due.collect();
        self.said.extend(due.iter().map(|(cause, refused)| (cause.clone(), (refused.clone(), now))));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Refusals {
        let mut refusals = Refusals::default();
        for number in 0..count {
            refusals.take("b", &format!("n{number}.global"), "is not taken");
        }
        refusals
    }

    #[test]
    fn there_is_one_line_for_all_names_when_they_change_and_one_a_minute() {
        let (mut log, start) = (RefusalLog::default(), Instant::now());
        let mut said = |count, seconds| log.due(&names(count), start + Duration::from_secs(seconds));
        let first = said(2_000, 0);
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].1, Refused { count: 2_000, host: Some("n0.global".to_owned()) });
        assert_eq!(said(2_000, 1), []);
        assert_eq!(said(1_999, 2), [], "another edge must not make lines by changing what it offers");
        assert_eq!(said(0, 3), []);
        assert_eq!(said(2_000, 4), []);
        assert_eq!(said(1_999, 61).len(), 1);
        assert_eq!(said(1_999, 600), [], "what has not changed is not said again");
        assert_eq!(said(0, 601), []);
        assert_eq!(said(1_999, 602).len(), 1, "it was gone");
    }

    #[test]
    fn edges_and_reasons_have_lines_of_their_own() {
        let mut refusals = names(3);
        refusals.take("c", "n0.global", "is not taken");
        refusals.offer("x.example", "is not offered");
        let mut others = Refusals::default();
        others.note("export[0] selects nothing".to_owned());
        let refusals = refusals.and(&others);
        assert_eq!(RefusalLog::default().due(&refusals, Instant::now()).len(), 4);
        assert_eq!((refusals.count(Some("b")), refusals.count(None)), (vec![3], vec![1, 1]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_to_wait_is_said_when_its_time_has_come() {
        let mut log = RefusalLog::default();
        assert_eq!(log.say(&names(1)), None);
        let again = log.say(&names(2));
        assert_eq!(again, Some(Instant::now() + EVERY));
        tokio::time::sleep(EVERY).await;
        assert_eq!(log.say(&names(2)), None);
        assert_eq!(log.due(&names(2), Instant::now()), []);
    }
}
