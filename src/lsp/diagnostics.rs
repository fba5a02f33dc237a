//! Findings as diagnostics of documents: pushed when something changes, or handed out when the client asks.

use std::collections::HashMap;

use lsp_types::{
    CodeDescription, Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, Location, Position,
    Range, Uri,
};

use super::client::Abilities;
use super::lines::Lines;
use super::workspace::Workspace;
use super::{Opened, Root, uri};
use crate::diag::{self, Code, Severity};
use crate::source::{FileId, Span};

/// Makes diagnostics of the findings of a policy.
pub struct Maker<'a> {
    /// The workspace, for the addresses of files.
    pub workspace: &'a Workspace,
    /// The policy.
    pub opened: &'a Opened,
    /// The client.
    pub client: &'a Abilities,
}

impl Maker<'_> {
    /// Returns the diagnostics of each file that has some.
    pub fn by_document<'f>(
        &self,
        findings: impl IntoIterator<Item = &'f diag::Diagnostic>,
    ) -> HashMap<Uri, Vec<Diagnostic>> {
        let mut by_file: HashMap<FileId, Vec<&diag::Diagnostic>> = HashMap::new();
        for finding in findings {
            by_file.entry(finding.primary.span.file).or_default().push(finding);
        }
        let of = |(file, list): (FileId, Vec<&diag::Diagnostic>)| {
            let lines = self.lines(file);
            let list = list.into_iter().map(|finding| self.diagnostic(finding, &lines)).collect();
            (self.workspace.uri_of(self.opened, file), list)
        };
        by_file.into_iter().map(of).collect()
    }

    /// Returns the diagnostics of one file.
    pub fn of_file<'f>(
        &self,
        findings: impl IntoIterator<Item = &'f diag::Diagnostic>,
        file: FileId,
    ) -> Vec<Diagnostic> {
        let lines = self.lines(file);
        let here = findings.into_iter().filter(|finding| finding.primary.span.file == file);
        here.map(|finding| self.diagnostic(finding, &lines)).collect()
    }

    fn lines(&self, file: FileId) -> Lines<'_> {
        self.workspace.lines(self.opened, file)
    }

    /// Returns a finding as a diagnostic: its message, the text at its span, and its advice.
    pub fn diagnostic(&self, finding: &diag::Diagnostic, lines: &Lines<'_>) -> Diagnostic {
        let mut message = finding.message.clone();
        if !finding.primary.message.is_empty() {
            message.push_str(&format!("\n{}", finding.primary.message));
        }
        for advice in finding.advice() {
            message.push_str(&format!("\n= {advice}"));
        }
        let related = finding.labels.iter().map(|label| DiagnosticRelatedInformation {
            location: self.location(label.span),
            message: if label.message.is_empty() { "here".to_owned() } else { label.message.clone() },
        });
        let related: Vec<_> = related.filter(|_| self.client.related).collect();
        let span = finding.primary.span;
        let unused = matches!(finding.code, Code::UnusedName | Code::UnusedModule);
        Diagnostic {
            range: lines.range(span.start, span.end),
            severity: Some(match finding.severity() {
                Severity::Error => DiagnosticSeverity::Error,
                Severity::Warning => DiagnosticSeverity::Warning,
                Severity::Note => DiagnosticSeverity::Information,
            }),
            code: Some(finding.code.as_str().to_owned().into()),
            code_description: self.client.reads_own.then(|| CodeDescription { href: page(finding.code) }),
            source: Some("netpol".to_owned()),
            message: message.into(),
            tags: unused.then(|| vec![DiagnosticTag::Unnecessary]),
            related_information: (!related.is_empty()).then_some(related),
            data: None,
        }
    }

    fn location(&self, span: Span) -> Location {
        Location {
            uri: self.workspace.uri_of(self.opened, span.file),
            range: self.lines(span.file).range(span.start, span.end),
        }
    }
}

/// Returns the address of the page of a code.
pub fn page(code: Code) -> Uri {
    uri::of_own(&format!("rule/{}.md", code.as_str()))
}

/// Returns the diagnostic that says why a policy cannot be read, for the first line of a document.
pub fn unreadable(why: &str) -> Diagnostic {
    Diagnostic {
        range: Range { start: Position { line: 0, character: 0 }, end: Position { line: 0, character: 1 } },
        severity: Some(DiagnosticSeverity::Error),
        source: Some("netpol".to_owned()),
        message: why.to_owned().into(),
        ..Diagnostic::default()
    }
}

/// Returns whether a policy is the one that speaks for a document: an open document has the diagnostics of its own
/// policy, and no others.
pub fn speaks_for(workspace: &Workspace, root: &Root, uri: &Uri) -> bool {
    let open = uri::path(uri).and_then(|path| workspace.documents.get(&path));
    open.is_none_or(|document| document.root == *root)
}
