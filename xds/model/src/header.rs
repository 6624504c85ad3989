//! Header changes (`HeaderValueOption` and `*_headers_to_remove`).

pub(crate) mod wire;

use crate::format::Format;

/// Changes of a header block: removals first, then additions, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMutations {
    /// Lower-case names to remove.
    pub remove: Vec<String>,
    /// Values to write.
    pub add: Vec<HeaderAddition>,
}

impl HeaderMutations {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

/// One value to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderAddition {
    /// Lower-case name; `:path`, `:authority` and `host` are special, as in Envoy.
    pub name: String,
    /// The value, with operators.
    pub value: Format,
    /// What happens to a value that is already there.
    pub append: HeaderAppend,
    /// Write it even when the value comes out empty.
    pub keep_empty_value: bool,
}

/// `HeaderAppendAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderAppend {
    /// Add another one.
    AppendIfExistsOrAdd,
    /// Only if there is none.
    AddIfAbsent,
    /// Replace.
    OverwriteIfExistsOrAdd,
    /// Replace, but only if there is one.
    OverwriteIfExists,
}
