//! Drafts: a large policy while it is edited. Only the changed text is read and checked again at once.
//!
//! ```text
//! deny shop/{app=web} -> data/*:80       one statement was edited: it is parsed and checked
//! let db = data/{app=db}                 its name was edited: so are the statements that name it
//! ```
//!
//! A [`Draft`] begins with an [`Analysis`], whose findings stay for every unchanged statement, at the statement's new
//! span. Only the next analysis finds what an edit means for the whole policy: its layers, redundant rules, facts, a
//! scope, the names of a `use`. The findings of an analysis are those of `check`; those of a draft are the ones that
//! the user waits for.

mod pieces;
mod read;

use std::collections::BTreeMap;

use self::pieces::{Pieces, What, before, behind};
use super::Analysis;
use crate::diag::{Code, Diagnostic, Edit, Fix, Label};
use crate::resolve::{Def, ModuleId};
use crate::source::{FileId, Span};
use crate::syntax::tree::Item;

/// The most statements that are checked again because they name a changed definition. Beyond that, they wait for the
/// analysis.
const MOST_AGAIN: usize = 500;
/// The most new texts before the policy must be analysed, even while the user types.
const MOST_NEW: usize = 500;
/// The most findings of the layers that are kept until the next analysis. More would be too much to send at each
/// keystroke.
const MOST_JUDGED: usize = 1_000;

/// A policy whose texts changed after it was checked.
#[derive(Debug)]
pub struct Draft {
    /// The checked policy.
    old: Analysis,
    /// The same policy with the new texts and names.
    now: Analysis,
    /// The pieces of each file that was edited.
    edited: BTreeMap<FileId, Pieces>,
    /// The new texts, by their own files.
    new: BTreeMap<FileId, New>,
    /// The definitions that are gone, and the new texts that define something: the difference between the names of
    /// `now` and `old`.
    differs: (Vec<Def>, Vec<FileId>),
    /// The modules of these, and what is wrong with their definitions.
    redefined: Vec<ModuleId>,
    defined: Vec<Diagnostic>,
    /// Unchanged statements that name what changed, by their file and number, with their findings once they were
    /// checked.
    again: BTreeMap<(FileId, usize), Option<Vec<Diagnostic>>>,
}

/// A new text.
#[derive(Debug)]
struct New {
    /// The file that it is a part of.
    of: FileId,
    items: Vec<Item>,
    /// The mistakes of its syntax.
    unread: Vec<Diagnostic>,
    /// Its other findings; `None` before it is checked.
    found: Option<Vec<Diagnostic>>,
}

/// The statements around an offset, as their own file, which answers questions instead of the whole policy.
#[derive(Debug)]
pub struct Window {
    /// The policy with that file.
    pub analysis: Analysis,
    /// The file.
    pub file: FileId,
    /// Its first byte in the text.
    pub start: u32,
}

impl Draft {
    /// Makes a draft of an unchanged policy.
    pub fn new(analysis: &Analysis) -> Draft {
        Draft {
            old: analysis.clone(),
            now: analysis.clone(),
            edited: BTreeMap::new(),
            new: BTreeMap::new(),
            differs: Default::default(),
            redefined: Vec::new(),
            defined: Vec::new(),
            again: BTreeMap::new(),
        }
    }

    /// Records that a range of a file was replaced by some bytes. Returns whether the file belongs to the policy.
    pub fn edit(&mut self, file: FileId, start: u32, end: u32, bytes: u32) -> bool {
        let Some(scan) = self.old.scan(file).filter(|_| self.old.modules.contains_key(&file)) else { return false };
        let text = &self.old.sources().file(file).text;
        let pieces = self.edited.entry(file).or_insert_with(|| Pieces::new(text.len() as u32));
        pieces.replace(start, end, bytes, text, scan);
        true
    }

    /// Returns whether so much changed that the policy must be analysed now: every new text is kept until then.
    pub fn is_long(&self) -> bool {
        self.now.sources().iter().len() > self.old.sources().iter().len() + MOST_NEW
    }

