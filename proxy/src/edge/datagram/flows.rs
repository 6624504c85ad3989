//! The flows of clients here: one for each client and each socket.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

use super::inbox::Inbox;

/// Flows of one worker. One more ends the one that was silent for longest.
const MOST: usize = 1_024;
/// The same of one client's address.
const MOST_OF_CLIENT: usize = 256;

/// New flows of one worker in a second, on average, and at once after a second of quiet: each is a call, and a socket at the other edge, and who sends what
/// begins one may not be whom it says.
const NEW_IN_A_SECOND: u32 = 100;

/// Where a datagram came to, and whence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) listen: SocketAddr,
    pub(super) client: SocketAddr,
}

/// Those of one worker.
#[derive(Default)]
pub(super) struct Flows {
    open: RefCell<HashMap<Key, Rc<Inbox>>>,
    /// When so many as have begun would have, had each waited for its part of a second.
    even: Cell<Option<Instant>>,
}

/// The place of one, until it is dropped.
pub(super) struct FlowPlace {
    flows: Rc<Flows>,
    key: Key,
    pub(super) inbox: Rc<Inbox>,
}

impl Flows {
    pub(super) fn find(&self, key: &Key) -> Option<Rc<Inbox>> {
        self.open.borrow().get(key).cloned()
    }

    /// Whether a new one may begin now; then it counts as begun.
    pub(super) fn may_begin(&self) -> bool {
        let second = Duration::from_secs(1);
        let now = Instant::now();
        let even = self.even.get().map_or(now, |even| even.max(now)) + second / NEW_IN_A_SECOND;
        let may = even <= now + second;
        if may {
            self.even.set(Some(even));
        }
        may
    }

    /// A new one, and whether another one must end for it.
    pub(super) fn begin(self: &Rc<Self>, key: Key) -> (FlowPlace, bool) {
        let displaced = self.displaced(&key);
        let inbox = Rc::new(Inbox::new());
        let mut flows = self.open.borrow_mut();
        if let Some(other) = displaced.and_then(|displaced| flows.remove(&displaced)) {
            other.close();
        }
        flows.insert(key, inbox.clone());
        (FlowPlace { flows: self.clone(), key, inbox }, displaced.is_some())
    }

    /// Ends those of a socket.
    pub(super) fn end(&self, listen: SocketAddr) {
        self.open.borrow_mut().retain(|key, inbox| {
            let stays = key.listen != listen;
            if !stays {
                inbox.close();
            }
            stays
        });
    }

    fn displaced(&self, key: &Key) -> Option<Key> {
        let flows = self.open.borrow();
        let of_client = || flows.iter().filter(|(other, _)| other.client.ip() == key.client.ip());
        if of_client().count() >= MOST_OF_CLIENT {
            return of_client().min_by_key(|(_, inbox)| inbox.last_used()).map(|(key, _)| *key);
        }
        let is_full = flows.len() >= MOST;
        flows.iter().filter(|_| is_full).min_by_key(|(_, inbox)| inbox.last_used()).map(|(key, _)| *key)
    }
}

impl Drop for FlowPlace {
    fn drop(&mut self) {
        let mut flows = self.flows.open.borrow_mut();
        // Who was displaced may have come again meanwhile.
        if flows.get(&self.key).is_some_and(|inbox| Rc::ptr_eq(inbox, &self.inbox)) {
            flows.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(client: [u8; 4], port: u16) -> Key {
        Key { listen: ([127, 0, 0, 1], 53).into(), client: (client, port).into() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_flow_that_was_silent_for_longest_makes_room_first_of_its_own_client() {
        let flows = Rc::<Flows>::default();
        let mut places = Vec::new();
        let mut begin = async |key: Key| {
            tokio::time::advance(Duration::from_millis(1)).await;
            let (place, displaced) = flows.begin(key);
            places.push(place);
            displaced
        };
        assert!(!begin(key([10, 0, 0, 1], 1)).await);
        for port in 0..MOST_OF_CLIENT as u16 {
            assert!(!begin(key([10, 0, 0, 2], port)).await);
        }
        assert!(begin(key([10, 0, 0, 2], 999)).await);
        assert!(flows.find(&key([10, 0, 0, 1], 1)).is_some(), "another client's");
        assert!(flows.find(&key([10, 0, 0, 2], 0)).is_none() && flows.find(&key([10, 0, 0, 2], 1)).is_some());

        let left = (MOST - flows.open.borrow().len()) as u16;
        for client in 0..left {
            let [high, low] = client.to_be_bytes();
            assert!(!begin(key([10, 1, high, low], 1)).await);
        }
        assert!(begin(key([10, 2, 0, 1], 1)).await);
        assert!(flows.find(&key([10, 0, 0, 1], 1)).is_none());
        assert_eq!(flows.open.borrow().len(), MOST);
        places.clear();
        assert_eq!(flows.open.borrow().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn new_flows_have_a_rate() {
        let flows = Flows::default();
        let begun = || (0..1_000).filter(|_| flows.may_begin()).count();
        assert_eq!((begun(), begun()), (NEW_IN_A_SECOND as usize, 0));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(begun(), NEW_IN_A_SECOND as usize / 10);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(begun(), NEW_IN_A_SECOND as usize);
    }

    #[tokio::test]
    async fn who_comes_again_after_having_been_displaced_keeps_the_new_place() {
        let flows = Rc::<Flows>::default();
        let (first, _) = flows.begin(key([10, 0, 0, 1], 1));
        let (second, _) = flows.begin(key([10, 0, 0, 1], 1));
        drop(first);
        assert!(flows.find(&key([10, 0, 0, 1], 1)).is_some());
        flows.end(([127, 0, 0, 1], 53).into());
        assert!(second.inbox.next().await.is_none());
        assert!(flows.find(&key([10, 0, 0, 1], 1)).is_none());
    }
}
