//! `ReferenceGrant` of the Gateway API.

use crate::load::field::Fields;
use crate::object::metadata::Metadata;

/// Allows objects elsewhere to refer to objects of the grant's namespace.
#[derive(Clone, Debug)]
pub(crate) struct ReferenceGrant {
    pub(crate) metadata: Metadata,
    pub(crate) from: Vec<From>,
    pub(crate) to: Vec<To>,
}

/// Who may refer.
#[derive(Clone, Debug)]
pub(crate) struct From {
    pub(crate) kind: String,
    pub(crate) namespace: String,
}

/// To what.
#[derive(Clone, Debug)]
pub(crate) struct To {
    pub(crate) kind: String,
    /// Empty for all of the kind.
    pub(crate) name: String,
}

pub(in crate::object) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<ReferenceGrant> {
    fields.required("spec")?.object(|fields| {
        let from = fields.objects("from", |fields| {
            fields.ignore(&["group"]);
            Some(From { kind: fields.required("kind")?.string()?, namespace: fields.required("namespace")?.string()? })
        });
        let to = fields.objects("to", |fields| {
            fields.ignore(&["group"]);
            Some(To { kind: fields.required("kind")?.string()?, name: fields.string("name") })
        });
        ReferenceGrant { metadata, from, to }
    })
}

/// Whether an object of `kind` in `from` may refer to the object `name` of kind `to_kind` in `namespace`.
pub(crate) fn allows(
    grants: &[ReferenceGrant],
    kind: &str,
    from: &str,
    to_kind: &str,
    namespace: &str,
    name: &str,
) -> bool {
    from == namespace
        || grants.iter().filter(|grant| grant.metadata.namespace == namespace).any(|grant| {
            grant.from.iter().any(|allowed| allowed.kind == kind && allowed.namespace == from)
                && grant
                    .to
                    .iter()
                    .any(|allowed| allowed.kind == to_kind && (allowed.name.is_empty() || allowed.name == name))
        })
}
