//! What announcements take of a hub's memory besides the newest ones: those that are being read, and those that were replaced while a peer was being told. Both can
//! be held up by a peer, so that each tenant has room for so much of it, and each message so much time.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use overlay_wire::catalogue::Limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages up to this length, bytes, need no room of a tenant's: each link has as much for itself.
const SHORT: u64 = 64 * 1024;
/// A message may take so long, and longer for its length: a second for each [`SHORT`].
const PATIENCE: Duration = Duration::from_secs(30);
/// What room is counted in, bytes.
const UNIT: usize = 1024;

/// Whether a message needs room of its tenant's.
pub(super) fn is_long(bytes: u64) -> bool {
    bytes > SHORT
}

/// How long a message of so many bytes may be under way.
pub(super) fn patience(bytes: u64) -> Duration {
    PATIENCE + Duration::from_secs(bytes / SHORT)
}

/// A message to be passed on, with the room that it takes for as long as anybody has it.
#[derive(Debug)]
pub(super) struct Passed {
    bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Passed {
    pub(super) fn new(bytes: Vec<u8>, room: Option<OwnedSemaphorePermit>) -> Self {
        Self { bytes, _room: room }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The room of each tenant.
#[derive(Debug)]
pub(super) struct Rooms {
    /// In [`UNIT`]s.
    each: usize,
    tenants: RefCell<HashMap<String, Arc<Semaphore>>>,
}

impl Rooms {
    /// For as much as a tenant may announce, and what may be under way besides.
    pub(super) fn new(limits: &Limits) -> Self {
        let each = (limits.announced_per_tenant + limits.under_way_per_tenant) / UNIT;
        Self { each, tenants: RefCell::default() }
    }

    /// Waits until there is room for a message of a tenant. Who came first gets it first.
    pub(super) async fn take(&self, tenant: &str, bytes: u64) -> Option<OwnedSemaphorePermit> {
        if !is_long(bytes) {
            return None;
        }
        let room = {
            let mut tenants = self.tenants.borrow_mut();
            tenants.retain(|_, room| Arc::strong_count(room) > 1);
            tenants.entry(tenant.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
        };
        let units = (bytes as usize).div_ceil(UNIT).min(self.each);
        // Nobody closes it.
        room.acquire_many_owned(u32::try_from(units).ok()?).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_has_so_much_room_for_long_messages() {
        let limits = Limits { announced_per_tenant: 1 << 20, under_way_per_tenant: 1 << 20, ..Limits::default() };
        let rooms = Rooms::new(&limits);
        let try_take = async |tenant, bytes| timeout(PATIENCE, rooms.take(tenant, bytes)).await;
        let long = rooms.take("acme", 3 << 19).await;
        assert!(try_take("acme", 1 << 20).await.is_err());
        assert!(try_take("acme", SHORT).await.is_ok_and(|room| room.is_none()));
        let other = try_take("other", 1 << 20).await;
        assert!(other.is_ok_and(|room| room.is_some()));
        let passed = Passed::new(Vec::new(), long);
        drop(passed);
        assert!(try_take("acme", 1 << 20).await.is_ok_and(|room| room.is_some()));
        let _last = rooms.take("third", 1 << 20).await;
        assert_eq!(rooms.tenants.borrow().len(), 1);
    }
}
