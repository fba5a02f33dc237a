//! Formatting: the edits that give a file, or some statements of it, the one layout.

use super::Analysis;
use crate::diag::{Diagnostics, Edit};
use crate::source::{FileId, Span};
use crate::syntax::{self, scan};

impl Analysis {
    /// Returns the edits that format a file, none where it has the layout already; `None` for a file with syntax
    /// errors.
    pub fn format(&self, file: FileId) -> Option<Vec<Edit>> {
        let end = self.sources().file(file).text.len() as u32;
        self.format_range(file, 0, end)
    }

    /// Returns the edits that format the statements that touch a range, with what stands between them.
    pub fn format_range(&self, file: FileId, start: u32, end: u32) -> Option<Vec<Edit>> {
        let old = &self.sources().file(file).text;
        let new = syntax::format(self.sources(), file, &mut Diagnostics::new()).ok()?;
        let (before, after) = (pieces(old), pieces(&new));
        let whole = vec![Edit { span: Span::new(file, 0, old.len()), text: new.clone() }];
        if before.len() != after.len() {
            return Some(whole);
        }
        let mut edits = Vec::new();
        for (piece, formatted) in before.iter().zip(&after) {
            let text = &new[formatted.clone()];
            let touched = piece.start as u32 <= end && start <= piece.end as u32;
            if touched && &old[piece.clone()] != text {
                edits.push(Edit { span: Span::new(file, piece.start, piece.end), text: text.to_owned() });
            }
        }
        Some(edits)
    }
}

/// Divides a text into its statements and what stands between them: comments, annotations and empty lines. A text and
/// its formatted form have as many pieces.
fn pieces(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for statement in scan::scan(text).statements {
        pieces.push(at..statement.start.max(at));
        pieces.push(statement.start.max(at)..statement.end);
        at = statement.end;
    }
    pieces.push(at..text.len());
    pieces
}
