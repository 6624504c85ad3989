//! What the tests share: the two ends of the gateway's connections, models of HTTP.

mod backend;
mod http2;
mod log;
mod site;
mod wire;

pub(crate) use backend::{Backend, Refusing, Server};
pub(crate) use http2::{
    Asked, Frame, Frames, Http2Client, Http2Request, Http2Upstream, PREFACE, connect_request, fields, flag, get,
    http2_upstream, kind, ok, post, read_all, reads, reset_of, send_all, setting, value,
};
pub(crate) use log::LogFile;
pub(crate) use site::{Open, Plan, Site};
pub(crate) use wire::{Head, Wire};

pub(crate) use crate::shared::edge::{Edge, Options};
pub(crate) use crate::shared::http::{
    direct, forward, header_match, listener, manager, mutation, prefix, redirect, retry_policy, table, virtual_host,
    weighted,
};
pub(crate) use crate::shared::model::{assignment, cluster, eds_cluster};
pub(crate) use crate::shared::wait::{closes, eventually, says, within};
