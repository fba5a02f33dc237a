//! From text to a [`tree`]: the only place that knows pest.

mod format;
pub mod tree;

pub use format::{FormatError, format};

use crate::diag::Diagnostics;
use crate::source::{FileId, Sources, Span};

/// Parses a file. What is wrong is pushed, each mistake at its own place, and the rest of the file is still understood.
pub fn parse(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> tree::File {
    let _ = (sources, diagnostics);
    tree::File { id: file, items: Vec::new() }
}

/// Parses one endpoint, which stands at `span`: the lists of endpoints in `netpol.toml`, and `--from` and `--to`.
pub fn parse_endpoint(text: &str, span: Span, diagnostics: &mut Diagnostics) -> tree::Expr {
    let _ = (text, diagnostics);
    tree::Expr { span, kind: tree::ExprKind::Error, ports: None }
}
