use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tracing_subscriber::{EnvFilter, reload};

use super::*;
use crate::admin::{LogLevels, Readiness, Source};
use crate::drain::Drain;
use crate::edge::{EdgeProblems, MemoryFile};
use crate::restart::Epoch;
use crate::telemetry::access_log::AccessLogSinks;

/// Of a process that serves nothing yet, and the questions that its control is asked.
fn estate() -> (Estate, mpsc::Receiver<oneshot::Sender<ConfigStatus>>) {
    let (questions, asked) = mpsc::channel(8);
    let admin = Admin {
        process: Arc::default(),
        logs: AccessLogSinks::start().unwrap(),
        source: Source::Local(watch::channel(Default::default()).1),
        overlay: None,
        edge_problems: EdgeProblems::default(),
        edge_memory: MemoryFile::default(),
        questions,
        readiness: Readiness::default(),
        drain: Drain::default(),
        quit: watch::Sender::new(false),
        log_levels: LogLevels::new(reload::Layer::new(EnvFilter::new("off")).1),
        node: Value::Null,
        started: std::time::Instant::now(),
        epoch: Epoch::default(),
        options: Value::Null,
    };
    let estate = Estate {
        admin: Arc::new(admin),
        sockets: SocketTable::default(),
        ports: Ports::default(),
        accept_loops: Arc::default(),
        events: mpsc::channel(1).0.downgrade(),
        has_outlived: watch::Sender::new(false),
    };
    (estate, asked)
}

/// The two ends of a channel.
fn channel() -> (Channel, Channel) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let end =
        |socket| Channel::new(UnixStream::from_std(std::os::unix::net::UnixStream::from(socket)).unwrap()).unwrap();
    (end(one), end(other))
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_while_control_is_busy_is_told_to_try_again() {
    let (estate, asked) = estate();
    let (ours, theirs) = channel();
    theirs.send(&Message::Hello { protocol: PROTOCOL, version: "1".to_owned() }).await.unwrap();
    offer(&ours, &estate).await.unwrap_err();
    let (answer, _) = theirs.receive().await.unwrap();
    assert!(matches!(&answer, Message::Refused { reason } if reason.contains("try again")), "{answer:?}");
    assert_eq!(asked.len(), 1, "control was asked");
}

#[tokio::test(start_paused = true)]
async fn accept_loops_that_do_not_end_are_counted() {
    let (estate, _asked) = estate();
    assert_eq!(stop(&estate, HashSet::new()).await, 0);
    estate.accept_loops.store(2, Ordering::Relaxed);
    assert_eq!(stop(&estate, HashSet::new()).await, 2);
}

#[tokio::test]
async fn a_process_that_says_no_more_has_not_ended() {
    let (ours, theirs) = channel();
    theirs.say_no_more();
    ours.gone().await;
    let mut ended = Box::pin(ours.ended());
    assert!(timeout(Duration::from_millis(50), &mut ended).await.is_err());
    drop(theirs);
    ended.await;
}

#[tokio::test]
async fn the_end_of_a_process_is_seen_by_one_that_says_no_more() {
    let (ours, theirs) = channel();
    ours.say_no_more();
    let mut ended = Box::pin(ours.ended());
    assert!(timeout(Duration::from_millis(50), &mut ended).await.is_err());
    drop(theirs);
    ended.await;
}
