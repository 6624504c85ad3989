//! Choosing where traffic goes: the filter chain of a connection, the virtual host and route of a request, and what a route does to
//! paths and authorities.
//!
//! Everything is compiled from `xds-model` when configuration arrives, shared by all workers through an `Arc`, and read without
//! allocation or I/O. The rules are Envoy's; each module says which.

mod clusters;
mod compile;
mod filter_chain;
mod hash;
mod header;
mod path;
mod path_index;
mod query;
mod redirect;
mod request;
mod rewrite;
mod route;
mod table;
mod virtual_host;
mod weighted;

pub use compile::CompileError;
pub use filter_chain::{ConnectionFacts, FilterChainTable};
pub use hash::{cookie_value, hash, hash_of_address, set_cookie};
pub use path::PathMatcher;
pub use redirect::Redirect;
pub use request::RequestView;
pub use rewrite::PathRewrite;
pub use route::{Action, Forward, Route, RouteMatch};
pub use table::{RoutePosition, RouteTable, VirtualHostIndex};
pub use virtual_host::VirtualHost;
pub use weighted::{ClusterRef, Target, Targets};