    /// Returns the known findings, at their spans in the edited texts, which must have been read. The findings of the
    /// layers are included, unless there are very many.
    pub fn findings(&self) -> Vec<Diagnostic> {
        let stays = |finding: &&Diagnostic| {
            let place = finding.primary.span;
            // Whether a name is defined twice is found out anew for all definitions of a module.
            let is_anew = finding.code == Code::DuplicateName
                && self.old.module(place.file).is_some_and(|module| self.redefined.contains(&module));
            let is_again = || self.old_statement(place).is_some_and(|at| self.again.contains_key(&(place.file, at)));
            !is_anew && (self.again.is_empty() || !is_again())
        };
        let known = self.old.known_findings();
        let known = if known.iter().len() > MOST_JUDGED { self.old.first_findings() } else { known };
        let old = known.iter().filter(stays);
        let new = self.new.values().flat_map(|new| new.unread.iter().chain(new.found.iter().flatten()));
        let again = self.again.values().flatten().flatten().chain(&self.defined);
        let mut all: Vec<Diagnostic> = old.chain(new).chain(again).filter_map(|one| self.moved(one)).collect();
        all.sort_by_key(|finding| finding.primary.span);
        all
    }

    /// Returns the current span of a span in the checked text, by the number of the edited file; `None` if it is gone.
    pub fn place(&self, span: Span) -> Option<Span> {
        let moved = |file: FileId, start: u32| Span { file, start, end: start + (span.end - span.start) };
        if let Some(pieces) = self.edited.get(&span.file) {
            return pieces.of_old(span.start, span.end).map(|start| moved(span.file, start));
        }
        match self.new.get(&span.file) {
            Some(new) => {
                let start = self.edited.get(&new.of)?.of_new(span.file)?;
                Some(moved(new.of, start + span.start))
            }
            None => Some(span),
        }
    }

    /// Returns the statements around an offset of an edited text.
    pub fn window(&self, file: FileId, text: &str, offset: u32) -> Option<Window> {
        let scan = self.old.scan(file)?;
        let old = &self.old.sources().file(file).text;
        let whole = Pieces::new(old.len() as u32);
        let pieces = &self.edited.get(&file).unwrap_or(&whole).0;
        let at = pieces.partition_point(|piece| piece.end < offset);
        let piece = pieces.get(at)?;
        // A piece of the checked text is cut at the statements around the offset; a new piece is taken as a whole.
        let left = if matches!(piece.what, What::Old(_)) { at } else { at.saturating_sub(1) };
        let right = if matches!(piece.what, What::Old(_)) { at } else { (at + 1).min(pieces.len() - 1) };
        let (left, right) = (pieces.get(left)?, pieces.get(right)?);
        let start = match left.what {
            What::Old(from) => {
                let end = from + (offset.min(left.end) - left.start);
                left.start + before(old, scan, end).max(from) - from
            }
            _ => left.start,
        };
        let end = match right.what {
            What::Old(from) => {
                let to = from + (offset.max(right.start) - right.start);
                (right.start + (behind(old, scan, to).max(from) - from)).min(right.end)
            }
            _ => right.end,
        };
        let mut analysis = self.now.clone();
        let part = analysis.add(text.get(start as usize..end as usize)?, file);
        Some(Window { analysis, file: part, start })
    }

    /// Returns how well each layer enforces the rules of a statement of an edited text, in Markdown; `None` for one
    /// that was edited, and while the layers are not known.
    pub fn enforcement(&self, statement: Span) -> Option<String> {
        let start = match self.edited.get(&statement.file) {
            Some(pieces) => pieces.to_old(statement.start, statement.end)?,
            None => statement.start,
        };
        let end = start + (statement.end - statement.start);
        self.old.enforcement_of(Span { start, end, ..statement })
    }

    /// Returns the number of the statement of the checked text that contains a span.
    fn old_statement(&self, place: Span) -> Option<usize> {
        let statements = &self.old.scan(place.file)?.statements;
        let at = statements.partition_point(|statement| (statement.end as u32) < place.start);
        statements.get(at).is_some_and(|statement| statement.start as u32 <= place.start).then_some(at)
    }

    /// Returns a finding at the current spans of its statements; `None` if its own span is gone.
    fn moved(&self, finding: &Diagnostic) -> Option<Diagnostic> {
        let label = |label: &Label| Some(Label { span: self.place(label.span)?, message: label.message.clone() });
        let edit = |edit: &Edit| Some(Edit { span: self.place(edit.span)?, text: edit.text.clone() });
        let fix = |fix: &Fix| {
            let edits = fix.edits.iter().map(edit).collect::<Option<_>>()?;
            Some(Fix { title: fix.title.clone(), edits })
        };
        Some(Diagnostic {
            code: finding.code,
            message: finding.message.clone(),
            primary: label(&finding.primary)?,
            labels: finding.labels.iter().filter_map(label).collect(),
            notes: finding.notes.clone(),
            fixes: finding.fixes.iter().filter_map(fix).collect(),
            counts_as: finding.counts_as,
        })
    }
}
