//! Findings of one line each, for editors and `grep`, and for GitHub Actions.

use std::io::{self, Write};

use super::files::printable;
use crate::diag::{Diagnostics, Severity};
use crate::source::Sources;

/// Writes `path:line:col: error[E0101]: message`, and behind the message the first fix: `; write `frontend``.
pub fn short(diagnostics: &Diagnostics, sources: &Sources, out: &mut dyn Write) -> io::Result<()> {
    for diagnostic in diagnostics.iter() {
        let span = diagnostic.primary.span;
        let start = sources.position(span.file, span.start);
        let fix = diagnostic.fixes.first().map_or_else(String::new, |fix| format!("; {}", printable(&fix.title)));
        writeln!(
            out,
            "{}:{}:{}: {}[{}]: {}{fix}",
            printable(&sources.file(span.file).path),
            start.line,
            start.column,
            diagnostic.severity().word(),
            diagnostic.code.as_str(),
            printable(&diagnostic.message),
        )?;
    }
    Ok(())
}

/// Writes workflow commands, which GitHub shows below the line where a finding starts.
pub fn github(diagnostics: &Diagnostics, sources: &Sources, out: &mut dyn Write) -> io::Result<()> {
    for diagnostic in diagnostics.iter() {
        let span = diagnostic.primary.span;
        let start = sources.position(span.file, span.start);
        let command = match diagnostic.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let code = diagnostic.code.as_str();
        let mut message = diagnostic.message.clone();
        for advice in diagnostic.advice() {
            message.push('\n');
            message.push_str(advice);
        }
        writeln!(
            out,
            "::{command} title={},file={},line={},col={}::{}",
            property(&format!("{code}: {}", diagnostic.code.title())),
            property(&sources.file(span.file).path),
            start.line,
            start.column,
            data(&message),
        )?;
    }
    Ok(())
}

/// Escapes the message of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
