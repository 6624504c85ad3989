//! What the tests share: a gateway in this process, the two ends of its connections, models.

mod backend;
mod edge;
mod log;
mod model;
mod site;
#[path = "../../listener/kit/wait.rs"]
mod wait;
mod wire;

pub(crate) use backend::{Backend, Refusing, Server};
pub(crate) use edge::Edge;
pub(crate) use log::LogFile;
pub(crate) use model::{
    assignment, cluster, direct, eds_cluster, forward, header_match, listener, manager, mutation, prefix, redirect,
    retry_policy, table, virtual_host, weighted,
};
pub(crate) use site::{Plan, Site};
pub(crate) use wait::{closes, eventually, says, within};
pub(crate) use wire::{Head, Wire};
