use std::cell::Cell;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use super::*;
use crate::io::{Driver, Flusher};
use crate::worker::{Core, Process};

/// More than the buffers of two connections and a pipe hold.
const BULK: usize = 32 << 20;

/// A client and an endpoint, and what copies between them.
struct Setup {
    client: TcpStream,
    endpoint: TcpStream,
    core: Rc<Core>,
    /// Bytes from the client and from the endpoint.
    moved: Rc<Cell<(u64, u64)>>,
    copying: JoinHandle<Ending>,
}

impl Setup {
    async fn new() -> Self {
        let mut process = Process::default();
        process.driver = Driver::of_tests();
        let core = Core::new(Arc::new(process)).unwrap();
        spawn_local(Flusher::run(core.io.clone()));
        spawn_local(core.timers.clone().run());
        let (client, mut downstream) = connected(&core.io).await;
        let (endpoint, mut upstream) = connected(&core.io).await;
        let moved = Rc::new(Cell::new((0, 0)));
        let (inside, count) = (core.clone(), moved.clone());
        let copying = spawn_local(async move {
            let alarm = Alarm::new(&inside.timers);
            let limits = Limits { alarm: &alarm, idle: None, end: None };
            let counted = |received, returned| {
                let (before_received, before_returned) = count.get();
                count.set((before_received + received, before_returned + returned));
            };
            let ending = copy(&mut downstream, &mut upstream, &inside.io, &limits, counted, |_| Poll::Pending).await;
            for side in [&downstream, &upstream] {
                side.finish();
                drop(side.flushed().await);
            }
            ending
        });
        Self { client, endpoint, core, moved, copying }
    }
}

/// A peer's socket, and our side of the connection.
async fn connected(io: &Rc<Io>) -> (TcpStream, Stream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (peer, Stream::new(listener.accept().await.unwrap().0, io).unwrap())
}

/// Bytes of which none is at the place of another nearby.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at + seed) ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

async fn expect(mut from: impl AsyncReadExt + Unpin, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    from.read_exact(&mut received).await.unwrap();
    assert!(received == expected, "other bytes arrived");
}

#[tokio::test]
async fn bulk_goes_through_pipes_both_ways_and_small_pieces_do_not() {
    LocalSet::new()
        .run_until(async {
            let Setup { mut client, mut endpoint, core, moved, copying } = Setup::new().await;
            for round in 0..100 {
                let small = pattern(2000, round);
                client.write_all(&small).await.unwrap();
                expect(&mut endpoint, &small).await;
                endpoint.write_all(&small).await.unwrap();
                expect(&mut client, &small).await;
            }
            assert_eq!(core.io.pipes.count(), (0, 0), "no pipe was needed");

            let (question, answer) = (pattern(BULK, 1), pattern(BULK, 2));
            let (mut from_client, mut to_client) = client.split();
            let (mut from_endpoint, mut to_endpoint) = endpoint.split();
            tokio::join!(
                async { to_client.write_all(&question).await.unwrap() },
                async { to_endpoint.write_all(&answer).await.unwrap() },
                expect(&mut from_endpoint, &question),
                expect(&mut from_client, &answer),
            );
            assert!(core.io.pipes.count().0 > 0, "pipes were used, and are back");
            assert_eq!(core.io.pipes.count().1, 0);
            assert_eq!(moved.get(), ((BULK + 200_000) as u64, (BULK + 200_000) as u64));

            // What comes last may be small, and the end of one direction is not that of the other.
            to_client.write_all(b"last").await.unwrap();
            to_client.shutdown().await.unwrap();
            expect(&mut from_endpoint, b"last").await;
            assert_eq!(from_endpoint.read(&mut [0; 1]).await.unwrap(), 0);
            to_endpoint.write_all(&answer[..1000]).await.unwrap();
            expect(&mut from_client, &answer[..1000]).await;
            assert!(!copying.is_finished());
        })
        .await;
}

#[tokio::test]
async fn the_end_of_one_direction_follows_its_bytes_and_leaves_the_other() {
    LocalSet::new()
        .run_until(async {
            let Setup { mut client, mut endpoint, core, copying, .. } = Setup::new().await;
            let (question, answer) = (pattern(BULK, 3), pattern(BULK, 4));
            let asking = async {
                client.write_all(&question).await.unwrap();
                client.shutdown().await.unwrap();
                expect(&mut client, &answer).await;
                assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
            };
            let answering = async {
                expect(&mut endpoint, &question).await;
                assert_eq!(endpoint.read(&mut [0; 1]).await.unwrap(), 0);
                endpoint.write_all(&answer).await.unwrap();
                endpoint.shutdown().await.unwrap();
            };
            tokio::join!(asking, answering);
            assert_eq!(copying.await.unwrap(), Ending::Finished);
            assert_eq!(core.io.pipes.count().1, 0);
        })
        .await;
}

#[tokio::test]
async fn without_a_pipe_bulk_is_copied() {
    LocalSet::new()
        .run_until(async {
            let Setup { mut client, mut endpoint, core, .. } = Setup::new().await;
            let all: Vec<_> = std::iter::from_fn(|| core.io.pipes.lend()).collect();
            let question = pattern(BULK, 5);
            tokio::join!(async { client.write_all(&question).await.unwrap() }, expect(&mut endpoint, &question));
            assert_eq!(core.io.pipes.count(), (0, all.len()));
        })
        .await;
}

/// Writes until nobody takes more, and returns how much that was.
async fn fill(socket: &mut TcpStream, core: &Core, moved: &Cell<(u64, u64)>) -> usize {
    let bytes = pattern(BULK, 6);
    let mut written = 0;
    let mut before = (0, 0);
    // Held up is who has taken nothing while everything else had its turn many times.
    let mut unchanged = 0;
    while unchanged < 2000 {
        match socket.try_write(&bytes[written % BULK..]) {
            Ok(count) => written += count,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        tokio::task::yield_now().await;
        unchanged = if (written as u64, moved.get().0) == before { unchanged + 1 } else { 0 };
        before = (written as u64, moved.get().0);
    }
    assert_eq!(core.io.pipes.count().1, 1, "a pipe is full");
    written
}

#[tokio::test]
async fn what_is_in_a_pipe_arrives_although_the_other_direction_breaks() {
    LocalSet::new()
        .run_until(async {
            let Setup { mut client, mut endpoint, core, moved, copying } = Setup::new().await;
            fill(&mut client, &core, &moved).await;
            // Its connection breaks with what comes back.
            socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            drop(client);
            endpoint.write_all(b"are you there?").await.unwrap();
            let mut received = Vec::new();
            endpoint.read_to_end(&mut received).await.unwrap();
            assert_eq!(copying.await.unwrap(), Ending::DownstreamBroken);
            assert_eq!(received.len() as u64, moved.get().0);
            assert!(received == pattern(BULK, 6)[..received.len()], "other bytes arrived");
            assert_eq!(core.io.pipes.count().1, 0);
        })
        .await;
}
