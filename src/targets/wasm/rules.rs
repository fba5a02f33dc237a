//! `policy.rules.json`: the rules and grants that a verdict names by number.

use serde_json::{Value, json};

use super::kernel::layout::ABI;
use crate::model::rules::Action;
use crate::policy::provenance::{attribute, rule_text};
use crate::policy::{GrantReason, Policy};
use crate::source::Sources;

/// The rules and the grants of a policy, each as JSON.
pub struct Described {
    rules: Vec<String>,
    grants: Vec<String>,
}

/// The texts of rules and grants in a module, as `kernel::document::Reasons` reads them.
pub struct Reasons {
    /// The numbers, and the end of each text.
    pub words: Vec<u32>,
    /// The texts.
    pub text: Vec<u8>,
}

/// Describes the rules and grants of a policy.
pub fn describe(policy: &Policy, sources: &Sources) -> Described {
    let rules = policy.numbered().map(|(at, rule)| {
        let span = rule.origin.span;
        let mut value = json!({
            "id": at.index(),
            "action": match rule.action {
                Action::Allow => "allow",
                Action::Deny => "deny",
                Action::Isolate => "default deny",
            },
            "path": sources.file(span.file).path,
            "line": sources.line(span),
            "rule": rule_text(sources, &rule.origin),
        });
        if let Some(&applied) = rule.origin.applied().first() {
            value["applied"] = json!({ "path": sources.file(applied.file).path, "line": sources.line(applied) });
        }
        if let Some(via) = rule.via.as_deref().filter(|via| rule.ingress && !via.at.is_empty()) {
            value["at"] = via.at.iter().map(|host| json!(host.to_string())).collect();
        }
        attribute(&mut value, &rule.origin);
        value
    });
    let grants = (0..).zip(&policy.grants).map(|(at, grant): (usize, _)| {
        json!({
            "id": at,
            "direction": grant.direction.word(),
            "reason": match grant.reason {
                GrantReason::Dns => "dns",
                GrantReason::Istiod => "istiod",
                GrantReason::Gateway => "gateway",
                GrantReason::Keys => "keys",
            },
            "because": grant.because.first().map(|rule| rule.index()),
        })
    });
    let text = |value: Value| value.to_string();
    Described { rules: rules.map(text).collect(), grants: grants.map(text).collect() }
}

impl Described {
    /// Returns `policy.rules.json`, in which each rule and grant is a line.
    pub fn file(&self, audit: bool) -> String {
        let lines = |list: &[String]| list.iter().map(|one| format!("\n{one}")).collect::<Vec<_>>().join(",");
        let (rules, grants) = (lines(&self.rules), lines(&self.grants));
        format!("{{\n\"abi\": {ABI},\n\"audit\": {audit},\n\"rules\": [{rules}],\n\"grants\": [{grants}]\n}}\n")
    }

    /// Returns the texts of rules and grants for a module that answers in JSON.
    pub fn reasons(&self) -> Reasons {
        let pieces = || self.rules.iter().chain(&self.grants);
        let longest = pieces().map(String::len).max().unwrap_or_default();
        let mut words = vec![self.rules.len() as u32, pieces().count() as u32, longest as u32];
        let mut text = Vec::new();
        for piece in pieces() {
            text.extend_from_slice(piece.as_bytes());
            words.push(text.len() as u32);
        }
        Reasons { words, text }
    }
}
