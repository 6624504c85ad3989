//! Labels of what is written for services of other edges.

/// Of objects: they are written here, and what they define is never offered again.
pub(super) const IMPORTED_LABEL: &str = "selvedge.dev/imported";
/// Of objects in a cluster: the edge that wrote them. It alone changes them.
pub(super) const OWNER_LABEL: &str = "selvedge.dev/written-by";
/// Of endpoints: the edge that they stand for. Subsets of a DestinationRule tell edges apart by it.
pub(super) const EDGE_LABEL: &str = "edge";
