//! Where a conversion is: the resource, the path to the current field, and the report.

use std::fmt::{Display, Write};

use xds_api::{Any, type_name, type_url};

use crate::error::Refusal;
use crate::fate::{ExtensionTable, Fate, Fates, NoOp, Report};

/// Passed through every conversion.
pub(crate) struct Context<'a> {
    resource: &'a str,
    path: Vec<Step>,
    report: &'a mut Report,
}

enum Step {
    Field(&'static str),
    Item(&'static str, usize),
    Entry(&'static str, String),
}

impl<'a> Context<'a> {
    /// At the root of the resource called `resource`.
    pub(crate) fn new(resource: &'a str, report: &'a mut Report) -> Self {
        Self { resource, path: Vec::new(), report }
    }

    /// Converts what is in `field`.
    pub(crate) fn within<T>(&mut self, field: &'static str, convert: impl FnOnce(&mut Self) -> T) -> T {
        self.step(Step::Field(field), convert)
    }

    /// Converts what is in `field` under `key`.
    pub(crate) fn entry<T>(&mut self, field: &'static str, key: &str, convert: impl FnOnce(&mut Self) -> T) -> T {
        self.step(Step::Entry(field, key.to_owned()), convert)
    }

    /// Converts all of a repeated field; the first refusal ends it.
    pub(crate) fn each<W, T>(
        &mut self,
        field: &'static str,
        wire: &[W],
        convert: impl Fn(&W, &mut Self) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let item = |(index, wire)| self.step(Step::Item(field, index), |context| convert(wire, context));
        wire.iter().enumerate().map(item).collect()
    }

    /// Converts one item of a repeated field.
    pub(crate) fn item<T>(&mut self, field: &'static str, index: usize, convert: impl FnOnce(&mut Self) -> T) -> T {
        self.step(Step::Item(field, index), convert)
    }

    /// Converts a message that may be absent.
    pub(crate) fn optional<W, T>(
        &mut self,
        field: &'static str,
        wire: &Option<W>,
        convert: impl FnOnce(&W, &mut Self) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        wire.as_ref().map(|wire| self.within(field, |context| convert(wire, context))).transpose()
    }

    /// Converts a message that must be there.
    pub(crate) fn required<W, T>(
        &mut self,
        field: &'static str,
        wire: &Option<W>,
        convert: impl FnOnce(&W, &mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.optional(field, wire, convert)?.ok_or_else(|| self.refusal(field, "is missing"))
    }

    /// Why `field` of the current message is refused.
    pub(crate) fn refusal(&self, field: &str, reason: impl Display) -> Refusal {
        let mut path = self.path();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(field);
        Refusal { resource: self.resource.to_owned(), field: path, reason: reason.to_string() }
    }

    /// Why the current message is refused as a whole.
    pub(crate) fn refusal_here(&self, reason: impl Display) -> Refusal {
        Refusal { resource: self.resource.to_owned(), field: self.path(), reason: reason.to_string() }
    }

    /// Why a member of a oneof of message `M` is refused: what its table says.
    pub(crate) fn refused_member<M: Fates>(&self, member: &str) -> Refusal {
        self.refusal(member, M::note(member))
    }

    /// Remembers a refusal of a part, while the rest of the resource is used.
    pub(crate) fn report(&mut self, refusal: Refusal) {
        self.report.refusals.push(refusal);
    }

    /// Counts something that is set and has no effect.
    pub(crate) fn no_op(&mut self, place: &'static str, name: &'static str) {
        *self.report.no_ops.entry(NoOp { place, name }).or_default() += 1;
    }

    /// The value of an enumeration.
    pub(crate) fn enumeration<E: TryFrom<i32>>(&self, field: &str, value: i32) -> Result<E, Refusal> {
        E::try_from(value).map_err(|_| self.refusal(field, format_args!("{value} is not a known value")))
    }

    /// The message in `any`, the current one.
    pub(crate) fn decode<M>(&self, any: &Any) -> Result<M, Refusal>
    where
        M: prost::Message + prost::Name + Default,
    {
        xds_api::decode(any).map_err(|error| self.refusal_here(error))
    }

    /// The full name of the message in `any` if `table` has it as implemented, nothing if it is a no-op.
    pub(crate) fn extension(&mut self, table: &ExtensionTable, any: &Any) -> Result<Option<&'static str>, Refusal> {
        let name = self.message_name(any)?;
        let Some(known) = table.rows.iter().find(|row| row.message == name) else {
            return Err(self.refusal_here(format_args!("{} {name:?} is not known", table.kind)));
        };
        if known.only_empty && !any.value.is_empty() {
            return Err(self.refusal_here(format_args!("{} {name} may not have settings: {}", table.kind, known.note)));
        }
        match known.fate {
            Fate::Implemented => Ok(Some(known.message)),
            Fate::NoOp => {
                self.no_op(table.kind, known.message);
                Ok(None)
            }
            Fate::Refused => Err(self.refusal_here(format_args!("{} {name}: {}", table.kind, known.note))),
        }
    }

    /// The full name of the message in `any`; a `TypedStruct` stands for the message that it names.
    pub(crate) fn message_name(&self, any: &Any) -> Result<String, Refusal> {
        let inner = match any.type_name() {
            name if name == type_name(type_url::UDPA_TYPED_STRUCT) => {
                self.decode::<xds_api::udpa::r#type::v1::TypedStruct>(any)?.type_url
            }
            name if name == type_name(type_url::XDS_TYPED_STRUCT) => {
                self.decode::<xds_api::xds::r#type::v3::TypedStruct>(any)?.type_url
            }
            name => return Ok(name.to_owned()),
        };
        Ok(type_name(&inner).to_owned())
    }

    fn step<T>(&mut self, step: Step, convert: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let result = convert(self);
        self.path.pop();
        result
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            if !path.is_empty() {
                path.push('.');
            }
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Field(field) => write!(path, "{field}"),
                Step::Item(field, index) => write!(path, "{field}[{index}]"),
                Step::Entry(field, key) => write!(path, "{field}[{key:?}]"),
            };
        }
        path
    }
}
