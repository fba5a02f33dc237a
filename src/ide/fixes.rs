//! Fixes of findings: one at a time, or all certain ones of a file.

use super::Analysis;
use crate::diag::{Diagnostic, Edit, Fix};
use crate::source::FileId;

impl Analysis {
    /// Returns the fixes of the findings that touch a range, each with its finding.
    pub fn fixes(&self, file: FileId, start: u32, end: u32) -> Vec<(&Diagnostic, &Fix)> {
        let found = self.findings_at(file, start, end).into_iter();
        found.flat_map(|finding| finding.fixes.iter().map(move |fix| (finding, fix))).collect()
    }

    /// Returns the edits of all certain fixes of a file, in order, without those that overlap an earlier one: the edits
    /// of one round of `check --fix`.
    pub fn certain_edits(&self, file: FileId) -> Vec<Edit> {
        let mut edits: Vec<Edit> = Vec::new();
        for fix in self.known_findings().iter().filter_map(Diagnostic::certain_fix) {
            let here = fix.edits.iter().all(|edit| edit.span.file == file);
            let free = |edit: &Edit| {
                edits.iter().all(|other| other.span.end < edit.span.start || edit.span.end < other.span.start)
            };
            if here && fix.edits.iter().all(free) {
                edits.extend(fix.edits.iter().cloned());
            }
        }
        edits.sort_by_key(|edit| edit.span);
        edits
    }
}
