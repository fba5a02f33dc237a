//! The messages about differences.

use super::row::{Difference, Kind};
use crate::diag::{Code, Diagnostic};
use crate::model::endpoint::What;
use crate::model::rules::{Direction, RuleId};
use crate::policy::meaning::in_words;
use crate::policy::provenance::sentence;
use crate::policy::{Cause, Policy, eval};
use crate::source::Sources;
use crate::targets::Made;

/// The request to report the mistake.
const REPORT: &str = "this is a mistake of netpol, and nothing is written: please report it together with these rules";

/// The most keys and rules that are named.
const MOST: usize = 8;

/// Returns the message for text that cannot be read back.
pub(super) fn unreadable(made: &Made<'_>, policy: &Policy, first: RuleId, why: &str) -> Diagnostic {
    let message = format!("what was made for {} cannot be read back: {why}", made.layer.word());
    Diagnostic::new(Code::Miscompiled, policy.rules[first.index()].origin.span, message).note(REPORT)
}

/// Returns the message for a flow that the objects decide wrongly.
pub(super) fn differing(policy: &Policy, sources: &Sources, made: &Made<'_>, difference: &Difference) -> Diagnostic {
    let Difference { kind, direction, flow, rules } = difference;
    let (layer, shown) = (made.layer.word(), in_words(flow));
    let message = match kind {
        Kind::TextWider => format!("the objects of {layer} let through what they were not made for: {shown}"),
        Kind::TextNarrower => format!("the objects of {layer} refuse what they were made for: {shown}"),
        Kind::Narrower => format!("{layer} refuses what the rules allow: {shown}"),
        Kind::Together => {
            format!("all layers together let through what the rules deny, and no message says so: {shown}")
        }
        Kind::Wider => format!("{layer} lets through what the rules deny, and no message says so: {shown}"),
    };
    let end = eval(policy, flow).ends.into_iter().find(|end| end.direction == *direction);
    let decided = end.and_then(|end| match end.cause {
        Cause::Denied(rule) | Cause::Allowed(rule) | Cause::NoneMatches { isolated_by: rule, .. } => Some(rule),
        Cause::Granted(grant) => policy.grant(grant).and_then(|grant| grant.because.first().copied()),
        Cause::NoPod | Cause::Itself | Cause::NotIsolated => None,
    });
    let rule = decided.or_else(|| rules.first().copied()).or_else(|| made.ends.first().map(|(at, _)| *at));
    let rule = &policy.rules[rule.unwrap_or(RuleId::new(0)).index()];
    let words = sentence(sources, true, "", &rule.origin);
    Diagnostic::new(Code::Miscompiled, rule.origin.span, message)
        .at(format!("at the {} end", direction.end_word()))
        .note(format!("the rule that decides it: {words}"))
        .note(REPORT)
}

/// Returns the message for a row whose sets are too large to compare.
pub(super) fn too_large(
    policy: &Policy,
    made: &Made<'_>,
    direction: Direction,
    namespace: Option<&str>,
    rules: &[RuleId],
) -> Option<Diagnostic> {
    let mut keys: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let own: Vec<_> = rules.iter().map(|at| &policy.rules[at.index()]).collect();
    for member in own.iter().flat_map(|rule| rule.source.members.iter().chain(&rule.destination.members)) {
        if let What::Pods(pods) = &member.what {
            let labels = pods.selector.labels.list().iter();
            labels.for_each(|one| *keys.entry(one.key.as_str()).or_default() += 1);
        }
    }
    let mut keys: Vec<(&str, usize)> = keys.into_iter().collect();
    keys.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let more = keys.len().saturating_sub(MOST);
    let mut named: Vec<String> = keys.iter().take(MOST).map(|(key, _)| format!("`{key}`")).collect();
    named.extend((more > 0).then(|| format!("and {more} more")));
    let layer = made.layer.word();
    let pods = namespace.map_or("every namespace".to_owned(), |name| format!("namespace {name}"));
    let message = format!("what {layer} says of the {} of {pods} is not checked against the rules", direction.word());
    let mut finding = Diagnostic::new(Code::Unchecked, own.first()?.origin.span, message)
        .at(format!("this rule and {} more overlap in too many labels", own.len().saturating_sub(1)));
    for rule in own.iter().skip(1).take(2) {
        finding = finding.label(rule.origin.span, "one of them");
    }
    Some(finding.note(format!("the labels: {}", named.join(", "))).note(
        "to compare all sets of such labels would take too long; rules by one or two labels each are always compared",
    ))
}
