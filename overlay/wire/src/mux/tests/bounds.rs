//! What streams hold of a budget, and what who passes bytes on may take.

use super::*;
use crate::budget::Budget;

const TOO_MUCH: Code = Code(2);

#[test]
fn a_stream_that_finds_no_room_in_its_budget_is_given_up_alone() {
    let mut pair = Pair::new(Limits::default());
    let (greedy, other) = (pair.open(), pair.open());
    let budget = Budget::new(100_000);
    for id in [greedy, other] {
        pair.sides[0].write(id, &[1; 10_000]);
        pair.settle();
        assert!(!pair.sides[1].charge(id, &Budget::new(9_999), TOO_MUCH));
        assert!(pair.sides[1].charge(id, &budget, TOO_MUCH));
    }
    assert_eq!(budget.used(), 20_000);
    // A second budget holds the rest of the room.
    budget.take(50_000);
    for _ in 0..4 {
        pair.sides[0].write(greedy, &[1; 10_000]);
        pair.settle();
        assert!(budget.used() <= 100_000, "{}", budget.used());
    }
    assert_eq!((budget.used(), budget.refusals()), (60_000, 1));
    assert_eq!(pair.sides[1].failure(greedy), Some(TOO_MUCH));
    assert_eq!(pair.read(1, greedy, 100), (Vec::new(), Read::Reset(TOO_MUCH)));
    let told = std::iter::from_fn(|| pair.event(0)).any(|event| event == Event::Stopped(greedy, TOO_MUCH));
    assert!(told && pair.sides[0].write(greedy, b"more") == 0);
    assert_eq!(pair.read(0, greedy, 100), (Vec::new(), Read::Reset(TOO_MUCH)));

    pair.sides[0].write(other, &[2; 10_000]);
    pair.settle();
    assert_eq!((pair.sides[1].failure(other), pair.sides[1].unread(other)), (None, 20_000));
    assert_eq!(pair.read(1, other, 15_000).0.len(), 15_000);
    assert_eq!(budget.used(), 55_000);
    for id in [greedy, other] {
        pair.sides.iter_mut().for_each(|side| side.release(id, WHY));
    }
    pair.settle();
    assert_eq!((budget.used(), pair.sides.map(|side| side.stream_count())), (50_000, [0, 0]));
}

#[test]
fn a_window_grows_no_further_than_a_fraction_of_what_the_budget_has_left() {
    let mut pair = Pair::new(Limits { unsent: 4 << 20, ..Limits::default() });
    let ids = [pair.open(), pair.open()];
    let budgets = [8 * 300 * 1024, 100 * 1024 * 1024].map(Budget::new);
    for (id, budget) in ids.into_iter().zip(&budgets) {
        for round in 0..8 {
            pair.sides[0].write(id, &vec![3; 2 << 20]);
            pair.settle();
            if round == 0 {
                assert!(pair.sides[1].charge(id, budget, TOO_MUCH));
            }
            pair.read(1, id, usize::MAX);
        }
    }
    let windows = ids.map(|id| pair.sides[1].streams[&id].receiving.window);
    assert_eq!(windows, [300 * 1024, 4 << 20]);
}

#[test]
fn the_end_of_a_stream_that_was_given_up_is_the_end_of_it() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    pair.sides[0].write(id, b"x");
    pair.settle();
    assert!(pair.sides[1].charge(id, &Budget::new(1), TOO_MUCH));
    pair.sides[0].write(id, b"y");
    pair.sides[0].finish(id);
    pair.settle();
    assert_eq!(pair.sides[1].failure(id), Some(TOO_MUCH));
    pair.sides.iter_mut().for_each(|side| side.release(id, WHY));
    pair.settle();
    assert_eq!(pair.sides.map(|side| side.stream_count()), [0, 0]);
}

#[test]
fn who_passes_on_within_the_credit_leaves_nothing_waiting_and_hears_of_more() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    let mut passed = 0;
    loop {
        let credit = pair.sides[0].credit(id);
        if credit == 0 {
            break;
        }
        passed += pair.sides[0].write(id, &vec![1; credit.min(10_000)]);
        pair.settle();
    }
    assert_eq!((passed, pair.sides[0].streams[&id].sending.buffer.len()), (64 * 1024, 0));
    while pair.event(0).is_some() {}
    pair.read(1, id, 20_000);
    pair.settle();
    assert_eq!(pair.event(0), None);
    pair.read(1, id, usize::MAX);
    pair.settle();
    assert_eq!(pair.event(0), Some(Event::Writable(id)));
    assert!(pair.sides[0].credit(id) >= 64 * 1024);
    // Bytes that wait are not passed on twice.
    pair.sides[0].write(id, &[1; 60_000]);
    assert!(pair.sides[0].credit(id) < 6_000);
}

#[test]
fn a_failure_is_heard_of_although_nobody_reads() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    pair.sides[0].write(id, b"x");
    pair.settle();
    while pair.event(1).is_some() {}
    assert_eq!(pair.sides[1].failure(id), None);
    pair.sides[0].reset(id, WHY);
    pair.settle();
    assert_eq!((pair.event(1), pair.sides[1].failure(id)), (Some(Event::Readable(id)), Some(WHY)));
}
