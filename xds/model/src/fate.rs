//! What becomes of each field: implemented, accepted without effect, or refused.
//!
//! The macro `fates!` takes a protobuf message apart without `..`, so a field that is added to the message breaks the build. The
//! same lines say what becomes of each field, do the refusing and the counting, and are the source of [`table`](table()).

mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::error::Refusal;

pub use table::{ExtensionTable, MessageFates, extensions, support_markdown, table};

/// What becomes of a field or an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It does what its documentation says.
    Implemented,
    /// It is accepted, has no effect, and is counted when it is set.
    NoOp,
    /// The resource that sets it is rejected.
    Refused,
}

/// A field of a message, or a member of one of its oneofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name in the message definition.
    pub name: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// Why, or with what limits; empty if there is nothing to say.
    pub note: &'static str,
}

/// The type of a typed extension, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Full name of its message.
    pub message: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// Why, or with what limits; empty if there is nothing to say.
    pub note: &'static str,
    /// It is accepted only as long as its message is empty.
    pub only_empty: bool,
}

impl Extension {
    pub(crate) const fn implemented(message: &'static str) -> Self {
        Self { message, fate: Fate::Implemented, note: "", only_empty: false }
    }

    pub(crate) const fn no_op(message: &'static str, note: &'static str) -> Self {
        Self { message, fate: Fate::NoOp, note, only_empty: false }
    }

    pub(crate) const fn no_op_if_empty(message: &'static str, note: &'static str) -> Self {
        Self { message, fate: Fate::NoOp, note, only_empty: true }
    }

    pub(crate) const fn refused(message: &'static str, note: &'static str) -> Self {
        Self { message, fate: Fate::Refused, note, only_empty: false }
    }

    pub(crate) const fn with_note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// What a conversion has to say besides its result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The no-op fields and extensions that were set, and how often.
    pub no_ops: BTreeMap<NoOp, u64>,
    /// Parts that were refused on their own while the rest of their resource is used: routes and endpoints.
    pub refusals: Vec<Refusal>,
}

/// A field or an extension that was accepted without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoOp {
    /// Full name of the message, or the kind of the extension.
    pub place: &'static str,
    /// Name of the field, or full name of the extension's message.
    pub name: &'static str,
}

/// A message whose fields all have a fate. Implemented by `fates!` only.
///
/// `P` tells apart messages that are used in places with different rules.
pub(crate) trait Fates<P: Place = Anywhere> {
    /// The fields, oneofs resolved into their members.
    const FIELDS: &'static [Field];

    /// Full name of the message.
    fn message() -> &'static str;

    /// The note of a field that is refused, for members of oneofs, which are refused where they are matched.
    fn note(field: &str) -> &'static str {
        Self::FIELDS.iter().find(|known| known.name == field).map_or("not supported", |known| known.note)
    }
}

/// Where a message is used.
pub(crate) trait Place {
    /// What the table calls it; empty if the place makes no difference.
    const NAME: &'static str;
}

