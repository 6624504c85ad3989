//! How a node gets its certificate: a token that is good once, for a key that never leaves the node; and another one before it ends.
//!
//! One [`Authority`] signs. What it knows is in a [`Store`], so that a token is good once even where several processes ask.

mod authority;
mod etcd;
mod exchange;
mod join;
mod redb_store;
pub mod renew;
mod server;
mod store;
mod token;

pub use self::authority::{Authority, AuthorityError, Issued, Rotation};
pub use self::etcd::{EtcdOptions, EtcdStore};
pub use self::join::{JoinError, Joined, join};
pub use self::redb_store::RedbStore;
pub use self::server::EnrollServer;
pub(crate) use self::server::unix_now;
pub use self::store::{Answer, Store, StoreError};
pub use self::token::{Token, TokenError, TokenRequest};
