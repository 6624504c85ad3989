//! What of a request decides which endpoint it goes to, where a cluster balances by hash (`RouteAction.HashPolicy`).

pub(crate) mod wire;

use std::time::Duration;

/// One thing that is hashed. Several are combined in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashPolicy {
    /// What is hashed. A request that does not have it is hashed by what else there is.
    pub source: HashSource,
    /// If there is a hash after this one, those behind it do not count.
    pub is_terminal: bool,
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashSource {
    /// All values of a header, sorted. The name is in lower case.
    Header(String),
    /// A cookie.
    Cookie(HashCookie),
    /// The address of the client, without its port.
    SourceIp,
    /// The first parameter of that name in the query, as it was sent.
    QueryParameter(String),
}

/// A cookie that is hashed, and what a client gets that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashCookie {
    /// Its name.
    pub name: String,
    /// Clients without it get one: for this long, zero for as long as the client runs. `None`: they get none.
    pub lifetime: Option<Duration>,
    /// Of a cookie that is made; may be empty.
    pub path: String,
    /// Further attributes of a cookie that is made; the value may be empty.
    pub attributes: Vec<(String, String)>,
}
