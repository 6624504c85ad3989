use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::task::Poll;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use crate::io::{BLOCK_SIZE, Driver, Flusher, Io, SCRATCH_SIZE, Stream};
use crate::worker::clock::Clock;

/// More than the ring receives before it stops, and no more than sockets hold.
const MUCH: usize = 4 * BLOCK_SIZE;

/// Receives so many bytes, and waits for the next ones; whether the ring leaves those in the socket.
async fn take(stream: &mut Stream, count: usize) -> bool {
    let (mut into, mut taken) = (vec![0; SCRATCH_SIZE], 0);
    while taken < count {
        taken += poll_fn(|context| stream.poll_read(context, &mut into)).await.unwrap();
    }
    assert_eq!(taken, count);
    poll_fn(|context| {
        assert!(stream.poll_read(context, &mut into).is_pending());
        Poll::Ready(())
    })
    .await;
    stream.can_splice()
}

#[tokio::test]
async fn much_is_left_in_the_socket_for_its_owner_and_little_is_received_by_the_ring() {
    LocalSet::new()
        .run_until(async {
            let io = Io::new(Rc::new(Clock::new()), Driver::IoUring { required: true }).unwrap();
            spawn_local(Flusher::run(io.clone()));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut stream = Stream::new(listener.accept().await.unwrap().0, &io).unwrap();
            for _ in 0..3 {
                peer.write_all(b"little").await.unwrap();
                assert!(!take(&mut stream, 6).await);
                for _ in 0..3 {
                    peer.write_all(&[7; MUCH]).await.unwrap();
                    assert!(take(&mut stream, MUCH).await, "the ring receives");
                }
            }
        })
        .await;
}
