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
use crate::parallel;
use crate::source::{FileId, Sources, Span};
use lower::Lower;

/// How many mistakes of one file are said.
const MOST_MISTAKES: usize = 200;
/// Of how many statements on it is worth while to read a part of a file beside the others.
const LEAST_ALONE: usize = 256;

/// Parses a file. What is wrong is pushed, each mistake at its own place, and the rest of the file is still understood.
pub fn parse(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> tree::File {
    let text = sources.file(file).text.as_str();
    if text.len() > scan::MAX_SIZE {
        diagnostics.push(errors::too_large(Span::new(file, 0, 0), text.len()));
        return tree::File { id: file, items: Vec::new() };
    }
    let scan = scan::scan(text);
    for problem in scan.problems.iter().take(MOST_MISTAKES) {
        let span = Span::new(file, problem.start, problem.end);
        diagnostics.push(errors::problem(problem, span, text));
    }
    let room = MOST_MISTAKES.saturating_sub(scan.problems.len());
    let read = |statements: &&[scan::Statement]| read(statements, (file, text, &scan), room);
    let parts = parallel::map(&parallel::parts(&scan.statements, LEAST_ALONE), read);
    let mistakes: usize = parts.iter().map(|(_, found)| found.count(Severity::Error)).sum();
    let (items, found) = if mistakes < room || parts.len() == 1 {
        parts.into_iter().reduce(joined).unwrap_or_default()
    } else {
        // Where reading ends depends on how many mistakes there are before.
        read(&scan.statements.as_slice())
    };
    diagnostics.append(found);
    tree::File { id: file, items }
}

/// What was read of a part of a file, and what was found in it.
type Part = (Vec<tree::Item>, Diagnostics);

fn joined((mut items, mut found): Part, (more, others): Part) -> Part {
    items.extend(more);
    found.append(others);
    (items, found)
}

/// Reads statements of a file, until there is no more room for mistakes.
fn read(statements: &[scan::Statement], (file, text, scan): (FileId, &str, &scan::Scan), room: usize) -> Part {
    let mut found = Diagnostics::new();
    let mut items = Vec::with_capacity(statements.len());
    let mut lower = Lower { file, text, scan, base: 0, offset: 0, end: 0, block: None, out: &mut found };
    for statement in statements {
        items.push(lower.item(statement));
        if lower.out.count(Severity::Error) >= room {
            let span = Span::new(file, statement.end, statement.end);
            lower.out.push(errors::too_many(span, MOST_MISTAKES));
            break;
        }
    }
    (items, found)
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
