use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::task::{Poll, ready};

use overlay::link::{Driver as LinkDriver, Timing};
use overlay_wire::mux::{Limits, Side, Urgency};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use crate::io::{Driver, Flusher, Io, Stream, Transfer};
use crate::worker::clock::Clock;

/// More than a stream keeps.
const BULK: usize = 8 << 20;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

#[tokio::test]
async fn what_goes_to_another_edge_does_not_lie_in_the_output_before() {
    LocalSet::new()
        .run_until(async {
            let io = Io::new(Rc::new(Clock::new()), Driver::of_tests()).unwrap();
            spawn_local(Flusher::run(io.clone()));
            let (near_end, far_end) = duplex(16 * 1024);
            let link = |end, side| LinkDriver::new(end, side, Limits::default(), Vec::new(), Timing::default());
            let (near, near_driver) = link(near_end, Side::Dialled);
            let (far, far_driver) = link(far_end, Side::Accepted);
            spawn_local(near_driver.run());
            spawn_local(far_driver.run());
            let target = Stream::overlay(near.open(Urgency::default()).await.unwrap(), &io);
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut source = Stream::new(listener.accept().await.unwrap().0, &io).unwrap();
            spawn_local(async move {
                peer.write_all(&pattern(BULK)).await.unwrap();
            });
            // What was put goes first.
            target.put(|out| out.extend_from_slice(b"head"));
            let reader = spawn_local(async move {
                let (mut all, mut stream) = (Vec::new(), far.accept().await.unwrap());
                stream.read_to_end(&mut all).await.unwrap();
                all
            });
            let (writer, mut transfer, mut pieces, mut put) = (target.writer(), Transfer::default(), 0, 0);
            let moved = poll_fn(|context| {
                loop {
                    match ready!(transfer.poll_piece(context, &mut source, &writer, u64::MAX)) {
                        Ok(0) => return Poll::Ready(Ok(())),
                        Ok(_) => (pieces, put) = (pieces + 1, put + usize::from(target.backlog() > 0)),
                        Err(broken) => return Poll::Ready(Err(broken)),
                    }
                }
            });
            moved.await.unwrap();
            // Not more than in the turn of the head.
            assert!(pieces > 20 && put <= 2, "{put} of {pieces} pieces were put");
            target.finish();
            target.flushed().await.unwrap();
            let all = reader.await.unwrap();
            assert!(all[..4] == *b"head" && all[4..] == pattern(BULK)[..], "other bytes arrived");
        })
        .await;
}
