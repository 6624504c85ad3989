//! How nodes are doing, on whichever threads they are.

use std::sync::Arc;
use std::thread;

use overlay::node::{Limits, Node, Role};
use overlay::shards::Shards;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

/// A node on a thread of its own, which answers until what is returned is dropped, or not at all.
fn start(shards: &Shards, shard: u16, answers: bool) -> (oneshot::Sender<()>, thread::JoinHandle<()>) {
    let (end, ended) = oneshot::channel::<()>();
    let (ready, started) = std::sync::mpsc::channel();
    let shards = shards.clone();
    let thread = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let node = Node::new("a", Role::Edge, shard, Limits::default());
            let _stream = node.open("b", "acme", 0);
            let answering = shards.add(node);
            if answers {
                spawn_local(answering);
                ready.send(()).unwrap();
                let _ = ended.await;
            } else {
                ready.send(()).unwrap();
                let _ = ended.await;
                drop(answering);
            }
        });
    });
    started.recv().unwrap();
    (end, thread)
}

#[tokio::test]
async fn nodes_on_all_threads_are_asked_and_who_says_nothing_is_named() {
    let shards = Shards::new(Arc::default());
    let nodes = [(0, true), (1, true), (2, false)].map(|(shard, answers)| start(&shards, shard, answers));
    let answers = shards.ask().await;
    assert_eq!((answers.nodes.len(), answers.silent), (2, vec![2]));
    assert!(answers.nodes.iter().all(|node| node.streams == 1));
    let opened: u64 = shards.counters().iter().map(|counters| counters.streams_opened.get()).sum();
    assert_eq!(opened, 3);
    for (end, thread) in nodes {
        drop(end);
        thread.join().unwrap();
    }
}