macro_rules! places {
    ($($(#[$documentation:meta])* $place:ident = $name:literal;)*) => {
        $(
            $(#[$documentation])*
            pub(crate) struct $place;
            impl Place for $place {
                const NAME: &'static str = $name;
            }
        )*
    };
}

places! {
    /// The place makes no difference.
    Anywhere = "";
    /// In a listener.
    Downstream = "in listeners";
    /// In a cluster.
    Upstream = "in clusters";
    /// In a resource of SDS.
    InSecret = "in secrets";
}

/// Whether a field says anything.
pub(crate) fn is_set<T: Default + PartialEq>(field: &T) -> bool {
    *field != T::default()
}

/// Takes `$wire` (a reference) apart into variables named like its fields, each in a section with its fate:
///
/// * `[implemented]`: the variable must be used. An optional text says with what limits.
/// * `[elsewhere]`: implemented, but by another function, which uses the field directly.
/// * `[no_op "reason"]`: counted if it is set.
/// * `[refused "reason"]`: the enclosing function returns the refusal if it is set.
///
/// `field if condition` replaces "is set". After the fields, each oneof follows with its members; the oneof is a variable as well,
/// and the enclosing function matches on it.
///
/// When a field is missing here, the compiler says "pattern requires `..`" without naming it: compare with the definition.
macro_rules! fates {
    (
        $context:ident, $wire:expr => $message:path {
            $( $header:tt $( $field:ident $(if $condition:expr)? ),+ ; )*
        }
        $( oneof $group:ident { $( $member_header:tt $( $member:ident ),+ ; )* } )*
    ) => {
        fates! {
            $context, $wire => $message as $crate::fate::Anywhere {
                $( $header $( $field $(if $condition)? ),+ ; )*
            }
            $( oneof $group { $( $member_header $( $member ),+ ; )* } )*
        }
    };
    (
        $context:ident, $wire:expr => $message:path as $place:path {
            $( $header:tt $( $field:ident $(if $condition:expr)? ),+ ; )*
        }
        $( oneof $group:ident { $( $member_header:tt $( $member:ident ),+ ; )* } )*
    ) => {
        // The table belongs to the message, yet is written where the message is taken apart: one list, not two.
        #[allow(non_local_definitions)]
        impl $crate::fate::Fates<$place> for $message {
            const FIELDS: &'static [$crate::fate::Field] = &[
                $( $( fates!(@row $header $field), )+ )*
                $( $( $( fates!(@row $member_header $member), )+ )* )*
            ];

            fn message() -> &'static str {
                static NAME: std::sync::LazyLock<String> =
                    std::sync::LazyLock::new(<$message as prost::Name>::full_name);
                &NAME
            }
        }
        let $message { $( $( $field: fates!(@pattern $header $field), )+ )* $( $group, )* } = $wire;
        // Not every message has a field that needs it.
        let _ = &$context;
        $( $( fates!(@check $header $context $message, $place, $field $(, $condition)?); )+ )*
    };

    (@row [elsewhere $($note:literal)?] $field:ident) => { fates!(@row [implemented $($note)?] $field) };
    (@row [implemented] $field:ident) => { fates!(@row Implemented "" $field) };
    (@row [implemented $note:literal] $field:ident) => { fates!(@row Implemented $note $field) };
    (@row [no_op $note:literal] $field:ident) => { fates!(@row NoOp $note $field) };
    (@row [refused $note:literal] $field:ident) => { fates!(@row Refused $note $field) };
    (@row $fate:ident $note:literal $field:ident) => {
        $crate::fate::Field {
            name: $crate::fate::plain_name(stringify!($field)),
            fate: $crate::fate::Fate::$fate,
            note: $note,
        }
    };

    (@pattern [elsewhere $($note:literal)?] $field:ident) => { _ };
    (@pattern $header:tt $field:ident) => { $field };

    (@check [implemented $($note:literal)?] $($rest:tt)*) => {};
    (@check [elsewhere $($note:literal)?] $($rest:tt)*) => {};
    (@check $header:tt $context:ident $message:path, $place:path, $field:ident) => {
        fates!(@check $header $context $message, $place, $field, $crate::fate::is_set($field))
    };
    (@check [no_op $note:literal] $context:ident $message:path, $place:path, $field:ident, $condition:expr) => {
        if $condition {
            let message = <$message as $crate::fate::Fates<$place>>::message();
            $context.no_op(message, $crate::fate::plain_name(stringify!($field)));
        }
    };
    (@check [refused $note:literal] $context:ident $message:path, $place:path, $field:ident, $condition:expr) => {
        if $condition {
            return Err($context.refusal($crate::fate::plain_name(stringify!($field)), $note));
        }
    };
}

pub(crate) use fates;

/// The name of a field without the mark that Rust needs where the name is a keyword.
pub(crate) const fn plain_name(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}
