//! Lints: the levels of warnings and notes. `[lints]` of netpol.toml hides those of a code, keeps them, or makes them
//! errors; `@allow(W0521, "why")` hides those of a code at one statement. Errors stay errors.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{Code, Diagnostic, Severity};
use crate::source::{FileId, Span};

/// The level that `[lints]` sets for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `"allow"`: it is hidden.
    Allow,
    /// `"warn"`: it is a warning.
    Warn,
    /// `"deny"`: it is an error.
    Deny,
}

/// The lints of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Lints {
    pub(super) levels: BTreeMap<Code, Level>,
    /// Every `@allow` that was seen.
    allowed: FxHashMap<(FileId, Code), Vec<Allowed>>,
    /// The `apply` statements that yield the rule which later findings are about.
    pub(super) applied: Vec<Span>,
}

#[derive(Clone, Debug)]
struct Allowed {
    statement: Span,
    at: Span,
    is_used: bool,
}

impl Lints {
    /// Adds the `@allow` at a span, for a statement. A template is read again for each `apply` of it.
    pub(super) fn allow(&mut self, code: Code, statement: Span, at: Span) {
        let all = self.allowed.entry((at.file, code)).or_default();
        if all.iter().all(|one| one.at != at) {
            all.push(Allowed { statement, at, is_used: false });
        }
    }

    /// Returns a finding with its final severity; `None` if it is hidden.
    pub(super) fn judge(&mut self, mut diagnostic: Diagnostic) -> Option<Diagnostic> {
        if diagnostic.code.severity() == Severity::Error {
            return Some(diagnostic);
        }
        for place in std::iter::once(diagnostic.primary.span).chain(self.applied.iter().copied()) {
            let mut allowed = self.allowed.get_mut(&(place.file, diagnostic.code)).into_iter().flatten();
            if let Some(allowed) = allowed.find(|one| one.statement.contains(place)) {
                allowed.is_used = true;
                return None;
            }
        }
        match self.levels.get(&diagnostic.code) {
            Some(Level::Allow) => return None,
            Some(Level::Warn) => diagnostic.counts_as = Some(Severity::Warning),
            Some(Level::Deny) => diagnostic.counts_as = Some(Severity::Error),
            None => {}
        }
        Some(diagnostic)
    }

    /// Returns a warning for each `@allow` that hides no finding.
    pub(super) fn unused(&self) -> Vec<Diagnostic> {
        let all = self.allowed.iter().flat_map(|((_, code), all)| all.iter().map(move |one| (code, one)));
        all.filter(|(_, one)| !one.is_used)
            .map(|(code, one)| {
                let code = code.as_str();
                Diagnostic::new(Code::UnusedAllow, one.at, format!("nothing here is said by {code}"))
                    .at("remove it, or see whether another statement is meant")
            })
            .collect()
    }
}
