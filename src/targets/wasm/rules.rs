//! `policy.rules.json`: what the rules and grants are that a verdict names by their numbers.

use serde_json::{Value, json};

use super::kernel::layout::ABI;
use crate::model::rules::Action;
use crate::policy::provenance::{attribute, rule_text};
use crate::policy::{GrantReason, Policy};
use crate::source::Sources;

/// Describes the rules and grants of a policy, one a line.
pub fn describe(policy: &Policy, sources: &Sources, audit: bool) -> String {
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
    let (rules, grants) = (lines(rules), lines(grants));
    format!("{{\n\"abi\": {ABI},\n\"audit\": {audit},\n\"rules\": [{rules}],\n\"grants\": [{grants}]\n}}\n")
}

fn lines(values: impl Iterator<Item = Value>) -> String {
    let lines: Vec<String> = values.map(|value| format!("\n{value}")).collect();
    lines.join(",")
}
