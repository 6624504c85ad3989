//! Links over real sockets and over pipes in memory.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use overlay::link::{Driver, Link, LinkEnd, Timing, code};
use overlay_wire::frame::{self, Frame};
use overlay_wire::mux::{Limits, Side, Urgency};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, duplex, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

async fn linked() -> (Link, Link) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let (near, driver) = Driver::new(dialled, Side::Dialled, Limits::default(), b"near".to_vec(), Timing::default());
    spawn_local(driver.run());
    let (far, driver) = Driver::new(accepted, Side::Accepted, Limits::default(), b"far".to_vec(), Timing::default());
    spawn_local(driver.run());
    (near, far)
}

/// A link, and the other end of its connection.
fn half_linked(timing: Timing) -> (Link, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    let (link, driver) = Driver::new(ours, Side::Dialled, Limits::default(), Vec::new(), timing);
    spawn_local(driver.run());
    (link, theirs)
}

fn bytes(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame::put(&mut bytes, *frame));
    bytes
}

async fn echo(link: Link) {
    while let Some(mut stream) = link.accept().await {
        spawn_local(async move {
            let mut piece = vec![0; 10_000];
            loop {
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => stream.write_all(&piece[..count]).await.unwrap(),
                }
            }
            let _ = stream.shutdown().await;
        });
    }
}

