//! Messages: in which format, in which colour, and on which stream.

use std::io::{self, IsTerminal, Write};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{Exit, Fatal, to, to_stdout};
use crate::diag::render::{self, Format};
use crate::diag::{Diagnostics, Severity};
use crate::source::Sources;

/// How messages look.
#[derive(clap::Args)]
pub struct Messages {
    /// How findings are printed: for people and editors on stderr, for machines on stdout
    #[arg(long, value_name = "FORMAT", default_value = "human", value_parser = format())]
    error_format: Format,
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(["human", "short", "json", "sarif", "github"]).map(|word| match word.as_str() {
        "short" => Format::Short,
        "json" => Format::Json,
        "sarif" => Format::Sarif,
        "github" => Format::Github,
        _ => Format::Human,
    })
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Colour {
    fn on_stderr(self) -> bool {
        let wanted = || {
            let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
            unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        };
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => io::stderr().is_terminal() && wanted(),
        }
    }
}

/// The findings of a run, on their way out.
pub struct Report<'a> {
    /// The format of the findings.
    pub messages: &'a Messages,
    /// When to colour.
    pub colour: Colour,
    /// Whether stdout carries something else, so that all findings go to stderr.
    pub stdout_is_taken: bool,
    /// Whether a warning counts as an error.
    pub deny_warnings: bool,
}

impl Report<'_> {
    /// Returns whether the findings fail the run.
    pub fn fails(&self, diagnostics: &Diagnostics) -> bool {
        diagnostics.has_errors() || (self.deny_warnings && diagnostics.count(Severity::Warning) > 0)
    }

    /// Returns whether the findings are printed for machines.
    pub fn is_for_machines(&self) -> bool {
        self.messages.error_format.is_for_machines()
    }

    /// Prints the findings, sorted, and returns the exit code that they give: 2 for a mistake of the compiler itself.
    pub fn print(&self, diagnostics: &mut Diagnostics, sources: &Sources) -> Result<Exit, Fatal> {
        diagnostics.sort();
        let format = self.messages.error_format;
        let colour = self.colour.on_stderr();
        let write = |out: &mut dyn Write| render::render(diagnostics, sources, format, colour, out);
        if format.is_for_machines() && !self.stdout_is_taken {
            to_stdout(write)?;
        } else {
            to(io::stderr().lock(), write).map_err(|error| Fatal::io("cannot write to stderr", error))?;
        }
        let internal = diagnostics.iter().any(|finding| finding.code.is_internal());
        Ok(if internal { 2 } else { u8::from(self.fails(diagnostics)) })
    }

    /// Prints the result of the run for a person: `done` (for a run without errors), and the number of findings.
    pub fn close(&self, diagnostics: &Diagnostics, done: &str) {
        let done = Some(done).filter(|done| !done.is_empty() && !self.fails(diagnostics));
        let parts: Vec<String> = done.map(str::to_owned).into_iter().chain(render::counts(diagnostics)).collect();
        if !parts.is_empty() {
            self.say(&parts.join("; "));
        }
    }

    /// Returns whether a person reads along.
    pub fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Prints a text for a person that is no finding.
    pub fn say(&self, text: &str) {
        if self.messages.error_format == Format::Human {
            // A closed stderr means that nobody wants to read it.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Code, Diagnostic};
    use crate::source::Span;

    #[test]
    fn a_mistake_of_the_compiler_has_an_exit_code_of_its_own() {
        let mut sources = Sources::new();
        let file = sources.add("a.netpol", "default deny garden/*\n");
        let messages = Messages { error_format: Format::Short };
        let report = Report { messages: &messages, colour: Colour::Never, stdout_is_taken: true, deny_warnings: false };
        for (codes, exit) in [
            (&[][..], 0),
            (&[Code::Unchecked], 0),
            (&[Code::NotEnforced], 1),
            (&[Code::NotEnforced, Code::Miscompiled], 2),
        ] {
            let mut found = Diagnostics::new();
            codes.iter().for_each(|code| found.push(Diagnostic::new(*code, Span::new(file, 0, 1), "found")));
            assert_eq!(report.print(&mut found, &sources).ok(), Some(exit), "{codes:?}");
        }
    }
}
