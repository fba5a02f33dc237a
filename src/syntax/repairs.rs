//! Fixes that work: each fix is tried on its statement before it is offered, so that it does not lead to the next
//! mistake.

use std::ops::Range;

use super::lower::Lower;
use super::scan::{self, Statement};
use super::{errors, tree};
use crate::diag::{Diagnostic, Diagnostics, Edit, Fix, Severity};
use crate::source::Span;

/// The longest statement that is read again for each of its fixes.
const LONGEST: usize = 8 * 1024;

/// Returns the findings in some statements of a text, without the fixes that do not work.
pub(super) fn tried(found: Diagnostics, statements: &[Statement], text: &str) -> Diagnostics {
    if found.iter().all(|finding| finding.fixes.is_empty()) {
        return found;
    }
    let mut kept = Diagnostics::new();
    for finding in found.iter() {
        let mut finding = finding.clone();
        let at = finding.primary.span.start as usize;
        let next = statements.partition_point(|statement| statement.start <= at);
        let statement = next.checked_sub(1).map(|last| &statements[last]);
        // The words between two statements may belong to the first, once it is repaired.
        let range = match statement {
            Some(statement) if at < statement.end => statement.start..statement.end,
            other => {
                let end = statements.get(next).map_or(text.len(), |next| next.start);
                other.map_or(0, |statement| statement.start)..end
            }
        };
        let fixes = std::mem::take(&mut finding.fixes);
        finding.fixes = fixes.into_iter().filter(|fix| mends(fix, &finding, &found, range.clone(), text)).collect();
        kept.push(finding);
    }
    kept
}

fn mends(fix: &Fix, finding: &Diagnostic, found: &Diagnostics, range: Range<usize>, text: &str) -> bool {
    let (start, end) = (range.start, range.end);
    let inside = |edit: &Edit| edit.span.start as usize >= start && edit.span.end as usize <= end;
    if end - start > LONGEST || !fix.edits.iter().all(inside) {
        return true;
    }
    let mut edits: Vec<&Edit> = fix.edits.iter().collect();
    edits.sort_by_key(|edit| edit.span.start);
    // Some words begin a statement only at the start of a line, so a text from within a line gets another statement
    // before it.
    let line = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let before = if text[line..start].trim().is_empty() { "" } else { "namespace a {} " };
    let (mut repaired, mut at) = (before.to_owned(), start);
    let mut places: Vec<(usize, usize)> = Vec::new();
    for edit in edits {
        repaired.push_str(text.get(at..edit.span.start as usize).unwrap_or_default());
        places.push((repaired.len(), repaired.len() + edit.text.len()));
        repaired.push_str(&edit.text);
        at = edit.span.end as usize;
    }
    repaired.push_str(text.get(at..end).unwrap_or_default());
    let is_old = |error: &Diagnostic| {
        let same = |one: &&Diagnostic| one.code == error.code && one.message == error.message;
        found.iter().filter(same).any(|one| one.primary.span != finding.primary.span)
    };
    let at_place = |error: &Diagnostic| {
        let Span { start, end, .. } = error.primary.span;
        places.iter().any(|(first, last)| start as usize <= *last && *first <= end as usize)
    };
    let after = read(&repaired, finding.primary.span);
    let mut errors = after.iter().filter(|one| one.severity() == Severity::Error);
    errors.all(|error| !at_place(error) || is_old(error))
}

/// Returns the mistakes of a text by itself, which comes from the file of `span`.
fn read(text: &str, span: Span) -> Diagnostics {
    let scan = scan::scan(text);
    let mut out = Diagnostics::new();
    for problem in &scan.problems {
        out.push(errors::problem(problem, Span::new(span.file, problem.start, problem.end), text));
    }
    let mut lower =
        Lower { file: span.file, text, scan: &scan, base: 0, offset: 0, end: 0, block: None, out: &mut out };
    for statement in &scan.statements {
        let _: tree::Item = lower.item(statement);
    }
    out
}
