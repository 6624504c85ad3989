//! What the tests share: the two ends of the gateway's connections, models of HTTP.

mod backend;
mod log;
mod model;
mod site;
mod wire;

pub(crate) use backend::{Backend, Refusing, Server};
pub(crate) use log::LogFile;
pub(crate) use model::{
    direct, forward, header_match, listener, manager, mutation, prefix, redirect, retry_policy, table, virtual_host,
    weighted,
};
pub(crate) use site::{Plan, Site};
pub(crate) use wire::{Head, Wire};

pub(crate) use crate::shared::edge::{Edge, Options};
pub(crate) use crate::shared::model::{assignment, cluster, eds_cluster};
pub(crate) use crate::shared::wait::{closes, eventually, says, within};