#[tokio::test]
async fn many_streams_of_either_side_carry_their_own_bytes() {
    let test = async {
        let (near, far) = linked().await;
        assert_eq!((near.hello().await.unwrap(), far.hello().await.unwrap()), (b"far".to_vec(), b"near".to_vec()));
        spawn_local(echo(near.clone()));
        spawn_local(echo(far.clone()));
        let mut tasks = Vec::new();
        for number in 0..40_u8 {
            let link = if number % 2 == 0 { near.clone() } else { far.clone() };
            tasks.push(spawn_local(async move {
                let stream = link.open(Urgency::default()).await.unwrap();
                let sent: Vec<u8> = (0..300_000_u32).map(|at| (at / 7) as u8 ^ number).collect();
                let (mut reader, mut writer) = split(stream);
                let expected = sent.clone();
                let writing = spawn_local(async move {
                    writer.write_all(&sent).await.unwrap();
                    writer.shutdown().await.unwrap();
                });
                let mut received = Vec::new();
                reader.read_to_end(&mut received).await.unwrap();
                writing.await.unwrap();
                assert!(received == expected, "stream {number}");
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(near.round_trip().is_some());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_gives_a_stream_up_is_heard_on_the_other_side() {
    let test = async {
        let (near, far) = linked().await;
        let mut stream = near.open(Urgency::default()).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        let mut accepted = far.accept().await.unwrap();
        accepted.read_u8().await.unwrap();
        drop(accepted);
        assert!(stream.read_u8().await.unwrap_err().to_string().contains("code 1"));
        while stream.write_all(&[0; 1000]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn the_last_words_are_heard_and_everything_on_the_link_ends() {
    let test = async {
        let (near, far) = linked().await;
        let mut stream = near.open(Urgency::default()).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        far.accept().await.unwrap();
        far.close(code::FORBIDDEN, "revoked");
        let end = near.ended().await;
        assert!(matches!(&end, LinkEnd::Closed { code: code::FORBIDDEN, reason } if reason == "revoked"), "{end}");
        assert!(stream.read_u8().await.is_err() && near.open(Urgency::default()).await.is_err());
        assert!(matches!(far.ended().await, LinkEnd::ClosedHere(_)) && far.accept().await.is_none());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_breaks_the_protocol_is_told_and_cut_off() {
    let test = async {
        let (link, mut peer) = half_linked(Timing::default());
        peer.write_all(&bytes(&[Frame::Ping(1)])).await.unwrap();
        assert!(matches!(link.ended().await, LinkEnd::Protocol(_)));
        let mut told = Vec::new();
        peer.read_to_end(&mut told).await.unwrap();
        let mut rest = told.as_slice();
        let mut last = None;
        while let Ok(Some((frame, length))) = frame::take(rest) {
            (last, rest) = (Some(frame), &rest[length..]);
        }
        assert!(matches!(last, Some(Frame::Close(code::PROTOCOL, b"the first frame is no hello"))), "{last:?}");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    let test = async {
        let timing = Timing { silence: Duration::from_secs(5), ..Timing::default() };
        let (link, mut peer) = half_linked(timing);
        peer.write_all(&bytes(&[Frame::Hello(b"")])).await.unwrap();
        assert!(matches!(link.ended().await, LinkEnd::Silent(_)));
        drop(peer);
    };
    LocalSet::new().run_until(test).await;
}

/// Opens streams of a link and writes more than its connection holds; its peer reads nothing, but says something each second.
async fn held_up() -> (Link, ReadHalf<DuplexStream>) {
    let (link, peer) = half_linked(Timing::default());
    let (reader, mut writer) = split(peer);
    writer.write_all(&bytes(&[Frame::Hello(b""), Frame::MaxStreams(100)])).await.unwrap();
    link.hello().await.unwrap();
    for _ in 0..100 {
        let mut stream = link.open(Urgency::default()).await.unwrap();
        spawn_local(async move {
            stream.write_all(&[0; 60_000]).await?;
            stream.shutdown().await
        });
    }
    spawn_local(async move {
        for number in 0.. {
            writer.write_all(&bytes(&[Frame::Ping(number)])).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    });
    (link, reader)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up_whatever_it_says() {
    let test = async {
        let (link, _unread) = held_up().await;
        let end = timeout(Duration::from_secs(60), link.ended()).await.unwrap();
        assert!(matches!(end, LinkEnd::Stuck(_)), "{end}");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_little_now_and_then_is_not_given_up() {
    let test = async {
        let (link, mut slow) = held_up().await;
        for _ in 0..20 {
            sleep(Duration::from_secs(10)).await;
            slow.read_exact(&mut [0; 100]).await.unwrap();
            assert!(link.end().is_none(), "{link:?}");
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn datagrams_go_beside_a_stream_and_wake_its_reader() {
    let test = async {
        let (near, far) = linked().await;
        let mut stream = near.open(Urgency::default()).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        let mut theirs = far.accept().await.unwrap();
        assert_eq!(theirs.read_u8().await.unwrap(), b'x');
        theirs.want_datagrams();
        let received = spawn_local(poll_fn(move |context| match theirs.datagram() {
            Some(datagram) => Poll::Ready(datagram),
            None => {
                theirs.wait_for_reader(context);
                Poll::Pending
            }
        }));
        tokio::task::yield_now().await;
        stream.send_datagram(b"beside".to_vec());
        assert_eq!(received.await.unwrap(), b"beside");
    };
    LocalSet::new().run_until(test).await;
}

/// What wakers lead to: as many lead to it as there are references.
struct Task;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// How many wakers a link keeps of a task, that of the future, before and after the future has been given up.
fn kept_wakers(waits: impl Future) -> (usize, usize) {
    let task = Arc::new(Task);
    let waker = Waker::from(task.clone());
    let kept = || Arc::strong_count(&task) - 2;
    let before = {
        let mut waits = pin!(waits);
        for _ in 0..3 {
            assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        kept()
    };
    (before, kept())
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_nothing_on_the_link() {
    let test = async {
        let (link, mut peer) = half_linked(Timing::default());
        assert_eq!(kept_wakers(link.hello()), (1, 0));
        assert_eq!(kept_wakers(link.ended()), (1, 0));
        // The other side allows no stream.
        assert_eq!(kept_wakers(link.open(Urgency::default())), (1, 0));
        peer.write_all(&bytes(&[Frame::Hello(b"")])).await.unwrap();
        link.hello().await.unwrap();
        assert_eq!(kept_wakers(link.open(Urgency::default())), (1, 0));
    };
    LocalSet::new().run_until(test).await;
}
