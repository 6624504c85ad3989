//! Conversion of header changes.

use xds_api::envoy::config::core::v3 as core;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::format::Format;
use crate::header::{HeaderAddition, HeaderAppend, HeaderMutations};

/// A field of headers to add, and the field of headers to remove that belongs to it; each with its name.
pub(crate) struct Mutations<'w> {
    pub(crate) add: (&'static str, &'w [core::HeaderValueOption]),
    pub(crate) remove: (&'static str, &'w [String]),
}

impl Mutations<'_> {
    pub(crate) fn convert(&self, context: &mut Context<'_>) -> Result<HeaderMutations, Refusal> {
        let (field, names) = self.remove;
        let remove = context.each(field, names, |name, context| modifiable(name, context))?;
        let (field, additions) = self.add;
        let add = context.each(field, additions, addition)?;
        Ok(HeaderMutations { remove, add })
    }
}

fn addition(wire: &core::HeaderValueOption, context: &mut Context<'_>) -> Result<HeaderAddition, Refusal> {
    fates! { context, wire => core::HeaderValueOption {
        [implemented] header, append, append_action, keep_empty_value;
    } }
    let action = context.enumeration("append_action", *append_action)?;
    use core::header_value_option::HeaderAppendAction as Action;
    let append = match (append, action) {
        (None, Action::AppendIfExistsOrAdd) | (Some(true), Action::AppendIfExistsOrAdd) => {
            HeaderAppend::AppendIfExistsOrAdd
        }
        (Some(false), Action::AppendIfExistsOrAdd) => HeaderAppend::OverwriteIfExistsOrAdd,
        (None, Action::AddIfAbsent) => HeaderAppend::AddIfAbsent,
        (None, Action::OverwriteIfExistsOrAdd) => HeaderAppend::OverwriteIfExistsOrAdd,
        (None, Action::OverwriteIfExists) => HeaderAppend::OverwriteIfExists,
        (Some(_), _) => return Err(context.refusal("append", "and append_action exclude each other")),
    };
    let (name, value) = context.required("header", header, value)?;
    Ok(HeaderAddition { name, value, append, keep_empty_value: *keep_empty_value })
}

fn value(wire: &core::HeaderValue, context: &mut Context<'_>) -> Result<(String, Format), Refusal> {
    fates! { context, wire => core::HeaderValue {
        [implemented] key, value;
        [refused "values are text"] raw_value;
    } }
    if value.bytes().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')) {
        return Err(context.refusal("value", "holds a line break or a NUL"));
    }
    let format = Format::parse(value).map_err(|error| context.refusal("value", error))?;
    Ok((context.within("key", |context| modifiable(key, context))?, format))
}

/// A lower-case name that Envoy lets a route change (`HeaderUtility::isModifiableHeader`).
fn modifiable(name: &str, context: &mut Context<'_>) -> Result<String, Refusal> {
    let name = field_name(name, context)?;
    if name.starts_with(':') || name == "host" {
        return Err(context.refusal_here(format_args!("{name} is changed by rewrites only")));
    }
    Ok(name)
}

/// A lower-case name; pseudo-headers are allowed (RFC 9110 5.1).
pub(crate) fn field_name(name: &str, context: &Context<'_>) -> Result<String, Refusal> {
    let letters = name.strip_prefix(':').unwrap_or(name);
    let valid = |letter: u8| letter.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&letter);
    if letters.is_empty() || !letters.bytes().all(valid) {
        return Err(context.refusal_here(format_args!("{name:?} is not the name of a header")));
    }
    Ok(name.to_ascii_lowercase())
}
