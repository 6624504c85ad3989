//! What the test programs share: a gateway in this process, waiting, models.

#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod edge;
pub(crate) mod http;
pub(crate) mod memory;
pub(crate) mod model;
pub(crate) mod wait;
