//! From text to a [`tree`]: the only place that knows pest.

mod errors;
mod format;
mod grammar;
mod keyword;
mod lower;
mod refusal;
pub mod scan;
pub mod tree;
mod words;

pub use format::{FormatError, format};

use crate::diag::{Diagnostics, Severity};
use crate::source::{FileId, Sources, Span};
use lower::Lower;

/// How many mistakes of one file are said.
const MOST_MISTAKES: usize = 200;

/// Parses a file. What is wrong is pushed, each mistake at its own place, and the rest of the file is still understood.
pub fn parse(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> tree::File {
    let text = sources.file(file).text.as_str();
    if text.len() > scan::MAX_SIZE {
        diagnostics.push(errors::too_large(Span::new(file, 0, 0), text.len()));
        return tree::File { id: file, items: Vec::new() };
    }
    let scan = scan::scan(text);
    let before = diagnostics.count(Severity::Error);
    let mistakes = |diagnostics: &Diagnostics| diagnostics.count(Severity::Error) - before;
    for problem in scan.problems.iter().take(MOST_MISTAKES) {
        let span = Span::new(file, problem.start, problem.end);
        diagnostics.push(errors::problem(problem, span, text));
    }
    let mut items = Vec::with_capacity(scan.statements.len());
    let mut lower = Lower { file, text, scan: &scan, base: 0, offset: 0, end: 0, block: None, out: diagnostics };
    for statement in &scan.statements {
        items.push(lower.item(statement));
        if lower.out.has_errors() && mistakes(lower.out) >= MOST_MISTAKES {
            let span = Span::new(file, statement.end, statement.end);
            lower.out.push(errors::too_many(span, MOST_MISTAKES));
            break;
        }
    }
    tree::File { id: file, items }
}

/// Parses one endpoint, which stands at `span`: the lists of endpoints in `netpol.toml`, and `--from` and `--to`.
pub fn parse_endpoint(text: &str, span: Span, diagnostics: &mut Diagnostics) -> tree::Expr {
    let base = span.start as usize;
    let scan = scan::scan(text);
    for problem in &scan.problems {
        let place = Span::new(span.file, base + problem.start, base + problem.end);
        diagnostics.push(errors::problem(problem, place, text));
    }
    if !scan.problems.is_empty() || text.len() > scan::MAX_SIZE {
        return tree::Expr { span, kind: tree::ExprKind::Error, ports: None };
    }
    let mut lower =
        Lower { file: span.file, text, scan: &scan, base, offset: 0, end: 0, block: None, out: diagnostics };
    lower.whole_endpoint(span)
}
