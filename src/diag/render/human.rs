//! Findings for a person: the message, the lines of the source, and the advice.

use std::collections::HashMap;
use std::io::{self, Write};

use codespan_reporting::diagnostic as codespan;
use codespan_reporting::files::Error;
use codespan_reporting::term;
#[cfg(feature = "cli")]
use codespan_reporting::term::termcolor::Ansi;

use super::files::{Texts, View, printable};
use crate::diag::{Code, Diagnostic, Diagnostics, Severity};
use crate::source::{FileId, Sources};

/// The most notes of one code that are shown; the others are counted.
const NOTES_OF_ONE_KIND: usize = 3;
/// The most labels that a finding shows beside its own; the others follow as notes.
const MOST_LABELS: usize = 8;
/// The column at which `(fix available)` stands.
const FIX_COLUMN: usize = 70;

/// Writes all findings; in colour only where the feature `cli` is on.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let texts = Texts::new(sources);
    let mut notes: HashMap<Code, usize> = HashMap::new();
    for diagnostic in diagnostics.iter() {
        if diagnostic.severity() == Severity::Note {
            let seen = notes.entry(diagnostic.code).or_default();
            *seen += 1;
            if *seen > NOTES_OF_ONE_KIND {
                continue;
            }
        }
        one(diagnostic, &texts, sources, colour, out)?;
    }
    let mut folded: Vec<(Code, usize)> = notes.into_iter().filter(|(_, seen)| *seen > NOTES_OF_ONE_KIND).collect();
    folded.sort();
    for (code, seen) in folded {
        let more = seen - NOTES_OF_ONE_KIND;
        writeln!(out, "note[{}]: and {more} more like this: netpol check --error-format short\n", code.as_str())?;
    }
    Ok(())
}

fn one(
    diagnostic: &Diagnostic,
    texts: &Texts<'_>,
    sources: &Sources,
    colour: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let places = || std::iter::once(&diagnostic.primary).chain(&diagnostic.labels);
    let view = View::new(texts, places());
    let mut labels: Vec<codespan::Label<FileId>> = Vec::new();
    let mut notes: Vec<String> = Vec::new();
    for (at, label) in places().enumerate() {
        let range = view.visible(label).filter(|_| at <= MOST_LABELS);
        let style = if at == 0 { codespan::LabelStyle::Primary } else { codespan::LabelStyle::Secondary };
        match range {
            Some(range) => {
                labels.push(codespan::Label::new(style, label.span.file, range).with_message(printable(&label.message)))
            }
            None if label.message.is_empty() => {}
            None => {
                let place = sources.position(label.span.file, label.span.start);
                let path = &sources.file(label.span.file).path;
                notes.push(format!("{path}:{}:{}: {}", place.line, place.column, label.message));
            }
        }
    }
    notes.extend(diagnostic.notes.iter().cloned());
    offer_fixes(diagnostic, &mut notes);

    let severity = match diagnostic.severity() {
        Severity::Error => codespan::Severity::Error,
        Severity::Warning => codespan::Severity::Warning,
        Severity::Note => codespan::Severity::Note,
    };
    let finding = codespan::Diagnostic::new(severity)
        .with_code(diagnostic.code.as_str())
        .with_message(printable(&diagnostic.message))
        .with_labels(labels)
        .with_notes(notes.iter().map(|note| printable(note).into_owned()).collect());
    let config = term::Config::default();
    #[cfg(feature = "cli")]
    let written = match colour {
        true => term::emit_to_write_style(&mut Ansi::new(out), &config, &view, &finding),
        false => term::emit_to_io_write(out, &config, &view, &finding),
    };
    #[cfg(not(feature = "cli"))]
    let written = {
        let _ = colour;
        term::emit_to_io_write(out, &config, &view, &finding)
    };
    written.map_err(|error| match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    })
}

/// Marks the notes that contain a fix's title or new text; a fix without such a note becomes a note itself.
fn offer_fixes(diagnostic: &Diagnostic, notes: &mut Vec<String>) {
    for fix in &diagnostic.fixes {
        let spoken_of = notes.iter().position(|note| match fix.edits.as_slice() {
            _ if note.contains(&fix.title) => true,
            [edit] => !edit.text.trim().is_empty() && note.contains(&format!("`{}`", edit.text.trim())),
            _ => false,
        });
        let at = spoken_of.unwrap_or_else(|| {
            notes.push(fix.title.clone());
            notes.len() - 1
        });
        if let Some(note) = notes.get_mut(at) {
            let width = note.lines().last().map_or(0, |line| line.chars().count());
            note.push_str(&" ".repeat(FIX_COLUMN.saturating_sub(width).max(2)));
            note.push_str("(fix available)");
        }
    }
}
