use std::io::Read as _;
use std::time::Duration;

use socket2::SockRef;

use super::kit::{SMALL, add, pattern, ring, turn_until};

/// More than the buffers of a connection hold.
const MUCH: usize = 16 << 20;

#[test]
fn many_sends_go_out_in_one_turn_and_their_bytes_come_back() {
    let mut ring = ring(SMALL);
    let mut connections: Vec<_> = (0..5).map(|_| add(&mut ring)).collect();
    for (seed, (_, key, _)) in connections.iter().enumerate() {
        ring.send(key, pattern(3000, seed));
    }
    ring.turn().unwrap();
    for (seed, (peer, _, ear)) in connections.iter_mut().enumerate() {
        let (bytes, result) = ear.0.send_end.take().unwrap();
        assert!(bytes == pattern(3000, seed) && result.is_ok());
        assert_eq!(ear.0.sent.get(), 3000);
        let mut received = vec![0; 3000];
        peer.read_exact(&mut received).unwrap();
        assert!(received == bytes, "other bytes arrived");
    }
}

#[test]
fn what_the_socket_does_not_take_at_once_follows() {
    let mut ring = ring(SMALL);
    let (mut peer, key, ear) = add(&mut ring);
    ring.send(&key, pattern(MUCH, 1));
    ring.turn().unwrap();
    assert!(ear.0.send_end.borrow().is_none(), "no socket takes so much");
    assert!(ear.0.sent.get() < MUCH);
    let reading = std::thread::spawn(move || {
        let mut received = vec![0; MUCH];
        peer.read_exact(&mut received).unwrap();
        received
    });
    turn_until(&mut ring, "the end of sending", |_| ear.0.send_end.borrow().is_some());
    assert_eq!(ear.0.send_end.take().unwrap().1, Ok(()));
    assert_eq!(ear.0.sent.get(), MUCH);
    assert!(reading.join().unwrap() == pattern(MUCH, 1), "other bytes arrived");
}

#[test]
fn a_broken_connection_ends_what_is_being_sent() {
    let mut ring = ring(SMALL);
    let (peer, key, ear) = add(&mut ring);
    ring.send(&key, pattern(MUCH, 1));
    ring.turn().unwrap();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    turn_until(&mut ring, "the failure", |_| ear.0.send_end.borrow().is_some());
    let (bytes, result) = ear.0.send_end.take().unwrap();
    assert!(result.is_err());
    assert_eq!(bytes.len(), MUCH, "the memory comes back in any case");
}

#[test]
fn it_tells_when_something_could_be_sent() {
    let mut ring = ring(SMALL);
    let (peer, key, ear) = add(&mut ring);
    ring.send(&key, pattern(MUCH, 1));
    ring.turn().unwrap();
    ring.wait_writable(&key);
    ring.turn().unwrap();
    assert!(!ear.0.writable.get());
    let reading = std::thread::spawn(move || std::io::copy(&mut { peer }, &mut std::io::sink()).unwrap());
    turn_until(&mut ring, "the word", |_| ear.0.writable.get());
    turn_until(&mut ring, "the end of sending", |_| ear.0.send_end.borrow().is_some());
    ring.remove(key);
    ring.turn().unwrap();
    assert_eq!(reading.join().unwrap(), MUCH as u64);
}
