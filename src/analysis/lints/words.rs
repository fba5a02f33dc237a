//! The messages of the lints, each with the edit that removes the sentence if this changes nothing.

use crate::diag::{Code, Diagnostic, Edit};
use crate::model::rules::{Action, Rule, RuleId};
use crate::policy::Policy;
use crate::source::{Sources, Span};

/// The lint for a rule. A sentence with several rules gets the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    /// An allow that leads past a `default deny` to the metadata address.
    Unguarded { cause: RuleId },
    /// A deny that forbids nothing.
    Idle { cause: Option<RuleId> },
    /// A rule that others contain.
    Contained { wider: Option<RuleId> },
    /// An allow whose other end refuses all its flows; `may_go` says whether it has no other effect.
    Closed { cause: Option<RuleId>, may_go: bool },
    /// An allow that a deny beats.
    Denied { cause: Option<RuleId>, may_go: bool },
}

pub(super) fn diagnostic(policy: &Policy, sources: &Sources, rule: &Rule, said: &Said) -> Diagnostic {
    let span = rule.origin.span;
    let labelled = |diagnostic: Diagnostic, cause: Option<RuleId>, text: &dyn Fn(&Rule) -> String| match cause
        .and_then(|id| policy.rule(id))
        .filter(|other| other.origin.span != span)
    {
        Some(other) => diagnostic.label(other.origin.place(), text(other)),
        None => diagnostic,
    };
    let remove = |diagnostic: Diagnostic, may_go: bool| match removal(sources, rule).filter(|_| may_go) {
        Some(edit) => diagnostic.fix_all("remove it", vec![edit]),
        None => diagnostic,
    };
    match *said {
        Said::Contained { wider } => remove(labelled(contained(rule, wider), wider, &|_| contains(rule)), true),
        Said::Denied { cause, may_go } => {
            let diagnostic = Diagnostic::new(Code::UnusableAllow, span, "no flow can use this: it is denied")
                .at("a deny beats every allow");
            let diagnostic = labelled(diagnostic, cause, &|_| "denied here".into());
            remove(still_isolates(diagnostic, may_go), may_go)
        }
        Said::Closed { cause, may_go } => {
            let word = if rule.egress { "on their way in" } else { "on their way out" };
            let diagnostic =
                Diagnostic::new(Code::UnusableAllow, span, "no flow can use this: its other end is closed")
                    .at("an allow opens the end that it governs, and no other");
            let diagnostic = labelled(diagnostic, cause, &|other| match other.action {
                Action::Deny => format!("denied here, {word}"),
                _ => format!("these pods are isolated here, {word}"),
            });
            remove(still_isolates(diagnostic, may_go), may_go).note_opt(for_both_ends(sources, rule))
        }
        Said::Idle { cause } => {
            let diagnostic = Diagnostic::new(Code::IdleDeny, span, "this denies nothing")
                .at("no flow of these would pass without it");
            let diagnostic = labelled(diagnostic, cause, &|_| "what is isolated here is closed already".into());
            let through = |other: &&Rule| {
                let overlaps = |own: &Rule, other: &Rule| {
                    let pods = |rule: &Rule| {
                        rule.destination.pods().map(|(_, pods)| pods.selector.clone()).collect::<Vec<_>>()
                    };
                    pods(own).iter().any(|own| pods(other).iter().any(|other| own.overlaps(other)))
                };
                other.action == Action::Allow && other.ingress && other.via.is_some() && overlaps(rule, other)
            };
            let behind = rule.ingress.then(|| policy.rules.iter().find(through)).flatten();
            let behind = behind.and_then(|other| other.via.as_ref()).map(|via| {
                format!(
                    "clients who come through `{}` are not meant: the rule with `via` says who they are",
                    via.gateway.name
                )
            });
            diagnostic
                .note("it counts once somebody allows one of them; if that is why it is here, it can stay")
                .note_opt(behind)
        }
        Said::Unguarded { cause } => {
            let message = "this lets pods reach the metadata address past a `default deny`";
            let diagnostic =
                Diagnostic::new(Code::MetadataReachable, span, message).at("169.254.169.254 is among these addresses");
            labelled(diagnostic, Some(cause), &|_| "these pods are isolated here".into())
                .note("clouds serve a machine's credentials there; take it out with `except`")
        }
    }
}

fn contained(rule: &Rule, wider: Option<RuleId>) -> Diagnostic {
    let span = rule.origin.span;
    match rule.action {
        Action::Allow => {
            let message = match wider {
                Some(_) => "a wider allow makes this one redundant",
                None => "other allows together make this one redundant",
            };
            Diagnostic::new(Code::RedundantAllow, span, message)
                .at("it lets nothing more through")
                .note("remove this one or, if it was meant to narrow, the wider one")
        }
        Action::Deny | Action::Isolate => {
            let word = if rule.action == Action::Deny { "deny" } else { "default deny" };
            let message = match wider {
                Some(_) => format!("another `{word}` makes this one redundant"),
                None => format!("other rules together make this `{word}` redundant"),
            };
            Diagnostic::new(Code::RedundantDeny, span, message).at("it closes nothing more")
        }
    }
}

fn contains(rule: &Rule) -> String {
    match rule.action {
        Action::Allow if rule.conditions.is_none() => "this lets all of it through".into(),
        Action::Allow => "this lets all of it through, without the conditions".into(),
        Action::Deny => "this denies all of it".into(),
        Action::Isolate => "this isolates all of these pods".into(),
    }
}

/// Returns the sentence that opens both ends, if no name stands for one of its endpoints.
fn for_both_ends(sources: &Sources, rule: &Rule) -> Option<String> {
    let span = rule.origin.span;
    let mut members = rule.source.members.iter().chain(&rule.destination.members);
    let direction = if rule.egress { "egress " } else { "ingress " };
    let text = sources.slice(span).replacen(direction, "", 1).split_whitespace().collect::<Vec<_>>().join(" ");
    members.all(|member| span.contains(member.span)).then(|| format!("to open both ends: `{text}`"))
}

fn still_isolates(diagnostic: Diagnostic, may_go: bool) -> Diagnostic {
    match may_go {
        true => diagnostic,
        false => diagnostic.note("it still isolates its pods; `default deny` says that more plainly"),
    }
}

/// Returns the edit that removes a sentence, with its line if nothing else is on it; `None` if the sentence has an
/// annotation or documentation.
fn removal(sources: &Sources, rule: &Rule) -> Option<Edit> {
    let span = rule.origin.span;
    let text = &sources.file(span.file).text;
    let (start, end) = (span.start as usize, span.end as usize);
    let before = text.get(..start)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let comment = |line: &&str| line.is_empty() || line.starts_with('#') && !line.starts_with("##");
    let above = before.get(..line_start)?.lines().rev().map(str::trim).find(|line| !comment(line));
    let belongs = above.is_some_and(|line| line.starts_with('@') || line.starts_with("##"));
    if belongs || !before.get(line_start..)?.trim().is_empty() {
        return None;
    }
    let after = text.get(end..)?;
    let rest = after.find('\n').map_or(after, |at| &after[..at]);
    let span = match rest.trim().is_empty() {
        true => Span::new(span.file, line_start, (end + rest.len() + 1).min(text.len())),
        false => span,
    };
    Some(Edit { span, text: String::new() })
}
