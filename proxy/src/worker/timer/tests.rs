use super::*;

const MANY: usize = 1_000_000;

fn checks(timers: &Timers) -> usize {
    timers.state.borrow().checks.len()
}

fn bound(alarms: usize) -> usize {
    2 * alarms + SPARE_CHECKS
}

#[test]
fn alarms_that_come_and_go_leave_no_heap_of_checks() {
    let timers = Timers::new(Rc::new(Clock::new()));
    let alarms: Vec<Alarm> = (0..100).map(|_| Alarm::new(&timers)).collect();
    for (number, alarm) in alarms.iter().enumerate() {
        alarm.set_after(Some(Duration::from_secs(30 + number as u64)));
    }
    let mut most = 0;
    for _ in 0..MANY {
        // As for a request with a route timeout: set, and answered in time.
        Alarm::new(&timers).set_after(Some(Duration::from_secs(15)));
        most = most.max(checks(&timers));
    }
    assert!(most <= bound(alarms.len() + 1), "{most}");
    let state = timers.state.borrow();
    for alarm in &alarms {
        let check = state.alarms[alarm.index as usize].check.unwrap();
        assert!(state.checks.iter().any(|Reverse(entry)| *entry == (check, alarm.index)), "none is lost");
    }
}

#[test]
fn an_alarm_that_moves_to_and_fro_leaves_no_heap_of_checks() {
    let timers = Timers::new(Rc::new(Clock::new()));
    let alarm = Alarm::new(&timers);
    let far = timers.clock.now() + HORIZON;
    let mut most = 0;
    for step in 0..MANY as u64 {
        alarm.set(Some(far - Duration::from_micros(step)));
        alarm.set(None);
        most = most.max(checks(&timers));
    }
    assert!(most <= bound(1), "{most}");
}

#[tokio::test]
async fn alarms_go_off_after_others_came_and_went() {
    let timers = Timers::new(Rc::new(Clock::new()));
    let alarm = Alarm::new(&timers);
    alarm.set_after(Some(Duration::from_millis(20)));
    for _ in 0..1000 {
        Alarm::new(&timers).set_after(Some(Duration::from_millis(10)));
    }
    let deadline = Duration::from_secs(30);
    tokio::select! {
        () = timers.clone().run() => unreachable!("it runs for as long as the worker lives"),
        went_off = tokio::time::timeout(deadline, alarm.elapsed()) => went_off.unwrap(),
    }
}
