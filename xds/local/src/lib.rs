//! A control plane without Kubernetes and without istiod: Istio YAML in a folder becomes the resources that istiod would send to a
//! gateway.
//!
//! [`LocalControlPlane::load`] reads the folder and says everything that is wrong with it, each with file and line; [`Watch`] does it
//! again when files change. The resources are protobuf messages, so that they take the same path as those of istiod.
//!
//! What goes where: `load` turns files into a tree that knows its lines, `object` turns the tree into typed objects, `convert` turns
//! objects of the Gateway API into those of Istio, `delegates` puts the routes of delegates in their place, `mesh` resolves what holds
//! for what, `attachment` warns of what serves nothing, `generate` makes the messages, and `refusal` says of them what the gateway
//! would not take. `watch` notices changes.

mod attachment;
mod control_plane;
mod convert;
mod delegates;
mod generate;
mod load;
mod mesh;
mod object;
mod problem;
mod refusal;
mod secret;
mod services;
mod summary;
mod watch;

pub use control_plane::{Changes, Generated, LocalControlPlane, Options};
pub use generate::Resource;
pub use problem::{Place, Problem, Severity};
pub use services::{DatagramPort, Service, ServicePort};
pub use summary::{Host, Listener, Route, Summary};
pub use watch::{Event, Watch};
