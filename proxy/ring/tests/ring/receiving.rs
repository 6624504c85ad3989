use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use rustix::io::Errno;
use selvedge_ring::{Options, ReceiveEnd, Turn};
use socket2::SockRef;

use super::kit::{SMALL, add, pattern, ring, turn_until};

#[test]
fn bytes_come_until_the_peer_is_done() {
    let mut ring = ring(SMALL);
    let (mut peer, key, ear) = add(&mut ring);
    ring.receive(&key);
    ring.receive(&key); // that changes nothing
    ring.turn().unwrap();
    for round in 0..100 {
        let bytes = pattern(1500, round);
        peer.write_all(&bytes).unwrap();
        turn_until(&mut ring, "the bytes", |_| ear.0.received.borrow().len() == bytes.len());
        assert!(ear.0.received.take() == bytes, "other bytes arrived");
    }
    peer.shutdown(Shutdown::Write).unwrap();
    turn_until(&mut ring, "the end", |_| ear.0.receive_end.get().is_some());
    assert_eq!(ear.0.receive_end.get(), Some(ReceiveEnd::Peer));
}

#[test]
fn a_peer_that_breaks_off_is_told_from_one_that_is_done() {
    let mut ring = ring(SMALL);
    let (peer, key, ear) = add(&mut ring);
    ring.receive(&key);
    ring.turn().unwrap();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    turn_until(&mut ring, "the end", |_| ear.0.receive_end.get().is_some());
    assert_eq!(ear.0.receive_end.get(), Some(ReceiveEnd::Failed(Errno::CONNRESET)));
}

#[test]
fn an_owner_that_has_enough_gets_little_more_and_goes_on_later_where_it_was() {
    // Enough of them that they do not run out before it is stopped.
    let mut ring = ring(Options { operations: 256, buffers: 512, ..SMALL });
    let (mut peer, key, ear) = add(&mut ring);
    let bytes = pattern(8_000_000, 1);
    let writing = {
        let bytes = bytes.clone();
        std::thread::spawn(move || peer.write_all(&bytes).unwrap())
    };
    let mut stops = 0;
    while ear.0.received.borrow().len() < bytes.len() {
        let before = ear.0.received.borrow().len();
        ear.0.enough.set(Some(before + 1));
        ear.0.receive_end.set(None);
        ring.receive(&key);
        turn_until(&mut ring, "the stop", |_| ear.0.receive_end.get().is_some());
        if ear.0.receive_end.get() == Some(ReceiveEnd::Peer) {
            break;
        }
        assert_eq!(ear.0.receive_end.get(), Some(ReceiveEnd::Stopped));
        stops += 1;
        let more = ear.0.received.borrow().len() - before;
        // The kernel receives some ten times ten pieces before it looks at what it is asked.
        assert!(more <= 200 * 1024, "{more} bytes came, although the first was enough");
    }
    assert!(*ear.0.received.borrow() == bytes, "other bytes arrived");
    assert!(stops > 5, "it stopped {stops} times");
    writing.join().unwrap();
}

#[test]
fn buffers_that_are_used_up_are_no_end() {
    let mut ring = ring(Options { buffers: 2, buffer_size: 512, ..SMALL });
    let mut connections: Vec<_> = (0..20).map(|_| add(&mut ring)).collect();
    let mut used_up = 0;
    for (seed, (peer, key, _)) in connections.iter_mut().enumerate() {
        peer.write_all(&pattern(20_000, seed)).unwrap();
        ring.receive(key);
    }
    turn_until(&mut ring, "all bytes", |ring| {
        let mut missing = false;
        for (_, key, ear) in &connections {
            if ear.0.received.borrow().len() < 20_000 {
                missing = true;
                if ear.0.receive_end.take() == Some(ReceiveEnd::Stopped) {
                    used_up += 1;
                    ring.receive(key);
                }
            }
        }
        !missing
    });
    assert!(used_up > 0, "there were enough buffers: nothing was tested");
    for (seed, (_, _, ear)) in connections.iter().enumerate() {
        assert!(*ear.0.received.borrow() == pattern(20_000, seed), "other bytes arrived");
    }
}

#[test]
fn more_operations_than_fit_are_done_as_well() {
    let mut ring = ring(Options { operations: 2, buffers: 128, ..SMALL });
    let mut connections: Vec<_> = (0..100).map(|_| add(&mut ring)).collect();
    for (seed, (_, key, _)) in connections.iter().enumerate() {
        ring.receive(key);
        ring.send(key, pattern(300, seed));
    }
    while ring.turn().unwrap() == Turn::More {}
    for (seed, (peer, ..)) in connections.iter_mut().enumerate() {
        let mut question = vec![0; 300];
        peer.read_exact(&mut question).unwrap();
        assert!(question == pattern(300, seed), "other bytes arrived");
        peer.write_all(&question).unwrap();
    }
    turn_until(&mut ring, "all answers", |_| {
        connections.iter().all(|(_, _, ear)| ear.0.received.borrow().len() == 300)
    });
}

#[test]
fn it_tells_when_something_could_be_received_without_receiving_it() {
    let mut ring = ring(SMALL);
    let (mut peer, key, ear) = add(&mut ring);
    ring.wait_readable(&key);
    ring.turn().unwrap();
    assert!(!ear.0.readable.get());
    peer.write_all(b"here").unwrap();
    turn_until(&mut ring, "the word", |_| ear.0.readable.get());
    assert!(ear.0.received.borrow().is_empty());
    ring.receive(&key);
    turn_until(&mut ring, "the bytes", |_| *ear.0.received.borrow() == b"here");
}
