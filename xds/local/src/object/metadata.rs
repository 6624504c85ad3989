//! `metadata`, which every object has.

use std::collections::BTreeMap;

use crate::load::field::Fields;
use crate::problem::Place;

/// Who an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    /// `default` if the file does not say.
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// RFC 3339 in UTC, as the API server writes it, so that text order is time order; empty, and first, if the file does not say.
    pub(crate) created: String,
    /// Where the object begins.
    pub(crate) place: Place,
}

impl Metadata {
    /// The order in which istiod looks at objects of a kind: by age, then name, then namespace.
    pub(crate) fn age(&self) -> (&str, &str, &str) {
        (&self.created, &self.name, &self.namespace)
    }

    /// A namespace without a Namespace object: an object at `place` is in it, so it is there.
    pub(super) fn of_namespace(name: &str, place: &Place) -> Self {
        Self {
            name: name.to_owned(),
            namespace: String::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            created: String::new(),
            place: place.clone(),
        }
    }

    pub(super) fn read(fields: &mut Fields<'_>, kind: &str) -> Option<Self> {
        let place = fields.place();
        let namespaced = kind != "Namespace" && kind != "GatewayClass";
        fields.required("metadata")?.try_object(|fields| {
            let name = fields.required("name").and_then(|value| value.string());
            let namespace = fields.string("namespace");
            let metadata = Self {
                name: name?,
                namespace: if namespace.is_empty() && namespaced { "default".into() } else { namespace },
                labels: fields.string_map("labels"),
                annotations: fields.string_map("annotations"),
                created: fields.string("creationTimestamp"),
                place,
            };
            fields.ignore(&[
                "deletionGracePeriodSeconds",
                "deletionTimestamp",
                "finalizers",
                "generateName",
                "generation",
                "managedFields",
                "ownerReferences",
                "resourceVersion",
                "selfLink",
                "uid",
            ]);
            Some(metadata)
        })
    }
}
