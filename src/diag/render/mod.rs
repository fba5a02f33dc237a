//! Renderers: how findings look to people, to editors, and to the machines of a pipeline.
//!
//! Every renderer reads the same [`Diagnostics`] and takes time in proportion to what it prints, even for a source in
//! one long line.

mod files;
mod human;
mod json;
mod lines;
mod sarif;

use std::io::{self, Write};

use super::{Diagnostics, Severity};
use crate::source::Sources;

/// The formats of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With the lines of the source, for a person.
    Human,
    /// `path:line:col: error[E0101]: message`, one line each.
    Short,
    /// One JSON object a line.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Workflow commands of GitHub Actions.
    Github,
}

impl Format {
    /// Returns whether the format is read by machines, which look for it on stdout.
    pub fn is_for_machines(self) -> bool {
        matches!(self, Format::Json | Format::Sarif | Format::Github)
    }
}

/// Writes all findings in a format. `colour` matters to [`Format::Human`] alone.
pub fn render(
    diagnostics: &Diagnostics,
    sources: &Sources,
    format: Format,
    colour: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Human => human::render(diagnostics, sources, colour, out),
        Format::Short => lines::short(diagnostics, sources, out),
        Format::Json => json::render(diagnostics, sources, out),
        Format::Sarif => sarif::render(diagnostics, sources, out),
        Format::Github => lines::github(diagnostics, sources, out),
    }
}

/// Returns how many findings there are, as a person reads it: `2 errors, 1 warning`; `None` without findings.
pub fn counts(diagnostics: &Diagnostics) -> Option<String> {
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (diagnostics.count(severity), severity.word()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
