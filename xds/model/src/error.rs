//! Why a resource was refused.

use std::fmt;

/// A resource that cannot be used, with the path of the field that is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the resource, empty if it has none.
    pub resource: String,
    /// Path of the field, outermost first, such as `filter_chains[0].filters[1].typed_config`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.resource, self.field, self.reason)
    }
}

impl std::error::Error for Refusal {}
