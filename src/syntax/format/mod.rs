//! The formatter: one layout for every file.
//!
//! The tree decides how a statement is laid out, and the source where the comments are ([`printer`]); [`layout`]
//! chooses the line breaks. Before a text is returned it is parsed again: it must give the same tree and have the same
//! comments.

mod endpoint;
mod erase;
mod layout;
mod printer;
mod statement;
mod workload;

use self::printer::Printer;
use crate::diag::Diagnostics;
use crate::source::{FileId, Sources, Span};

/// Why a file was not formatted. Either way it stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// It has syntax errors; they were pushed.
    Syntax,
    /// The formatted text would not mean the same, or would lose a comment: a bug of the formatter. The sentence says
    /// what differs.
    Internal(String),
}

/// Formats a file: takes its number and returns its text in the one layout, which ends in a line feed unless it is
/// empty. Syntax errors are pushed to `diagnostics`; nothing else is.
pub fn format(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> Result<String, FormatError> {
    let mut findings = Diagnostics::new();
    let mut tree = super::parse(sources, file, &mut findings);
    if findings.has_errors() {
        findings.iter().for_each(|finding| diagnostics.push(finding.clone()));
        return Err(FormatError::Syntax);
    }
    let source = sources.file(file);
    let mut printer = Printer::new(&source.text);
    printer.items(&tree.items);
    let text = printer.finish().map_err(|at| {
        let place = sources.position(file, at as u32);
        FormatError::Internal(format!("the formatter lost its way at {}:{}:{}", source.path, place.line, place.column))
    })?;

    let mut formatted = Sources::new();
    let copy = formatted.add(source.path.clone(), text);
    let mut findings = Diagnostics::new();
    let mut again = super::parse(&formatted, copy, &mut findings);
    let text = &formatted.file(copy).text;
    let nowhere = Span::new(file, 0, 0);
    erase::spans(&mut tree, nowhere);
    erase::spans(&mut again, nowhere);
    if let Some(finding) = findings.iter().next() {
        return Err(FormatError::Internal(format!("the formatted text has an error of its own: {}", finding.message)));
    }
    if tree.items != again.items {
        return Err(FormatError::Internal(format!("formatting would change what {} means", source.path)));
    }
    if !comments(&source.text).eq(comments(text)) {
        return Err(FormatError::Internal(format!("formatting would change a comment of {}", source.path)));
    }
    Ok(text.clone())
}

/// Returns the texts of the comments of a source without syntax errors, without the space at their ends.
fn comments(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(comment).map(|text| text.trim_end_matches([' ', '\t', '\r']))
}

/// Returns the comment of a line: from the first `#` outside a string.
fn comment(line: &str) -> Option<&str> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line.get(at..),
            _ => {}
        }
    }
    None
}
