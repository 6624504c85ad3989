//! What the authority must not forget.

use std::fmt;
use std::pin::Pin;

use thiserror::Error;

/// What a store does not know at once.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + 'a>>;

/// A store that cannot be used.
#[derive(Debug, Error)]
#[error("{store}: {reason}")]
pub struct StoreError {
    /// Which one: a file, or addresses.
    pub store: String,
    /// In words.
    pub reason: String,
}

/// Values by key. What was swapped is there after a crash, too, and for everybody who uses the same store.
pub trait Store: fmt::Debug {
    /// The value of a key.
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>>;

    /// Gives a key another value, or none, if it has the expected one; whether it had.
    fn swap<'a>(&'a self, key: &'a str, expected: Option<&'a [u8]>, new: Option<&'a [u8]>) -> Answer<'a, bool>;

    /// Keys that begin so, and their values, in order.
    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<(String, Vec<u8>)>>;
}
