use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use super::kit::{Ear, SMALL, add, pattern, ring, turn_until};

/// More than the buffers of a connection hold.
const MUCH: usize = 16 << 20;

/// Reads until the other side has closed.
fn read_to_end(peer: &mut TcpStream) -> Vec<u8> {
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    received
}

/// Nobody but the test holds what the owner heard: the ring has let go of the socket.
fn is_forgotten(ear: &Ear) -> bool {
    Rc::strong_count(&ear.0) == 1
}

#[test]
fn a_socket_that_is_removed_closes_and_its_owner_hears_no_more() {
    let mut ring = ring(SMALL);
    let (mut peer, key, ear) = add(&mut ring);
    ring.receive(&key);
    ring.turn().unwrap();
    peer.write_all(b"not heard").unwrap();
    ring.remove(key);
    turn_until(&mut ring, "the end of the socket", |_| is_forgotten(&ear));
    assert!(ear.0.received.borrow().is_empty() && ear.0.receive_end.get().is_none());
    // The bytes were received by nobody or by the ring: it is reset or closed.
    let end = peer.read(&mut [0; 1]);
    assert!(end.is_err() || end.unwrap() == 0);
}

#[test]
fn what_is_sent_before_a_socket_is_removed_arrives_with_its_end() {
    let mut ring = ring(SMALL);
    let (mut peer, key, ear) = add(&mut ring);
    ring.receive(&key);
    ring.send(&key, b"goodbye".to_vec());
    ring.remove(key);
    turn_until(&mut ring, "the end of the socket", |_| is_forgotten(&ear));
    assert_eq!(read_to_end(&mut peer), b"goodbye");
}

#[test]
fn a_socket_is_removed_although_its_peer_takes_nothing() {
    let mut ring = ring(SMALL);
    let (mut peer, key, ear) = add(&mut ring);
    ring.send(&key, pattern(MUCH, 1));
    ring.receive(&key);
    ring.wait_writable(&key);
    ring.wait_readable(&key);
    ring.turn().unwrap();
    ring.remove(key);
    turn_until(&mut ring, "the end of the socket", |_| is_forgotten(&ear));
    assert!(ear.0.send_end.borrow().is_none());
    let received = read_to_end(&mut peer);
    assert!(received.len() < MUCH && received == pattern(MUCH, 1)[..received.len()]);
}

#[test]
fn a_ring_that_is_dropped_closes_its_sockets() {
    let mut ring = ring(SMALL);
    let mut connections: Vec<_> = (0..30).map(|_| add(&mut ring)).collect();
    for (count, (_, key, _)) in connections.iter().enumerate() {
        ring.receive(key);
        ring.send(key, pattern(MUCH, count));
        if count == 20 {
            ring.turn().unwrap(); // the others are not even begun
        }
    }
    drop(ring);
    for (count, (peer, _, ear)) in connections.iter_mut().enumerate() {
        assert!(is_forgotten(ear));
        let received = read_to_end(peer);
        assert!(received == pattern(MUCH, count)[..received.len()], "other bytes arrived");
    }
}

#[test]
fn sockets_that_follow_each_other_are_not_mixed_up() {
    let mut ring = ring(SMALL);
    let mut before = None;
    for round in 0..200 {
        let (mut peer, key, ear) = add(&mut ring);
        ring.receive(&key);
        peer.write_all(&pattern(100, round)).unwrap();
        if round % 2 == 0 {
            turn_until(&mut ring, "the bytes", |_| ear.0.received.borrow().len() == 100);
            assert!(*ear.0.received.borrow() == pattern(100, round), "other bytes arrived");
        }
        ring.remove(key);
        if let Some((_peer, old)) = before.replace((peer, ear)) {
            ring.turn().unwrap();
            assert!(is_forgotten(&old));
            assert!(old.0.receive_end.get().is_none(), "it was removed");
        }
    }
}
