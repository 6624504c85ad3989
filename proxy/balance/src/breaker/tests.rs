use super::*;

#[test]
fn a_limit_holds_over_its_clones() {
    let limit = Limit::new(2);
    let clone = limit.clone();
    let first = limit.acquire();
    let second = clone.acquire();
    assert!(first.is_some() && second.is_some());
    assert!(limit.acquire().is_none());
    let third = clone.acquire_beyond();
    assert_eq!(limit.current(), 3);
    drop(first);
    assert!(limit.acquire().is_none(), "still at the limit");
    drop(second);
    assert!(limit.acquire().is_some());
    drop(third);
    assert_eq!(clone.current(), 0);
}

#[test]
fn zero_allows_nothing() {
    assert!(Limit::new(0).acquire().is_none());
}

#[test]
fn without_a_limit_nothing_is_counted() {
    let limit = Limit::new(u32::MAX);
    let permits: Vec<_> = (0..1000).map(|_| limit.acquire().unwrap()).collect();
    assert_eq!(limit.current(), 0);
    assert!(permits.iter().all(|permit| permit.0.is_none()));
}

#[test]
fn threads_share_a_limit() {
    let limit = Limit::new(100);
    let granted = || {
        let limit = limit.clone();
        std::thread::spawn(move || (0..1000).filter_map(|_| limit.acquire()).collect::<Vec<_>>())
    };
    let threads: Vec<_> = (0..4).map(|_| granted()).collect();
    let permits: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(permits.len(), 100);
    drop(permits);
    assert_eq!(limit.current(), 0);
}

#[test]
fn each_threshold_has_its_own_limit() {
    let breaker = Breaker::new(CircuitBreaker {
        max_connections: 1,
        max_pending_requests: 2,
        max_requests: 3,
        max_retries: u32::MAX,
        retry_budget: None,
    });
    let fill = |limit: &Limit| std::iter::from_fn(|| limit.acquire()).take(10).collect::<Vec<_>>().len();
    let limits = [&breaker.connections, &breaker.pending_requests, &breaker.requests, &breaker.retries];
    assert_eq!(limits.map(fill), [1, 2, 3, 10]);
}

#[test]
fn a_budget_grows_with_the_requests_under_way() {
    let retry_budget = Some(RetryBudget { percent: 20.0, min_retry_concurrency: 2 });
    // The other limit does not count beside it.
    let breaker = Breaker::new(CircuitBreaker { max_retries: 0, retry_budget, ..CircuitBreaker::UNLIMITED });
    let retries = || std::iter::from_fn(|| breaker.admit_retry()).take(100).collect::<Vec<_>>().len();
    assert_eq!(retries(), 2);
    let requests: Vec<_> = (0..24).map(|_| breaker.requests.acquire().unwrap()).collect();
    assert_eq!(retries(), 4, "four fifths of a retry are none");
    let held = breaker.admit_retry().unwrap();
    assert_eq!(retries(), 3);
    drop((requests, held));
    assert_eq!(retries(), 2);
    let nothing = Some(RetryBudget { percent: 0.0, min_retry_concurrency: 0 });
    assert!(
        Breaker::new(CircuitBreaker { retry_budget: nothing, ..CircuitBreaker::UNLIMITED }).admit_retry().is_none()
    );
}
