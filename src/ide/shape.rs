//! The shape of a text: folds, and the steps of a growing selection.

use super::Analysis;
use super::nodes;
use crate::source::{FileId, Span};
use crate::syntax::tree::{Item, ItemKind};

/// The content of a fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldKind {
    /// Lines of comments.
    Comment,
    /// `use` statements.
    Imports,
    /// A statement of several lines.
    Statement,
}

impl Analysis {
    /// Returns the parts of a file that can be folded: statements of several lines, comments, `use` statements.
    pub fn folds(&self, file: FileId) -> Vec<(Span, FoldKind)> {
        let mut folds = Vec::new();
        let items = self.tree(file).map_or(&[][..], |tree| &tree.items);
        let lines = |span: Span| self.sources().line(span.after()) - self.sources().line(span);
        self.fold(items, &mut folds);
        for uses in items.chunk_by(|a, b| is_use(a) && is_use(b)).filter(|run| run.len() > 1 && is_use(&run[0])) {
            if let (Some(first), Some(last)) = (uses.first(), uses.last()) {
                folds.push((first.span.to(last.span), FoldKind::Imports));
            }
        }
        folds.extend(self.comments(file).into_iter().map(|span| (span, FoldKind::Comment)));
        folds.retain(|(span, _)| lines(*span) > 0);
        folds.sort_by_key(|(span, _)| *span);
        folds
    }

    fn fold(&self, items: &[Item], folds: &mut Vec<(Span, FoldKind)>) {
        for item in items {
            let from = item.annotations.last().map_or(item.span.start, |last| last.span.end);
            let skipped = self.text(Span { start: from, ..item.span });
            let from = item.span.end - skipped.trim_start().len() as u32;
            if !matches!(item.kind, ItemKind::Error) {
                folds.push((Span { start: from, ..item.span }, FoldKind::Statement));
            }
            if let ItemKind::Template(template) = &item.kind {
                self.fold(&template.body, folds);
            }
        }
    }

    /// Returns the runs of comments on their own lines.
    fn comments(&self, file: FileId) -> Vec<Span> {
        let text = &self.sources().file(file).text;
        let (mut runs, mut open, mut at): (Vec<Span>, Option<Span>, usize) = (Vec::new(), None, 0);
        for line in text.split_inclusive('\n') {
            let words = line.trim();
            if words.starts_with('#') {
                let start = at + line.len() - line.trim_start().len();
                let here = Span::new(file, start, start + words.len());
                open = Some(open.map_or(here, |run| run.to(here)));
            } else {
                runs.extend(open.take());
            }
            at += line.len();
        }
        runs.extend(open);
        runs
    }

    /// Returns the parts that contain an offset, the innermost first: a word, an endpoint, a statement, the file.
    pub fn selections(&self, file: FileId, offset: u32) -> Vec<Span> {
        let text = &self.sources().file(file).text;
        let mut spans = vec![Span::new(file, 0, text.len())];
        spans.extend(self.tree(file).into_iter().flat_map(|tree| nodes::at(tree, offset)).map(|node| node.span()));
        let inside = |byte: &u8| crate::syntax::scan::is_word(*byte);
        let (before, after) = text.as_bytes().split_at((offset as usize).min(text.len()));
        let start = before.len() - before.iter().rev().take_while(|byte| inside(byte)).count();
        let end = before.len() + after.iter().take_while(|byte| inside(byte)).count();
        spans.push(Span::new(file, start, end));
        // Each is inside the one before, and smaller.
        let mut nested: Vec<Span> = Vec::new();
        for span in spans {
            if span.start < span.end && nested.last().is_none_or(|outer| outer.contains(span) && *outer != span) {
                nested.push(span);
            }
        }
        nested.reverse();
        nested
    }
}

fn is_use(item: &Item) -> bool {
    matches!(item.kind, ItemKind::Use(_))
}
