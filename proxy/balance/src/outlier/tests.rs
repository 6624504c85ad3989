use super::*;

const SECOND: Duration = Duration::from_secs(1);
const NOBODY: [usize; 0] = [];
const NEVER: Consecutive = Consecutive { failures: 0, enforcing: 0 };

fn config() -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: Consecutive { failures: 3, enforcing: 100 },
        consecutive_gateway_failure: NEVER,
        consecutive_local_origin_failure: NEVER,
        split_external_local_origin_errors: false,
        interval: 10 * SECOND,
        base_ejection_time: 30 * SECOND,
        max_ejection_time: 300 * SECOND,
        max_ejection_time_jitter: Duration::ZERO,
        max_ejection_percent: 100,
        always_eject_one_host: false,
    }
}

/// A cluster whose time passes as the test says.
struct Cluster {
    detector: Detector,
    addresses: Vec<EndpointAddress>,
    now: Instant,
}

impl Cluster {
    fn new(endpoints: u16, config: OutlierDetection) -> Self {
        let addresses = (0..endpoints).map(|port| EndpointAddress::Name("a".to_owned(), port)).collect::<Vec<_>>();
        let now = Instant::now();
        let detector = Detector::new(config, now);
        detector.set_endpoints(&addresses);
        Self { detector, addresses, now }
    }

    /// What the last of them led to.
    fn report(&self, endpoint: usize, outcomes: &[Outcome]) -> Consequence {
        let host = self.detector.host(&self.addresses[endpoint]);
        let report = |outcome: &Outcome| self.detector.report(&host, *outcome, self.now, || 0);
        outcomes.iter().map(report).last().unwrap_or(Consequence::None)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.detector.look(self.now);
    }

    fn ejected(&self) -> Vec<usize> {
        let ejected = self.detector.ejected();
        (0..self.addresses.len()).filter(|at| ejected.contains(&self.addresses[*at])).collect()
    }
}

#[test]
fn failures_in_a_row_eject_and_others_do_not() {
    let cluster = Cluster::new(2, config());
    let (bad, good) = (Outcome::Answered(500), Outcome::Answered(404));
    cluster.report(0, &[bad, bad, good, bad, bad, good]);
    assert_eq!(cluster.ejected(), NOBODY);
    let before = cluster.detector.generation();
    cluster.report(0, &[bad, Outcome::Failed, Outcome::TimedOut]);
    assert_eq!(cluster.ejected(), [0]);
    assert_ne!(cluster.detector.generation(), before);
    cluster.report(1, &[bad, bad, Outcome::ConnectedForGood, bad, Outcome::Connected, bad]);
    assert_eq!(cluster.ejected(), [0]);
    cluster.report(1, &[bad]);
    assert_eq!(cluster.ejected(), [0, 1]);
}

#[test]
fn gateway_failures_are_some_of_the_errors() {
    let gateway = Consecutive { failures: 2, enforcing: 100 };
    let config = OutlierDetection { consecutive_5xx: NEVER, consecutive_gateway_failure: gateway, ..config() };
    let cluster = Cluster::new(1, config);
    let answered = |statuses: &[u16]| {
        cluster.report(0, &statuses.iter().map(|status| Outcome::Answered(*status)).collect::<Vec<_>>());
    };
    answered(&[502, 500, 503, 501, 504, 200, 502]);
    assert_eq!(cluster.ejected(), NOBODY);
    answered(&[503]);
    assert_eq!(cluster.ejected(), [0]);
}

#[test]
fn failures_of_our_own_may_be_counted_apart() {
    let local = Consecutive { failures: 2, enforcing: 100 };
    let config = OutlierDetection {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: local,
        ..config()
    };
    let cluster = Cluster::new(2, config);
    cluster.report(0, &[Outcome::Failed, Outcome::Connected, Outcome::TimedOut, Outcome::Answered(200)]);
    assert_eq!(cluster.ejected(), NOBODY, "a connection ends the row");
    cluster.report(0, &[Outcome::Failed]);
    assert_eq!(cluster.ejected(), [0], "an answer alone does not");
    cluster.report(1, &[Outcome::Answered(500), Outcome::Failed, Outcome::Answered(500)]);
    assert_eq!(cluster.ejected(), [0], "neither row is complete");
}

