//! Selvedge: the edge of a service mesh in one binary.

pub mod admin;
pub mod bootstrap;
pub mod cli;
pub mod config;
pub mod drain;
pub mod edge;
pub mod gateway;
pub mod http;
pub mod http2;
pub mod identity;
pub mod io;
mod kubernetes;
pub mod listener;
pub mod overload;
pub mod restart;
pub mod tcp;
pub mod telemetry;
pub mod tls;
pub mod upstream;
pub mod worker;
