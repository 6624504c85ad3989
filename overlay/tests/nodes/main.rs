//! Links, streams, hubs and tunnels, over pipes that can be cut, hang and be listened to.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod announcements;
mod bounds;
mod catalogue;
mod control;
mod copies;
mod datagram;
mod descriptors;
mod direct;
mod enroll;
mod floods;
mod folder;
mod hostile;
mod hub;
mod join;
mod kit;
mod link;
mod log;
mod memory_store;
mod missing;
mod player;
mod relay;
mod rotation;
mod shards;
mod site;
mod status;
mod strangers;
mod stuck;
mod told_again;
mod tunnel;
