//! Picking an endpoint of a cluster, and limits on what a cluster may be asked for. No I/O, no clock.
//!
//! [`Endpoints`] is compiled from EDS and shared by all workers. A [`Balancer`] is one worker's view of it: its own active request
//! counts, its own schedule. The rules are Envoy's; each module says which.

mod balancer;
mod breaker;
mod by_hash;
mod deadline;
mod endpoints;
mod lane;
mod locality;
pub mod outlier;
mod previous;
mod priority;
mod warm_up;

pub use balancer::{ActiveRequest, Balancer};
pub use breaker::{Breaker, Limit, Permit};
pub use endpoints::{Endpoint, EndpointIndex, Endpoints};
pub use previous::PreviousPriorities;
