//! Diagnostics: one value for every message, made by the stages and rendered at the edge.
//!
//! A stage pushes a [`Diagnostic`] with a stable [`Code`], a message in the user's words, one primary label and, if
//! they help, more labels (also in other files), notes, and [`Fix`]es as data. [`render`] decides the format: text,
//! JSON, SARIF or GitHub annotations.

mod certain;
mod code;
mod lints;
pub mod render;
mod suggest;

pub use code::Code;
pub use lints::Level;
pub use suggest::{Lexicon, nearest, one_edit};

use std::collections::BTreeMap;

use crate::source::Span;

/// The severity of a finding, which the letter of its code gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The input is refused.
    Error,
    /// The input is accepted, but its author probably meant something else.
    Warning,
    /// A fact that the reader should know.
    Note,
}

impl Severity {
    /// Returns `error`, `warning` or `note`.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A span with a text about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The span.
    pub span: Span,
    /// The text; may be empty.
    pub message: String,
}

/// A replacement of one span by a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The text that is replaced; an empty span inserts.
    pub span: Span,
    /// The new text.
    pub text: String,
}

/// A change that a machine can apply and that makes the finding go away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The title of the change, as an imperative: "write `prod/auth:8080`".
    pub title: String,
    /// The edits; they do not overlap.
    pub edits: Vec<Edit>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// The mistake or the fact, in one sentence, lower case, without a final period.
    pub message: String,
    /// The span of the mistake, with a text.
    pub primary: Label,
    /// Other spans that matter.
    pub labels: Vec<Label>,
    /// Advice: the right way to write it, and further help.
    pub notes: Vec<String>,
    /// Changes that repair it.
    pub fixes: Vec<Fix>,
    /// The severity that `[lints]` gives it instead of its code's.
    pub counts_as: Option<Severity>,
}

impl Diagnostic {
    /// Makes a finding with its message and its span.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            message: exactly(message),
            primary: Label { span, message: String::new() },
            labels: Vec::new(),
            notes: Vec::new(),
            fixes: Vec::new(),
            counts_as: None,
        }
    }

    /// Sets the text at the primary span.
    pub fn at(mut self, message: impl Into<String>) -> Diagnostic {
        self.primary.message = exactly(message);
        self
    }

    /// Adds another span with a text.
    pub fn label(mut self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, message: message.into() });
        self
    }

    /// Adds a note.
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.reserve_exact(1);
        self.notes.push(exactly(note));
        self
    }

    /// Adds a note, if there is one.
    pub fn note_opt(self, note: Option<impl Into<String>>) -> Diagnostic {
        match note {
            Some(note) => self.note(note),
            None => self,
        }
    }

    /// Adds a fix with one edit: `span` is replaced by `text`.
    pub fn fix(self, title: impl Into<String>, span: Span, text: impl Into<String>) -> Diagnostic {
        self.fix_all(title, vec![Edit { span, text: text.into() }])
    }

    /// Adds a fix with several edits.
    pub fn fix_all(mut self, title: impl Into<String>, edits: Vec<Edit>) -> Diagnostic {
        self.fixes.push(Fix { title: title.into(), edits });
        self
    }

    /// Returns the advice of the finding: its notes, and the title of each fix that no note contains.
    pub fn advice(&self) -> impl Iterator<Item = &str> {
        let titles = self.fixes.iter().map(|fix| fix.title.as_str());
        let unsaid = titles.filter(|title| !self.notes.iter().any(|note| note.contains(title)));
        self.notes.iter().map(String::as_str).chain(unsaid)
    }

    /// Returns the severity: that of the code's letter, unless `[lints]` says another.
    pub fn severity(&self) -> Severity {
        self.counts_as.unwrap_or(self.code.severity())
    }
}

/// Returns a text without spare capacity: a large policy may have a hundred thousand notes.
fn exactly(text: impl Into<String>) -> String {
    let mut text = text.into();
    text.shrink_to_fit();
    text
}

/// The findings of a run, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// The number of findings of each severity, kept because every statement asks for it.
    counts: [usize; 3],
    /// The levels of warnings and notes.
    lints: lints::Lints,
}

impl Diagnostics {
    /// Makes an empty list.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Sets the levels of `[lints]` for all later findings.
    pub fn set_levels(&mut self, levels: &BTreeMap<Code, Level>) {
        self.lints.levels.clone_from(levels);
    }

    /// Hides later findings of a code at a statement, because of the `@allow` at a span.
    pub fn allow(&mut self, code: Code, statement: Span, at: Span) {
        self.lints.allow(code, statement, at);
    }

    /// Sets the `apply` statements that yield the rule which later findings are about: an `@allow` at one of these
    /// counts too.
    pub fn set_applied(&mut self, statements: &[Span]) {
        self.lints.applied.clear();
        self.lints.applied.extend_from_slice(statements);
    }

    /// Warns about each `@allow` that hides no finding. After an error there is no warning, because later findings may
    /// be missing.
    pub fn warn_of_unused_allows(&mut self) {
        if !self.has_errors() {
            self.lints.unused().into_iter().for_each(|diagnostic| self.push(diagnostic));
        }
    }

    /// Adds a finding, unless a lint hides it.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let Some(diagnostic) = self.lints.judge(diagnostic) else { return };
        self.counts[diagnostic.severity() as usize] += 1;
        self.list.push(diagnostic);
    }

    /// Adds the findings of a part of the run.
    pub fn append(&mut self, others: Diagnostics) {
        others.list.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Returns whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Returns the number of findings of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.counts[severity as usize]
    }

    /// Adds a note to each finding for whose span the function returns one.
    pub fn annotate(&mut self, note: impl Fn(Span) -> Option<String>) {
        for diagnostic in &mut self.list {
            diagnostic.notes.extend(note(diagnostic.primary.span));
        }
    }

    /// Returns the findings.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Sorts by file and span, so that output does not depend on the order of the stages, and drops repetitions at one
    /// span.
    pub fn sort(&mut self) {
        self.list.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.primary.span.file, d.primary.span.start, d.primary.span.end);
            key(a).cmp(&key(b)).then_with(|| a.code.cmp(&b.code)).then_with(|| a.message.cmp(&b.message))
        });
        let counts = &mut self.counts;
        self.list.dedup_by(|a, b| {
            let again = a.code == b.code && a.primary == b.primary && a.message == b.message;
            counts[a.severity() as usize] -= usize::from(again);
            again
        });
    }
}
