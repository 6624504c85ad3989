//! `TLSRoute` and `TCPRoute` of the Gateway API.

use super::{BackendRef, ParentRef, backend_ref, parent_refs};
use crate::load::field::Fields;
use crate::object::metadata::Metadata;

/// Routes for connections; a `TCPRoute` has no host names.
#[derive(Clone, Debug)]
pub(crate) struct StreamRoute {
    pub(crate) metadata: Metadata,
    pub(crate) parents: Vec<ParentRef>,
    pub(crate) hostnames: Vec<String>,
    /// The targets of each rule.
    pub(crate) rules: Vec<Vec<BackendRef>>,
}

pub(in crate::object) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<StreamRoute> {
    fields.required("spec")?.object(|fields| {
        fields.unsupported(&["useDefaultGateways"]);
        StreamRoute {
            parents: parent_refs(fields, &metadata.namespace),
            hostnames: fields.strings("hostnames"),
            rules: fields.objects("rules", |fields| {
                fields.ignore(&["name"]);
                Some(fields.objects("backendRefs", backend_ref))
            }),
            metadata,
        }
    })
}
