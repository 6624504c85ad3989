//! Text in a field that is YAML itself.

use super::Value;
use crate::load::budget::Budget;
use crate::load::yaml::{self, Content, Node};

/// What aliases may add to a text in a field.
const MAX_EMBEDDED_BYTES: usize = 1 << 20;

impl Value<'_> {
    /// What `read` makes of a text that is YAML itself, or JSON.
    pub(crate) fn embedded<T>(&self, read: impl FnOnce(&Value<'_>) -> Option<T>) -> Option<T> {
        match yaml::parse(&self.string()?, &mut Budget::new(MAX_EMBEDDED_BYTES)) {
            Ok(mut documents) => {
                let mut first = documents.drain(..).next()?;
                // A block of text begins on the line after its key.
                move_down(&mut first, self.node.line);
                read(&Value::new(&first, self.path.clone(), self.file, self.problems))
            }
            Err(error) => {
                self.error(error.message);
                None
            }
        }
    }
}

/// For text that begins further down in its file.
fn move_down(node: &mut Node, lines: u32) {
    node.line = node.line.saturating_add(lines);
    match &mut node.content {
        Content::List(nodes) => nodes.iter_mut().for_each(|node| move_down(node, lines)),
        Content::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.line = entry.line.saturating_add(lines);
            move_down(&mut entry.value, lines);
        }),
        _ => {}
    }
}
