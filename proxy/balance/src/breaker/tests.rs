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
    let thresholds =
        CircuitBreaker { max_connections: 1, max_pending_requests: 2, max_requests: 3, max_retries: u32::MAX };
    let breaker = Breaker::new(thresholds);
    let fill = |limit: &Limit| std::iter::from_fn(|| limit.acquire()).take(10).collect::<Vec<_>>().len();
    let limits = [&breaker.connections, &breaker.pending_requests, &breaker.requests, &breaker.retries];
    assert_eq!(limits.map(fill), [1, 2, 3, 10]);
}
