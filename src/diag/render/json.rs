//! JSON, one object a line: positions from 1, columns in characters, ends exclusive.

use std::io::{self, Write};

use serde::Serialize;

use crate::diag::{Diagnostics, Label};
use crate::source::{Position, Sources, Span};

#[derive(Serialize)]
struct Finding<'a> {
    code: &'a str,
    severity: &'a str,
    message: &'a str,
    path: &'a str,
    range: Range,
    labels: Vec<Place<'a>>,
    notes: &'a [String],
    fixes: Vec<Fix<'a>>,
}

#[derive(Serialize)]
struct Range {
    start: Point,
    end: Point,
}

#[derive(Serialize)]
struct Point {
    line: usize,
    column: usize,
}

#[derive(Serialize)]
struct Place<'a> {
    path: &'a str,
    range: Range,
    message: &'a str,
}

#[derive(Serialize)]
struct Fix<'a> {
    title: &'a str,
    edits: Vec<Edit<'a>>,
}

#[derive(Serialize)]
struct Edit<'a> {
    path: &'a str,
    range: Range,
    text: &'a str,
}

/// Writes one object a line. The primary span is the first of `labels` if it has a text.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, out: &mut dyn Write) -> io::Result<()> {
    let path = |span: Span| sources.file(span.file).path.as_str();
    for diagnostic in diagnostics.iter() {
        let primary = Some(&diagnostic.primary).filter(|label| !label.message.is_empty());
        let place = |label: &'_ Label| (label.span, range(sources, label.span));
        let labels = primary.into_iter().chain(&diagnostic.labels).map(|label| {
            let (span, range) = place(label);
            Place { path: path(span), range, message: &label.message }
        });
        let fixes = diagnostic.fixes.iter().map(|fix| {
            let edits = fix.edits.iter().map(|edit| Edit {
                path: path(edit.span),
                range: range(sources, edit.span),
                text: &edit.text,
            });
            Fix { title: &fix.title, edits: edits.collect() }
        });
        let finding = Finding {
            code: diagnostic.code.as_str(),
            severity: diagnostic.severity().word(),
            message: &diagnostic.message,
            path: path(diagnostic.primary.span),
            range: range(sources, diagnostic.primary.span),
            labels: labels.collect(),
            notes: &diagnostic.notes,
            fixes: fixes.collect(),
        };
        serde_json::to_writer(&mut *out, &finding)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn range(sources: &Sources, span: Span) -> Range {
    let point = |Position { line, column }| Point { line, column };
    Range { start: point(sources.position(span.file, span.start)), end: point(sources.position(span.file, span.end)) }
}
