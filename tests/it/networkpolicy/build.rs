//! From source text to objects, as a build does it.

#![allow(dead_code, reason = "tests of several kinds use it")]

use netpol::compile::{self, Input};
use netpol::diag::{Diagnostics, Severity};
use netpol::policy::Policy;
use netpol::resolve::Loader;
use netpol::settings::{Layer, Settings, Written};
use netpol::source::{Sources, Span};
use netpol::targets::{self, Level, Lowering};
use serde_json::Value;

/// A build of one file for chosen layers.
pub struct Build {
    /// The files.
    pub sources: Sources,
    /// What was found.
    pub diagnostics: Diagnostics,
    /// What the source means.
    pub policy: Policy,
    /// What came out.
    pub lowering: Lowering,
}

/// Builds a source for `networkpolicy` alone.
pub fn build(source: &str) -> Build {
    build_with(source, "", |_| ())
}

/// Builds a source for `networkpolicy` alone, with an inventory.
pub fn build_in(inventory: &str, source: &str) -> Build {
    build_with(source, inventory, |_| ())
}

/// Builds a source with settings of its own (without changes they are for `networkpolicy` alone) and an inventory, where
/// its text is not empty.
pub fn build_with(source: &str, inventory: &str, change: impl FnOnce(&mut Settings)) -> Build {
    let mut settings = Settings::new(time::Date::from_calendar_date(2026, time::Month::November, 21).unwrap());
    settings.targets = vec![Layer::NetworkPolicy];
    change(&mut settings);
    let mut input = Input::new(settings);
    input.policy("policy.netpol", source);
    if !inventory.is_empty() {
        input.manifest("cluster.yaml", inventory);
    }
    Build::of(input, &mut compile::no_files)
}

/// Returns an endpoint as `netpol.toml` has it.
pub fn written(text: &str) -> Written {
    let mut sources = Sources::new();
    let file = sources.add("policy.netpol", "");
    Written { text: text.into(), span: Span::new(file, 0, 0) }
}

impl Build {
    /// Builds an input, or what could be understood of it.
    pub fn of(mut input: Input, loader: &mut Loader<'_>) -> Build {
        let mut diagnostics = Diagnostics::new();
        let policy = compile::policy_despite_errors(&mut input, loader, &mut diagnostics);
        let policy = policy.unwrap_or_else(|| panic!("a manifest has errors: {diagnostics:#?}"));
        let lowering = compile::objects(&policy, &input.sources, &mut diagnostics);
        Build { sources: input.sources, diagnostics, policy, lowering }
    }

    /// Returns the codes of the findings.
    pub fn codes(&self) -> Vec<&'static str> {
        self.diagnostics.iter().map(|finding| finding.code.as_str()).collect()
    }

    /// Fails where there is an error, and shows it.
    pub fn ok(self) -> Build {
        let errors: Vec<_> = self.diagnostics.iter().filter(|finding| finding.severity() == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        self
    }

    /// Returns the text of every file of the build, one after the other.
    pub fn text(&self) -> String {
        let files = targets::artifacts(self.lowering.clone(), &self.sources);
        files.iter().map(|file| format!("==> {}\n{}", file.path, file.text)).collect()
    }

    /// Returns the objects as they are read back.
    pub fn objects(&self) -> Vec<Value> {
        let objects = self.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects);
        objects.map(|object| serde_yaml::from_str(&object.yaml).unwrap()).collect()
    }

    /// Returns the only object.
    pub fn object(&self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "{}", self.text());
        objects.remove(0)
    }

    /// Returns the object of that name.
    pub fn named(&self, namespace: &str, name: &str) -> Value {
        let mut objects = self.objects();
        objects.retain(|object| object["metadata"]["name"] == name && object["metadata"]["namespace"] == namespace);
        assert_eq!(objects.len(), 1, "{namespace}/{name}\n{}", self.text());
        objects.remove(0)
    }

    /// Returns the level and the reason of each end of a rule, by its number.
    pub fn levels(&self, rule: usize) -> Vec<(Level, &'static str)> {
        let judgements = self.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.judgements);
        let of_rule = judgements.filter(|judgement| judgement.rule.index() == rule);
        of_rule.map(|judgement| (judgement.level, &*judgement.reason.to_string().leak())).collect()
    }

    /// Returns the findings of a code: message, what stands at the place, notes.
    pub fn said(&self, code: &str) -> String {
        let findings = self.diagnostics.iter().filter(|finding| finding.code.as_str() == code);
        findings
            .map(|finding| {
                let lines = [finding.message.as_str(), finding.primary.message.as_str()].map(str::to_owned);
                lines.into_iter().chain(finding.notes.iter().cloned()).collect::<Vec<_>>().join("\n")
            })
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}
