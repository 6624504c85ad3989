//! What is wrong with the files, and where.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Path of the file, relative to the folder that was loaded.
    pub file: Arc<str>,
    /// Line, counted from 1; 0 for the file as a whole.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}", self.file),
            line => write!(formatter, "{}:{line}", self.file),
        }
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is served from the folder until this is mended.
    Error,
    /// The folder is served; what this is about does not work, or is left out.
    Warning,
}

/// Something wrong, or not supported, in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// How bad.
    pub severity: Severity,
    /// What, for a person; begins with the path of the field if it is about one.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(formatter, "{}: {mark}{}", self.place, self.message)
    }
}

/// Collects problems, so that all of them can be told at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(crate) fn error(&self, place: &Place, message: impl Into<String>) {
        self.add(place, Severity::Error, message.into());
    }

    pub(crate) fn warning(&self, place: &Place, message: impl Into<String>) {
        self.add(place, Severity::Warning, message.into());
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.borrow().iter().any(|problem| problem.severity == Severity::Error)
    }

    /// All of them, by file and line; each once.
    pub(crate) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }

    fn add(&self, place: &Place, severity: Severity, message: String) {
        self.0.borrow_mut().push(Problem { place: place.clone(), severity, message });
    }
}
