//! Remedies: the sentence that makes a false claim true.
//!
//! ```text
//! assert never garden/* -> 169.254.169.254     deny egress garden/* -> 169.254.169.254
//! assert always garden/* -> db/*:5432          allow egress garden/* -> db/*:5432, where nothing isolates db
//! ```
//!
//! The sentence has the claim's own words, so that it opens or closes exactly the claim's flows. It is an edit if the
//! claim's file contains rules, no other claim may forbid the sentence, and the rule has no other effect; otherwise it
//! is a note.

use std::sync::Arc;

use crate::diag::{Code, Diagnostic};
use crate::model::endpoint::{Endpoint, What};
use crate::model::rules::{Claim, ClaimKind, Direction, FlowPattern};
use crate::policy::meaning::Meaning;
use crate::policy::{GrantReason, Policy};
use crate::source::{Sources, Span};

/// Adds the sentence that makes a claim true, if there is one.
pub(super) fn repaired(
    policy: &Policy,
    meaning: &mut Meaning<'_>,
    claim: &Claim,
    diagnostic: Diagnostic,
    sources: &Sources,
) -> Diagnostic {
    let Some(remedy) = remedy(meaning, claim, sources) else { return diagnostic };
    let Remedy { sentence, isolates } = remedy;
    let diagnostic = diagnostic.note(match (claim.kind, isolates) {
        (ClaimKind::Never, _) => format!("to forbid it whatever others allow: `{sentence}`"),
        (ClaimKind::Always, false) => format!("to allow it: `{sentence}`"),
        (ClaimKind::Always, true) => {
            format!("to allow it: `{sentence}`, which isolates more pods than rules isolate now")
        }
    });
    let file = sources.file(claim.span.file);
    let is_scoped = file.text.lines().any(|line| line.trim_start().starts_with("scope "));
    let holds_rules = policy.rules.iter().any(|rule| rule.origin.place().file == claim.span.file);
    if diagnostic.code != Code::AssertionFails
        || !holds_rules
        || is_scoped
        || isolates
        || claim.kind == ClaimKind::Always && !is_enforceable(policy, claim)
        || meets_others(policy, meaning, claim)
    {
        return diagnostic;
    }
    diagnostic.fix(format!("add `{sentence}`"), end_of_line(sources, claim.span), format!("\n{sentence}"))
}

/// A sentence that makes a claim true.
struct Remedy {
    sentence: String,
    /// Whether it isolates pods that no rule isolates.
    isolates: bool,
}

fn remedy(meaning: &mut Meaning<'_>, claim: &Claim, sources: &Sources) -> Option<Remedy> {
    if !claim.applied.is_empty() {
        return None;
    }
    let written = sources.slice(claim.span).split_whitespace().collect::<Vec<_>>().join(" ");
    let words = match claim.kind {
        ClaimKind::Never => ["assert never ", "deny "],
        ClaimKind::Always => ["assert always ", "allow "],
    };
    let flows = words.iter().find_map(|word| written.strip_prefix(word))?;
    let FlowPattern { source, destination, conditions } = &claim.flows;
    if claim.kind == ClaimKind::Never {
        let direction = if source.is_workloads() { Direction::Egress } else { Direction::Ingress };
        let sentence = format!("deny {} {flows}", direction.word());
        return conditions.jwt.is_none().then_some(Remedy { sentence, isolates: false });
    }
    let lacking = meaning.lacking(&claim.flows).ok()??;
    let of = |direction, subject: &Endpoint| lacking.at(direction).then(|| subject.is_workloads());
    let direction = match (of(Direction::Egress, source), of(Direction::Ingress, destination)) {
        (Some(true), Some(true)) => "",
        (Some(true), None) => "egress ",
        (None, Some(true)) => "ingress ",
        _ => return None,
    };
    Some(Remedy { sentence: format!("allow {direction}{flows}"), isolates: lacking.isolates })
}

/// Returns whether some layer of the build can express a rule with the claim's words.
fn is_enforceable(policy: &Policy, claim: &Claim) -> bool {
    let FlowPattern { source, destination, conditions } = &claim.flows;
    let by_address = |endpoint: &Endpoint| {
        endpoint.members.iter().all(|member| match &member.what {
            What::Host(_) => false,
            What::Pods(pods) => pods.selector.account.is_any(),
            What::Addresses(_) => true,
        })
    };
    policy.has_istio() || conditions.is_none() && by_address(source) && by_address(destination)
}

/// Returns whether another assertion may forbid the remedy: its flows, or the DNS grant that comes with them.
fn meets_others(policy: &Policy, meaning: &mut Meaning<'_>, claim: &Claim) -> bool {
    let mut patterns = vec![claim.flows.clone()];
    let is_named = |what: &What| !matches!(what, What::Addresses(_));
    let resolves = claim.flows.destination.members.iter().any(|member| is_named(&member.what));
    let mut is_unknown = false;
    if claim.kind == ClaimKind::Always && resolves {
        let dns = policy.grants.iter().find(|grant| grant.reason == GrantReason::Dns);
        is_unknown = dns.is_none();
        patterns.extend(dns.map(|grant| FlowPattern {
            source: Arc::clone(&claim.flows.source),
            destination: Arc::clone(&grant.destination),
            conditions: Arc::default(),
        }));
    }
    let mut others = policy.assertions.iter().filter(|other| other.kind != claim.kind);
    others.any(|other| {
        is_unknown || other.via.is_some() || patterns.iter().any(|one| meaning.may_meet(one, &other.flows))
    })
}

fn end_of_line(sources: &Sources, span: Span) -> Span {
    let rest = sources.file(span.file).text.get(span.end as usize..).unwrap_or_default();
    let end = span.end + rest.find('\n').unwrap_or(rest.len()) as u32;
    Span { start: end, end, ..span }
}
