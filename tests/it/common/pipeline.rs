//! The stages from text to policy, without a disk: what a test gives is all that there is.

use netpol::compile::{self, Input};
use netpol::diag::render::{Format, render};
use netpol::diag::{Code, Diagnostic, Diagnostics, Fix};
use netpol::policy::Policy;
use netpol::settings::Settings;
use netpol::source::Sources;

/// The policy's own file.
pub const POLICY: &str = "policy.netpol";

/// A policy with what it needs.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The text of [`POLICY`].
    pub policy: String,
    /// Files that it may `use`: name and text.
    pub also: Vec<(String, String)>,
    /// `netpol.toml`.
    pub settings: Option<String>,
    /// Manifests.
    pub inventory: Option<String>,
}

/// What a run came to.
pub struct Outcome {
    /// Every text of the run.
    pub sources: Sources,
    /// What was found, sorted.
    pub diagnostics: Diagnostics,
    /// The policy; none after an error.
    pub policy: Option<Policy>,
}

impl Given {
    /// Makes a policy that needs nothing else.
    pub fn policy(text: &str) -> Given {
        Given { policy: text.into(), ..Given::default() }
    }

    /// Returns the text of a file of this policy.
    fn file(&mut self, path: &str) -> Option<&mut String> {
        if path == POLICY {
            return Some(&mut self.policy);
        }
        if path == "netpol.toml" {
            return self.settings.as_mut();
        }
        self.also.iter_mut().find(|(name, _)| name == path).map(|(_, text)| text)
    }

    /// Returns this policy after a repair.
    pub fn repaired(&self, fix: &Fix, sources: &Sources) -> Given {
        let mut repaired = self.clone();
        let mut edits: Vec<_> = fix.edits.iter().collect();
        edits.sort_by_key(|edit| std::cmp::Reverse((edit.span.file, edit.span.start)));
        for edit in edits {
            let path = &sources.file(edit.span.file).path;
            let text = repaired.file(path).unwrap_or_else(|| panic!("a fix changes {path}"));
            text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
        }
        repaired
    }

    /// Runs the stages on the day 2026-06-01.
    pub fn run(&self) -> Outcome {
        let today = time::Date::from_calendar_date(2026, time::Month::June, 1).unwrap();
        let mut diagnostics = Diagnostics::new();
        let mut input = Input::new(Settings::new(today));
        if let Some(text) = &self.settings {
            let file = input.sources.add("netpol.toml", text.as_str());
            input.settings = netpol::settings::read(&input.sources, file, today, &mut diagnostics).0;
        }
        input.policy(POLICY, self.policy.as_str());
        if let Some(text) = &self.inventory {
            input.manifest("inventory.yaml", text.as_str());
        }
        let mut loader = |_: &str, path: &str| {
            let name = path.trim_start_matches("./");
            let own = (POLICY.to_owned(), self.policy.clone());
            let found = self.also.iter().chain([&own]).find(|(known, _)| known == name);
            found.cloned().ok_or_else(|| "there is no such file".to_owned())
        };
        let policy = compile::policy(&mut input, &mut loader, &mut diagnostics);
        if let Some(policy) = &policy {
            netpol::analysis::lints(policy, &input.sources, &mut diagnostics);
        }
        diagnostics.sort();
        Outcome { sources: input.sources, diagnostics, policy }
    }
}

impl Outcome {
    /// Returns the findings of a code.
    pub fn of(&self, code: Code) -> Vec<&Diagnostic> {
        self.diagnostics.iter().filter(|finding| finding.code == code).collect()
    }

    /// Returns the findings as a person sees them.
    pub fn shown(&self) -> String {
        let mut out = Vec::new();
        render(&self.diagnostics, &self.sources, Format::Human, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}