#[test]
fn who_is_ejected_again_stays_away_for_longer_and_is_forgiven_in_time() {
    let mut cluster = Cluster::new(1, config());
    let fail = |cluster: &Cluster| assert_eq!(cluster.report(0, &[Outcome::Failed; 3]), Consequence::Ejected);
    let seconds_away = |cluster: &mut Cluster| {
        let mut seconds = 0;
        while !cluster.ejected().is_empty() {
            cluster.pass(SECOND);
            seconds += 1;
        }
        seconds
    };
    fail(&cluster);
    assert_eq!(seconds_away(&mut cluster), 30);
    fail(&cluster);
    assert_eq!(seconds_away(&mut cluster), 60);
    (0..50).for_each(|_| cluster.pass(SECOND));
    fail(&cluster);
    assert_eq!(seconds_away(&mut cluster), 30, "five looks found it well");
    for _ in 0..20 {
        fail(&cluster);
        seconds_away(&mut cluster);
    }
    fail(&cluster);
    assert_eq!(seconds_away(&mut cluster), 300, "the longest time");
}

#[test]
fn no_more_are_ejected_than_allowed() {
    let cluster = Cluster::new(10, OutlierDetection { max_ejection_percent: 20, ..config() });
    for endpoint in 0..10 {
        let consequence = if endpoint < 2 { Consequence::Ejected } else { Consequence::Overflow };
        assert_eq!(cluster.report(endpoint, &[Outcome::Failed; 3]), consequence);
    }
    assert_eq!(cluster.ejected(), [0, 1]);

    let few = Cluster::new(3, OutlierDetection { max_ejection_percent: 10, ..config() });
    few.report(0, &[Outcome::Failed; 3]);
    assert_eq!(few.ejected(), NOBODY, "one of three is more than 10 percent");
    let one = OutlierDetection { max_ejection_percent: 10, always_eject_one_host: true, ..config() };
    let few = Cluster::new(3, one);
    for endpoint in 0..3 {
        few.report(endpoint, &[Outcome::Failed; 3]);
    }
    assert_eq!(few.ejected(), [0]);
}

#[test]
fn what_is_not_enforced_has_no_consequence() {
    let half = Consecutive { failures: 1, enforcing: 50 };
    let cluster = Cluster::new(2, OutlierDetection { consecutive_5xx: half, ..config() });
    let host = |at: usize| cluster.detector.host(&cluster.addresses[at]);
    cluster.detector.report(&host(0), Outcome::Failed, cluster.now, || 50);
    assert_eq!(cluster.ejected(), NOBODY);
    cluster.detector.report(&host(0), Outcome::Failed, cluster.now, || 49);
    assert_eq!(cluster.ejected(), [0]);
}

#[test]
fn who_stays_keeps_its_counts_and_who_goes_is_forgotten() {
    let mut cluster = Cluster::new(3, config());
    cluster.report(0, &[Outcome::Failed; 3]);
    cluster.report(1, &[Outcome::Failed; 2]);
    cluster.detector.set_endpoints(&cluster.addresses[..2]);
    assert_eq!(cluster.ejected(), [0]);
    cluster.report(1, &[Outcome::Failed]);
    assert_eq!(cluster.ejected(), [0, 1]);
    cluster.detector.set_endpoints(&cluster.addresses[1..2]);
    assert_eq!(cluster.ejected(), [1]);
    cluster.detector.set_endpoints(&cluster.addresses);
    assert_eq!(cluster.ejected(), [1], "who comes back anew begins anew");
    cluster.pass(30 * SECOND);
    assert_eq!(cluster.ejected(), NOBODY);
}
