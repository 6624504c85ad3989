//! What an operator asks a node, and what becomes of it when nobody waits any more.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use overlay::control::{self, Question, Reply};
use overlay::node::Peer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(60);

/// A node whose work takes until it is told to go on.
#[derive(Default)]
struct Slow {
    begun: Notify,
    goes_on: Notify,
    done: Notify,
    finished: Cell<bool>,
}

impl Slow {
    async fn answer(&self, question: Question) -> Reply {
        if question == Question::Status {
            return Reply::Refused("at work".into());
        }
        self.begun.notify_one();
        self.goes_on.notified().await;
        self.finished.set(true);
        self.done.notify_one();
        Reply::Revoked
    }
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_removed_and_nothing_of_the_operators() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let old = SystemTime::now() - Duration::from_hours(1);
    for file in ["new.edge.yaml", "new.0a1b2c3d"] {
        File::create(path(file)).unwrap().set_modified(old).unwrap();
    }
    for socket in ["new.deadbeef", "new.operator", "new.deadbeef.1"] {
        drop(UnixListener::bind(path(socket)).unwrap());
        let times = rustix::fs::Timespec::try_from(old.duration_since(SystemTime::UNIX_EPOCH).unwrap()).unwrap();
        let times = rustix::fs::Timestamps { last_access: times, last_modification: times };
        rustix::fs::utimensat(rustix::fs::CWD, path(socket), &times, rustix::fs::AtFlags::empty()).unwrap();
    }
    let _listener = control::listen(&control::socket_of(folder.path())).unwrap();
    let names = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left = ["control.sock", "new.0a1b2c3d", "new.deadbeef.1", "new.edge.yaml", "new.operator"];
    assert_eq!(names.collect::<BTreeSet<_>>(), left.map(String::from).into());
}

#[tokio::test]
async fn what_was_begun_is_finished_although_nobody_waits_and_others_are_answered_meanwhile() {
    let test = async {
        let folder = tempfile::tempdir().unwrap();
        let path = control::socket_of(folder.path());
        let listener = control::listen(&path).unwrap();
        let slow = Rc::new(Slow::default());
        let node = slow.clone();
        spawn_local(control::serve(listener, async move |question| node.answer(question).await));

        let mut asker = UnixStream::connect(&path).await.unwrap();
        let revoke = Question::Revoke { peer: Peer::Hub { name: "h2".into() } };
        asker.write_all(&[serde_json::to_vec(&revoke).unwrap(), vec![b'\n']].concat()).await.unwrap();
        slow.begun.notified().await;
        let status = timeout(LONG, control::ask(&path, &Question::Status)).await.unwrap().unwrap();
        assert_eq!(status, Reply::Refused("at work".into()));

        drop(asker);
        tokio::time::pause();
        sleep(10 * LONG).await;
        assert!(!slow.finished.get());
        slow.goes_on.notify_one();
        slow.done.notified().await;
        assert!(slow.finished.get());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_has_waited_for_too_long_hears_that_it_may_be_done_all_the_same() {
    let test = async {
        let folder = tempfile::tempdir().unwrap();
        let path = control::socket_of(folder.path());
        let listener = control::listen(&path).unwrap();
        let slow = Rc::new(Slow::default());
        let node = slow.clone();
        spawn_local(control::serve(listener, async move |question| node.answer(question).await));
        let asked = spawn_local(async move { control::ask(&path, &Question::Rotate).await });
        slow.begun.notified().await;
        tokio::time::pause();
        let error = asked.await.unwrap().unwrap_err().to_string();
        assert!(error.contains("may be done all the same"), "{error}");
    };
    LocalSet::new().run_until(test).await;
}
