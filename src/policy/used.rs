//! Which rules a flow meets, whether they decide it or not.

use super::Policy;
use super::eval::{Cause, Verdict, arrived, governs_pod, grants, matches, matches_in_part};
use super::flow::{Flow, Party, Pod};
use super::through::publishes;
use crate::model::rules::{Action, Direction, Rule, RuleId};

/// Returns the rules that a flow meets: allows and denies that match it at an end where they govern the pod, those of
/// the grants that let it through, and every `default deny` of its pods.
///
/// ```text
/// allow egress garden/* -> zenquotes.io:443      garden/web -> zenquotes.io:443 meets both
/// allow egress garden/web -> zenquotes.io        and only one of them decides
/// ```
pub fn met(policy: &Policy, flow: &Flow, verdict: &Verdict) -> Vec<RuleId> {
    let flow = arrived(policy, flow);
    let mut all = Vec::new();
    for end in verdict.ends {
        let party = if end.direction == Direction::Egress { &flow.source } else { &flow.destination };
        let Party::Pod(pod) = party else { continue };
        let meets = policy.rules_concerning(pod).filter(|(_, rule)| {
            publishes(rule, &flow, pod, end.direction) == Some(true)
                || governs_pod(rule, end.direction, pod)
                    && (rule.action == Action::Isolate || matches_in_part(policy, rule, &flow))
        });
        all.extend(meets.map(|(at, _)| at));
        if let Cause::Granted(grant) = end.cause {
            all.extend(policy.grant(grant).into_iter().flat_map(|grant| grant.because.iter().copied()));
        }
    }
    all
}

/// Returns whether a rule isolates a pod in a direction.
pub fn isolates(policy: &Policy, pod: &Pod, direction: Direction) -> bool {
    let mut rules = policy.rules_concerning(pod);
    rules.any(|(_, rule)| rule.action != Action::Deny && governs_pod(rule, direction, pod))
}

/// Returns the rules that let a flow through at an end, each by itself, if no deny matches: allows that match, and the
/// rules that a matching grant was made for.
pub fn openers(policy: &Policy, flow: &Flow, direction: Direction) -> Vec<RuleId> {
    let flow = arrived(policy, flow);
    let Party::Pod(pod) = (if direction == Direction::Egress { &flow.source } else { &flow.destination }) else {
        return Vec::new();
    };
    let opens = |rule: &Rule| {
        rule.action == Action::Allow
            && (publishes(rule, &flow, pod, direction) == Some(true)
                || governs_pod(rule, direction, pod) && matches(policy, rule, &flow))
    };
    let mut all: Vec<RuleId> = policy.rules_concerning(pod).filter(|(_, rule)| opens(rule)).map(|(at, _)| at).collect();
    let opening = policy.grants_concerning(pod).filter(|(_, grant)| grants(policy, grant, &flow, direction));
    all.extend(opening.flat_map(|(_, grant)| grant.because.iter().copied()));
    all
}
