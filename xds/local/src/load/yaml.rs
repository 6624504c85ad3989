//! YAML text to a tree that knows the line of each of its parts. JSON is YAML, too.

use std::collections::{BTreeMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::load::budget::Budget;

/// Nesting deeper than this is refused.
const MAX_DEPTH: usize = 64;
/// More values than this in one file are refused; it bounds what aliases can multiply.
const MAX_NODES: usize = 2_000_000;
/// What a value costs beside its text.
const NODE_BYTES: usize = 8;

/// A value and the line it starts on.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) content: Content,
}

/// The kinds of value.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number with a fraction or an exponent.
    Float(f64),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key, its line and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: u32,
    pub(crate) value: Node,
}

/// Something that stops a file from being read.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) line: u32,
    pub(crate) message: String,
}

/// The documents of a file, the empty ones left out. The text has been paid for; the budget pays for what aliases add to it.
pub(crate) fn parse(text: &str, budget: &mut Budget) -> Result<Vec<Node>, Error> {
    let mut parser = Parser::new_from_str(text);
    let mut tree =
        Tree { documents: Vec::new(), open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, paid: text.len(), budget };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| Error {
            line: line_number(error.marker().line()),
            message: format!("not YAML: {}", error.info()),
        })?;
        tree.add(event, span)?;
    }
    Ok(tree.documents)
}

/// A list or map that is being read.
struct Open {
    line: u32,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, u32)>, keys: HashSet<String> },
}

struct Tree<'a> {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    /// Bytes that need no budget.
    paid: usize,
    budget: &'a mut Budget,
}

impl Tree<'_> {
    fn add(&mut self, event: Event<'_>, span: Span) -> Result<(), Error> {
        let line = line_number(span.start.line());
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => Ok(()),
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = Node { line, content: scalar(&text, style, tag.as_deref()) };
                self.spend(Size::of_one(&node), line)?;
                self.close(node, anchor)
            }
            Event::Alias(anchor) => {
                let size = self.anchors.get(&anchor).map(Size::of);
                self.spend(size.unwrap_or_default(), line)?;
                match self.anchors.get(&anchor) {
                    Some(node) => self.close(Node { line, content: node.content.clone() }, 0),
                    None => Err(Error { line, message: "an alias inside of what it names".into() }),
                }
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Items::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(line, anchor, Items::Map { entries: Vec::new(), key: None, keys: HashSet::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let content = match open.items {
                    Items::List(items) => Content::List(items),
                    Items::Map { entries, keys, .. } => Content::Map(merge(entries, keys)),
                };
                let node = Node { line: open.line, content };
                self.spend(Size::of_one(&node), node.line)?;
                self.close(node, open.anchor)
            }
        }
    }

    fn begin(&mut self, line: u32, anchor: usize, items: Items) -> Result<(), Error> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(line));
        }
        self.open.push(Open { line, anchor, items });
        Ok(())
    }

    /// Accounts for something before it is added or copied.
    fn spend(&mut self, size: Size, line: u32) -> Result<(), Error> {
        if self.open.len() + size.depth > MAX_DEPTH {
            return Err(too_deep(line));
        }
        self.nodes += size.nodes;
        if self.nodes > MAX_NODES {
            return Err(Error { line, message: format!("more than {MAX_NODES} values in one file") });
        }
        let paid = self.paid.min(size.bytes);
        self.paid -= paid;
        self.budget.spend(size.bytes - paid, line)
    }

    /// Hands a complete value to the list or map it is in.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), Error> {
        let line = node.line;
        if anchor != 0 {
            self.spend(Size::of(&node), line)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None if matches!(node.content, Content::Null) => {}
            None => self.documents.push(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map { entries, key, keys }) => match key.take() {
                Some((key, line)) => entries.push(Entry { key, line, value: node }),
                None => {
                    let text = key_text(node)?;
                    if !keys.insert(text.clone()) {
                        return Err(Error { line, message: format!("{text} is there twice") });
                    }
                    *key = Some((text, line));
                }
            },
        }
        Ok(())
    }
}

fn too_deep(line: u32) -> Error {
    Error { line, message: format!("nested deeper than {MAX_DEPTH} levels") }
}

fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// What a value takes of the limits.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Size {
    /// Without the values in it.
    fn of_one(node: &Node) -> Self {
        let text = if let Content::String(text) = &node.content { text.len() } else { 0 };
        Self { nodes: 1, bytes: NODE_BYTES + text, depth: 0 }
    }

    /// With the values in it.
    fn of(node: &Node) -> Self {
        let own = Self::of_one(node);
        match &node.content {
            Content::List(items) => items.iter().map(Self::of).fold(own, Self::with),
            Content::Map(entries) => entries.iter().map(Self::of_entry).fold(own, Self::with),
            _ => own,
        }
    }

    fn of_entry(entry: &Entry) -> Self {
        let value = Self::of(&entry.value);
        Self { nodes: value.nodes + 1, bytes: value.bytes + NODE_BYTES + entry.key.len(), ..value }
    }

    fn with(self, inner: Self) -> Self {
        let depth = self.depth.max(inner.depth + 1);
        Self { nodes: self.nodes + inner.nodes, bytes: self.bytes + inner.bytes, depth }
    }
}

fn key_text(node: Node) -> Result<String, Error> {
    match node.content {
        Content::String(text) => Ok(text),
        Content::Integer(number) => Ok(number.to_string()),
        Content::Bool(value) => Ok(value.to_string()),
        _ => Err(Error { line: node.line, message: "the key of a map must be text".into() }),
    }
}

/// `<<: *other` brings in the entries of another map that are not there yet.
fn merge(entries: Vec<Entry>, mut keys: HashSet<String>) -> Vec<Entry> {
    if !keys.contains("<<") {
        return entries;
    }
    let (merged, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.key == "<<");
    for entry in merged {
        let sources = match entry.value.content {
            Content::List(items) => items,
            content => vec![Node { line: entry.line, content }],
        };
        for source in sources {
            let Content::Map(entries) = source.content else { continue };
            for entry in entries {
                if keys.insert(entry.key.clone()) {
                    own.push(entry);
                }
            }
        }
    }
    own
}

/// The type of a scalar, by the core schema of YAML 1.2 (section 10.3.2).
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Content {
    let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
    if is_text {
        return Content::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Content::Null,
        "true" | "True" | "TRUE" => return Content::Bool(true),
        "false" | "False" | "FALSE" => return Content::Bool(false),
        _ => {}
    }
    if let Some(number) = integer(text) {
        return Content::Integer(number);
    }
    let numeric = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    match text.parse::<f64>() {
        // What is too large to be a number is text, as it is to Kubernetes.
        Ok(number) if numeric && number.is_finite() => Content::Float(number),
        _ => Content::String(text.to_owned()),
    }
}

fn integer(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i64::from_str_radix(digits, 8).ok();
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests;
