//! `StringMatch`, the text condition of Istio's routes.

use crate::load::field::Value;

/// A condition on text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StringMatch {
    Exact(String),
    Prefix(String),
    /// RE2 syntax; `*` alone means that there is any value.
    Regex(String),
    /// No condition: there is a value.
    Present,
}

impl StringMatch {
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        value.object(|fields| {
            let forms = [
                fields.get("exact").and_then(|value| value.string()).map(Self::Exact),
                fields.get("prefix").and_then(|value| value.string()).map(Self::Prefix),
                fields.get("regex").and_then(|value| value.string()).map(Self::Regex),
            ];
            let mut given = forms.into_iter().flatten();
            let first = given.next();
            if given.next().is_some() {
                fields.error("only one of exact, prefix and regex can be given");
            }
            first.unwrap_or(Self::Present)
        })
    }
}
