//! From text to a [`tree`]: the only module that knows pest.

mod errors;
mod format;
mod grammar;
mod keyword;
mod lower;
mod refusal;
mod repairs;
pub mod scan;
pub mod tree;
pub mod vocabulary;
mod words;

pub use format::{FormatError, format};
pub use words::is_method;

use crate::diag::{Diagnostics, Severity};
use crate::parallel;
use crate::source::{FileId, Sources, Span};
use lower::Lower;

/// The most mistakes of one file that are reported.
const MOST_MISTAKES: usize = 200;
/// How many statements a thread reads in one go.
const TOGETHER: usize = 256;

/// A file whose deferred statements are not parsed yet: they make up most of a large file, and are dropped one by one
/// after their check.
#[derive(Debug)]
pub struct Opened {
    /// The file with only its declarations.
    pub file: tree::File,
    /// The deferred statements.
    pub deferred: Deferred,
}

/// The deferred statements of a file, which are not parsed yet: rules, `default deny`, `apply`, assertions and tests.
#[derive(Debug, Default)]
pub struct Deferred {
    scan: scan::Scan,
    /// How many mistakes may still be reported.
    room: usize,
}

/// Parses a file. Each mistake is pushed with its own span, and the rest of the file is still understood.
pub fn parse(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> tree::File {
    let Some((scan, room)) = scan(sources, file, diagnostics) else {
        return tree::File { id: file, items: Vec::new() };
    };
    let mut items = Vec::with_capacity(scan.statements.len());
    let all = |_: &scan::Statement| true;
    read_all(sources, file, &scan, room, &all, |piece, found| {
        items.extend(piece);
        diagnostics.append(found);
    });
    tree::File { id: file, items }
}

/// Parses the declarations of a file, and defers its other statements. Mistakes are pushed.
pub fn open(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> Opened {
    let mut items = Vec::new();
    let Some((mut scan, room)) = scan(sources, file, diagnostics) else {
        return Opened { file: tree::File { id: file, items }, deferred: Deferred::default() };
    };
    let mut left = room;
    let declares = |statement: &scan::Statement| !is_deferred(statement);
    read_all(sources, file, &scan, room, &declares, |piece, found| {
        items.extend(piece);
        left = left.saturating_sub(found.count(Severity::Error));
        diagnostics.append(found);
    });
    // The message about too many mistakes was pushed at the last declaration.
    if left == 0 && !items.is_empty() {
        scan.statements.clear();
    }
    Opened { file: tree::File { id: file, items }, deferred: Deferred { scan, room: left } }
}

impl Deferred {
    /// Returns the number of statements.
    pub fn len(&self) -> usize {
        self.scan.statements.iter().filter(|statement| is_deferred(statement)).count()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the statements in order, some at a time, and hands them on with their mistakes. `file` is the one that was
    /// opened.
    pub fn read(self, sources: &Sources, file: FileId, then: impl FnMut(Vec<tree::Item>, Diagnostics)) {
        read_all(sources, file, &self.scan, self.room, &is_deferred, then);
    }

    /// Reports the mistakes in the statements, and drops the statements.
    pub fn report(self, sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) {
        self.read(sources, file, |_, found| diagnostics.append(found));
    }
}

/// Returns whether a statement is about flows, and declares nothing that others name.
pub fn is_deferred(statement: &scan::Statement) -> bool {
    use keyword::Keyword::{Allow, Apply, Assert, Default, Deny, Test};
    matches!(statement.keyword, Some(Allow | Deny | Default | Apply | Assert | Test))
}

/// Returns the result of the first pass over a file, and how many mistakes may be reported after it; `None` for a file
/// that is too large.
fn scan(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> Option<(scan::Scan, usize)> {
    let text = sources.file(file).text.as_str();
    if text.len() > scan::MAX_SIZE {
        diagnostics.push(errors::too_large(Span::new(file, 0, 0), text.len()));
        return None;
    }
    let scan = scan::scan(text);
    let mut found = Diagnostics::new();
    for problem in scan.problems.iter().take(MOST_MISTAKES) {
        let span = Span::new(file, problem.start, problem.end);
        found.push(errors::problem(problem, span, text));
    }
    diagnostics.append(repairs::tried(found, &scan.statements, text));
    let room = MOST_MISTAKES.saturating_sub(scan.problems.len());
    Some((scan, room))
}

/// Reads the chosen statements of a file, on all processors, and hands them on in order, until there is no more room
/// for mistakes.
fn read_all(
    sources: &Sources,
    file: FileId,
    scan: &scan::Scan,
    room: usize,
    chosen: &(impl Fn(&scan::Statement) -> bool + Sync),
    mut then: impl FnMut(Vec<tree::Item>, Diagnostics),
) {
    let mut room = room;
    let pieces: Vec<&[scan::Statement]> = scan.statements.chunks(TOGETHER).collect();
    let read = |piece: &[scan::Statement], room: usize| {
        let text = sources.file(file).text.as_str();
        let mut found = Diagnostics::new();
        let mut items = Vec::with_capacity(piece.len());
        let mut lower = Lower { file, text, scan, base: 0, offset: 0, end: 0, block: None, out: &mut found };
        for statement in piece.iter().filter(|statement| chosen(statement)) {
            items.push(lower.item(statement));
            if lower.out.count(Severity::Error) >= room {
                let span = Span::new(file, statement.end, statement.end);
                lower.out.push(errors::too_many(span, MOST_MISTAKES));
                break;
            }
        }
        (items, repairs::tried(found, piece, text))
    };
    let mut rest = pieces.iter();
    parallel::ahead(
        &pieces,
        |piece| read(piece, usize::MAX),
        |(items, found)| {
            let piece = rest.next();
            let mistakes = found.count(Severity::Error);
            if mistakes < room {
                room -= mistakes;
                then(items, found);
                return true;
            }
            // This piece has more mistakes than may be reported: it is read again, up to that many.
            if let Some(piece) = piece {
                let (items, found) = read(piece, room);
                then(items, found);
            }
            false
        },
    );
}

/// Parses some statements of a file, by their numbers in the first pass over it.
pub fn parse_some(
    sources: &Sources,
    file: FileId,
    scan: &scan::Scan,
    chosen: std::ops::Range<usize>,
    diagnostics: &mut Diagnostics,
) -> Vec<tree::Item> {
    let text = sources.file(file).text.as_str();
    let piece = scan.statements.get(chosen).unwrap_or_default();
    let mut found = Diagnostics::new();
    let mut lower = Lower { file, text, scan, base: 0, offset: 0, end: 0, block: None, out: &mut found };
    let items = piece.iter().map(|statement| lower.item(statement)).collect();
    diagnostics.append(repairs::tried(found, piece, text));
    items
}

/// Parses one endpoint at `span`: those of the lists in `netpol.toml`, and of `--from` and `--to`.
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
