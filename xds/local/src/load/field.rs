//! Typed access to the tree of an object: every wrong or unknown field becomes a problem with its line.

mod embedded;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::load::duration;
use crate::load::yaml::{Content, Entry, Node};
use crate::problem::{Place, Problems};

/// A value, and where it is in its object.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    node: &'a Node,
    path: String,
    file: &'a Arc<str>,
    problems: &'a Problems,
}

impl<'a> Value<'a> {
    pub(crate) fn new(node: &'a Node, path: String, file: &'a Arc<str>, problems: &'a Problems) -> Self {
        Self { node, path, file, problems }
    }

    pub(crate) fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.node.line }
    }

    /// Reports an error about this value.
    pub(crate) fn error(&self, message: impl AsRef<str>) {
        self.problems.error(&self.place(), self.message(message.as_ref()));
    }

    pub(crate) fn string(&self) -> Option<String> {
        match &self.node.content {
            Content::String(text) => Some(text.clone()),
            Content::Bool(_) | Content::Integer(_) | Content::Float(_) => {
                self.error("must be text: put it in quotes");
                None
            }
            _ => self.mismatch("text"),
        }
    }

    /// Text, or the text of a whole number: for fields that take both.
    pub(crate) fn text_or_number(&self) -> Option<String> {
        match &self.node.content {
            Content::String(text) => Some(text.clone()),
            Content::Integer(number) => Some(number.to_string()),
            _ => self.mismatch("text or a whole number"),
        }
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        match self.node.content {
            Content::Bool(value) => Some(value),
            _ => self.mismatch("true or false"),
        }
    }

    pub(crate) fn integer(&self, minimum: i64, maximum: i64) -> Option<i64> {
        match self.node.content {
            Content::Integer(number) if (minimum..=maximum).contains(&number) => Some(number),
            Content::Integer(number) => {
                self.error(format!("{number} is not between {minimum} and {maximum}"));
                None
            }
            _ => self.mismatch("a whole number"),
        }
    }

    /// A number that may have a fraction.
    pub(crate) fn number(&self, minimum: f64, maximum: f64) -> Option<f64> {
        let number = match self.node.content {
            // A float holds every whole number that makes sense here.
            Content::Integer(number) => number as f64,
            Content::Float(number) => number,
            _ => return self.mismatch("a number"),
        };
        if (minimum..=maximum).contains(&number) {
            return Some(number);
        }
        self.error(format!("{number} is not between {minimum} and {maximum}"));
        None
    }

    pub(crate) fn u32(&self) -> Option<u32> {
        self.integer(0, i64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok())
    }

    /// A port number; 0 is none.
    pub(crate) fn port(&self) -> Option<u32> {
        self.integer(1, 65535).and_then(|number| u32::try_from(number).ok())
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        let text = self.string()?;
        let parsed = duration::parse(&text);
        if parsed.is_none() {
            self.error(format!("{text} is not a duration such as 1.5s, 200ms or 1h30m"));
        }
        parsed
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string()?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.error(format!("{text} is not one of {}", names.join(", ")));
        }
        found.map(|(_, value)| *value)
    }

    /// What `read` makes of each element; those it refuses are left out.
    pub(crate) fn list<T>(&self, mut read: impl FnMut(Value<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Content::List(nodes) = &self.node.content else { return self.mismatch("a list") };
        let elements = nodes.iter().enumerate().map(|(index, node)| self.child(node, &format!("[{index}]")));
        Some(elements.filter_map(&mut read).collect())
    }

    /// What `read` makes of an object; fields that it does not ask for are reported.
    pub(crate) fn object<T>(&self, read: impl FnOnce(&mut Fields<'a>) -> T) -> Option<T> {
        let Content::Map(entries) = &self.node.content else { return self.mismatch("an object with fields") };
        let mut fields = Fields { value: self.clone(), entries, asked: BTreeSet::new() };
        let result = read(&mut fields);
        fields.report_unknown();
        Some(result)
    }

    /// As before; what `read` refuses it has reported, and nothing more is said about it.
    pub(crate) fn try_object<T>(&self, read: impl FnOnce(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        self.object(|fields| {
            let result = read(fields);
            if result.is_none() {
                fields.ignore_rest();
            }
            result
        })?
    }

    /// What `read` makes of each value of a map with keys of the user's choice.
    pub(crate) fn map<T>(&self, mut read: impl FnMut(Value<'a>) -> Option<T>) -> Option<BTreeMap<String, T>> {
        let Content::Map(entries) = &self.node.content else { return self.mismatch("an object with fields") };
        let values = entries.iter().filter_map(|entry| {
            let value = self.child(&entry.value, &format!(".{}", entry.key));
            Some((entry.key.clone(), read(value)?))
        });
        Some(values.collect())
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.content, Content::Map(_))
    }

    fn child(&self, node: &'a Node, step: &str) -> Self {
        let path =
            if self.path.is_empty() { step.trim_start_matches('.').to_owned() } else { self.path.clone() + step };
        Self { node, path, file: self.file, problems: self.problems }
    }

    fn mismatch<T>(&self, wanted: &str) -> Option<T> {
        let found = match &self.node.content {
            Content::Null => "nothing",
            Content::Bool(_) => "true or false",
            Content::Integer(_) | Content::Float(_) => "a number",
            Content::String(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "an object with fields",
        };
        self.error(format!("must be {wanted}, is {found}"));
        None
    }

    fn message(&self, message: &str) -> String {
        if self.path.is_empty() { message.to_owned() } else { format!("{}: {message}", self.path) }
    }
}

/// The fields of an object.
pub(crate) struct Fields<'a> {
    value: Value<'a>,
    entries: &'a [Entry],
    asked: BTreeSet<String>,
}

impl<'a> Fields<'a> {
    pub(crate) fn place(&self) -> Place {
        self.value.place()
    }

    /// Reports an error about the object.
    pub(crate) fn error(&self, message: impl AsRef<str>) {
        self.value.error(message);
    }

    /// A field that is there and not null.
    pub(crate) fn get(&mut self, name: &str) -> Option<Value<'a>> {
        self.asked.insert(name.to_owned());
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        let value = self.value.child(&entry.value, &format!(".{name}"));
        (!matches!(entry.value.content, Content::Null)).then_some(value)
    }

    /// A field that must be there.
    pub(crate) fn required(&mut self, name: &str) -> Option<Value<'a>> {
        let value = self.get(name);
        if value.is_none() {
            self.error(format!("{name} is missing"));
        }
        value
    }

    /// Text, empty if absent.
    pub(crate) fn string(&mut self, name: &str) -> String {
        self.get(name).and_then(|value| value.string()).unwrap_or_default()
    }

    pub(crate) fn bool(&mut self, name: &str) -> Option<bool> {
        self.get(name)?.bool()
    }

    pub(crate) fn u32(&mut self, name: &str) -> Option<u32> {
        self.get(name)?.u32()
    }

    pub(crate) fn port(&mut self, name: &str) -> Option<u32> {
        self.get(name)?.port()
    }

    pub(crate) fn duration(&mut self, name: &str) -> Option<Duration> {
        self.get(name)?.duration()
    }

    /// A list, empty if absent.
    pub(crate) fn list<T>(&mut self, name: &str, read: impl FnMut(Value<'a>) -> Option<T>) -> Vec<T> {
        self.get(name).and_then(|value| value.list(read)).unwrap_or_default()
    }

    pub(crate) fn strings(&mut self, name: &str) -> Vec<String> {
        self.list(name, |value| value.string())
    }

    pub(crate) fn object<T>(&mut self, name: &str, read: impl FnOnce(&mut Fields<'a>) -> T) -> Option<T> {
        self.get(name)?.object(read)
    }

    pub(crate) fn try_object<T>(&mut self, name: &str, read: impl FnOnce(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        self.get(name)?.try_object(read)
    }

    /// A list of objects, empty if absent.
    pub(crate) fn objects<T>(&mut self, name: &str, mut read: impl FnMut(&mut Fields<'a>) -> Option<T>) -> Vec<T> {
        self.list(name, |value| value.try_object(&mut read))
    }

    /// Reports a list that is absent or empty.
    pub(crate) fn require_elements(&mut self, name: &str) {
        match self.get(name) {
            Some(Value { node: Node { content: Content::List(elements), .. }, .. }) if elements.is_empty() => {}
            Some(_) => return,
            None => {}
        }
        self.error(format!("{name} must have at least one element"));
    }

    pub(crate) fn string_map(&mut self, name: &str) -> BTreeMap<String, String> {
        self.get(name).and_then(|value| value.map(|value| value.string())).unwrap_or_default()
    }

    /// Fields that mean something to Istio or Kubernetes and cannot be served: an error if one is there.
    pub(crate) fn unsupported(&mut self, names: &[&str]) {
        for name in names {
            if let Some(value) = self.get(name) {
                value.error("is not supported yet");
            }
        }
    }

    /// Fields that have no effect on a gateway.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        self.asked.extend(names.iter().map(|name| (*name).to_owned()));
    }

    /// Everything that was not asked for has no effect on a gateway.
    pub(crate) fn ignore_rest(&mut self) {
        self.asked.extend(self.entries.iter().map(|entry| entry.key.clone()));
    }

    /// Everything that was not asked for is left out, with a warning that names it.
    pub(crate) fn leave_out_rest(&mut self, why: &str) {
        let rest: Vec<_> = self.entries.iter().filter(|entry| !self.asked.contains(&entry.key)).collect();
        if let Some(first) = rest.first() {
            let names: Vec<_> = rest.iter().map(|entry| entry.key.as_str()).collect();
            let place = Place { file: self.value.file.clone(), line: first.line };
            self.value.problems.warning(&place, self.value.message(&format!("{why}: {}", names.join(", "))));
        }
        self.ignore_rest();
    }

    fn report_unknown(&self) {
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(&entry.key)) {
            let place = Place { file: self.value.file.clone(), line: entry.line };
            let path = self.value.child(&entry.value, &format!(".{}", entry.key)).path;
            let known: Vec<_> = self.asked.iter().map(String::as_str).collect();
            let message = format!("{path}: there is no such field; known are {}", known.join(", "));
            self.value.problems.error(&place, message);
        }
    }
}

#[cfg(test)]
mod tests;
