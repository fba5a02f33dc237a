//! From text to a [`tree`]: the only place that knows pest.

mod format;
mod grammar;
mod keyword;
mod lower;
pub mod scan;
pub mod tree;

pub use format::{FormatError, format};

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::source::{FileId, Sources, Span};
use lower::Lower;

/// Parses a file. What is wrong is pushed, each mistake at its own place, and the rest of the file is still understood.
pub fn parse(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> tree::File {
    let text = sources.file(file).text.as_str();
    if text.len() > scan::MAX_SIZE {
        diagnostics.push(Diagnostic::new(Code::Expected, Span::new(file, 0, 0), "a file holds at most 16 MiB"));
        return tree::File { id: file, items: Vec::new() };
    }
    let scan = scan::scan(text);
    for problem in &scan.problems {
        let span = Span::new(file, problem.start, problem.end);
        diagnostics.push(Diagnostic::new(Code::Expected, span, format!("{:?}", problem.kind)));
    }
    let mut lower = Lower { file, text, scan: &scan, base: 0, offset: 0, out: diagnostics };
    let items = scan.statements.iter().map(|statement| lower.item(statement, &scan.comments)).collect();
    tree::File { id: file, items }
}

/// Parses one endpoint, which stands at `span`: the lists of endpoints in `netpol.toml`, and `--from` and `--to`.
pub fn parse_endpoint(text: &str, span: Span, diagnostics: &mut Diagnostics) -> tree::Expr {
    let scan = scan::scan(text);
    if !scan.problems.is_empty() {
        diagnostics.push(Diagnostic::new(Code::Expected, span, "something else was expected here"));
        return tree::Expr { span, kind: tree::ExprKind::Error, ports: None };
    }
    Lower { file: span.file, text, scan: &scan, base: span.start as usize, offset: 0, out: diagnostics }
        .whole_endpoint(span)
}
