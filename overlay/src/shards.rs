//! The nodes of one process, each on a thread of its own, for whoever asks from any thread how they are doing.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use overlay_wire::shard::worker;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::enroll::unix_now;
use crate::identity::Trust;
use crate::node::{Counters, Node};
use crate::status::{NodeStatus, TrustStatus};

/// How long a thread may take for its answer: who asks wants to know that one does not.
const PATIENCE: Duration = Duration::from_secs(1);
/// Questions that a node has not answered yet.
const MOST_WAITING: usize = 16;

/// All nodes of a process, which believe the same. Clones are the same.
#[derive(Clone, Debug)]
pub struct Shards {
    trust: Arc<Trust>,
    shards: Arc<Mutex<Vec<Shard>>>,
}

#[derive(Clone, Debug)]
struct Shard {
    number: u16,
    counters: Arc<Counters>,
    questions: mpsc::Sender<oneshot::Sender<NodeStatus>>,
}

/// What the nodes have answered.
#[derive(Clone, Debug, Default)]
pub struct ShardAnswers {
    /// Those that did.
    pub nodes: Vec<NodeStatus>,
    /// Those that did not.
    pub silent: Vec<u16>,
}

impl Shards {
    /// Of nodes that believe this. There is none yet.
    pub fn new(trust: Arc<Trust>) -> Self {
        Self { trust, shards: Arc::default() }
    }

    /// Whom all of them believe.
    pub fn trust(&self) -> TrustStatus {
        TrustStatus::of(&self.trust, unix_now())
    }

    /// Adds a node. What is returned answers for it, and must be run on its thread.
    pub fn add(&self, node: Rc<Node>) -> impl Future<Output = ()> + use<> {
        let (questions, mut asked) = mpsc::channel::<oneshot::Sender<NodeStatus>>(MOST_WAITING);
        let shard = Shard { number: worker(node.shard()), counters: node.counters().clone(), questions };
        self.lock().push(shard);
        async move {
            while let Some(answer) = asked.recv().await {
                // Who asked may be gone.
                let _ = answer.send(NodeStatus::of(&node));
            }
        }
    }

    /// Asks all.
    pub async fn ask(&self) -> ShardAnswers {
        let mut waiting = Vec::new();
        for shard in self.lock().iter() {
            let (answer, answered) = oneshot::channel();
            let asked = shard.questions.try_send(answer).is_ok();
            waiting.push((shard.number, asked.then_some(answered)));
        }
        let mut answers = ShardAnswers::default();
        for (number, answered) in waiting {
            let answer = async { answered?.await.ok() };
            match timeout(PATIENCE, answer).await {
                Ok(Some(status)) => answers.nodes.push(status),
                _ => answers.silent.push(number),
            }
        }
        answers
    }

    /// The counters of each node.
    pub fn counters(&self) -> Vec<Arc<Counters>> {
        self.lock().iter().map(|shard| shard.counters.clone()).collect()
    }

    /// Tunnels of other edges that are open.
    pub fn open_tunnels(&self) -> u64 {
        // In this order: none is counted that ended before it was seen to begin.
        let ended: u64 = self.lock().iter().map(|shard| shard.counters.tunnels_ended.get()).sum();
        let accepted: u64 = self.lock().iter().map(|shard| shard.counters.tunnels_accepted.get()).sum();
        accepted.saturating_sub(ended)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shard>> {
        // Nothing that is done under the lock can fail half-way.
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
