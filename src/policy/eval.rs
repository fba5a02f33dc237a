//! The reference evaluator: decides one concrete flow by looking at every rule that may govern its pods. It is written
//! for clarity, and everything else is compared with it.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443
//!     garden/web -> zenquotes.io:443     allowed by this rule
//!     garden/web -> zenquotes.io:80      denied: the rule isolates garden/web, and no rule allows this port
//! ```
//!
//! The evaluator is written from the essay at the head of [`crate::policy`], and shares no code with the targets.

use std::borrow::Cow;

use super::flow::{Flow, Party, Pod, Request};
use super::matching::{Match, conditions_meet, contains, how_far, places_of, port_fits, read_as};
use super::through::{self, publishes};
use super::{Grant, GrantReason, Policy};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::Endpoint;
use crate::model::labels::NAMESPACE_NAME;
use crate::model::paths::normalize;
use crate::model::ports::AppProtocol;
use crate::model::rules::{Action, Direction, GrantId, Rule, RuleId};

/// The cause of the decision at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// This end is no pod.
    NoPod,
    /// The source and the destination are one Pod.
    Itself,
    /// No rule isolates the pod in this direction.
    NotIsolated,
    /// This rule allows it.
    Allowed(RuleId),
    /// This grant allows it.
    Granted(GrantId),
    /// This rule forbids it.
    Denied(RuleId),
    /// The pod is isolated, and no rule allows it.
    NoneMatches {
        /// The first rule that isolates the pod.
        isolated_by: RuleId,
        /// The number of other rules that isolate it.
        others: u32,
        /// An allow of the same pod that nearly matches.
        nearest: Option<RuleId>,
    },
}

/// The decision at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Which end.
    pub direction: Direction,
    /// The cause of the decision.
    pub cause: Cause,
}

impl End {
    /// Returns whether this end lets the flow through.
    pub fn allows(&self) -> bool {
        !matches!(self.cause, Cause::Denied(_) | Cause::NoneMatches { .. })
    }
}

/// The decision on a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The egress end, then the ingress end.
    pub ends: [End; 2],
}

impl Verdict {
    /// Returns whether the flow is allowed: both ends let it through.
    pub fn allowed(&self) -> bool {
        self.ends.iter().all(End::allows)
    }
}

/// Decides a flow. Rules see the path of the request as the mesh's normalisation leaves it.
pub fn eval(policy: &Policy, flow: &Flow) -> Verdict {
    let flow = &*arrived(policy, flow);
    Verdict { ends: Direction::BOTH.map(|direction| End { direction, cause: judge(policy, flow, direction) }) }
}

/// Returns a flow with the path that the mesh's normalisation leaves: rules see this path.
pub(super) fn arrived<'f>(policy: &Policy, flow: &'f Flow) -> Cow<'f, Flow> {
    let Some(path) = &flow.request.path else { return Cow::Borrowed(flow) };
    let path = normalize(path, policy.settings.path_normalization);
    Cow::Owned(Flow { request: Request { path, ..flow.request.clone() }, ..flow.clone() })
}

fn judge(policy: &Policy, flow: &Flow, direction: Direction) -> Cause {
    let party = if direction == Direction::Egress { &flow.source } else { &flow.destination };
    let Party::Pod(pod) = party else { return Cause::NoPod };
    if matches!((&flow.source, &flow.destination), (Party::Pod(a), Party::Pod(b)) if a.single && a == b) {
        return Cause::Itself;
    }
    let mut isolating = 0;
    let mut isolated_by = None;
    let mut allowed = None;
    let (mut partly, mut partly_denied) = (Cover::default(), Cover::default());
    let mut nearest = None;
    let mut published = false;
    for (at, rule) in policy.rules_concerning(pod) {
        // A rule with `via` is judged at its gateway, apart from the rules that govern the gateway's pods.
        if let Some(fits) = publishes(rule, flow, pod, direction) {
            published = true;
            if fits {
                allowed = allowed.or(Some(at));
            }
        }
        if !governs_pod(rule, direction, pod) {
            continue;
        }
        match rule.action {
            Action::Deny => match matches_flow(policy, rule, flow) {
                Match::Yes => return Cause::Denied(at),
                Match::Partly => partly_denied.add(at, rule, flow),
                Match::No => {}
            },
            Action::Isolate | Action::Allow => {
                isolating += 1;
                isolated_by = isolated_by.or(Some(at));
                if rule.action == Action::Allow {
                    match matches_flow(policy, rule, flow) {
                        Match::Yes => allowed = allowed.or(Some(at)),
                        Match::Partly => partly.add(at, rule, flow),
                        Match::No => {
                            nearest = nearest.or(near(rule, flow, direction).then_some(at));
                        }
                    }
                }
            }
        }
    }
    if let Some(rule) = partly_denied.whole(flow) {
        return Cause::Denied(rule);
    }
    if let Some(rule) = allowed.or(partly.whole(flow)) {
        return Cause::Allowed(rule);
    }
    let Some(isolated_by) = isolated_by else {
        // A gateway that no rule isolates serves its other hosts to everyone, and this host only to clients that a rule
        // names.
        return match (published, first_publisher(policy, flow, pod, direction)) {
            (true, Some(rule)) => Cause::NoneMatches { isolated_by: rule, others: 0, nearest: None },
            _ => Cause::NotIsolated,
        };
    };
    if let Some((grant, _)) = policy.grants_concerning(pod).find(|(_, grant)| grants(policy, grant, flow, direction)) {
        return Cause::Granted(grant);
    }
    Cause::NoneMatches { isolated_by, others: isolating - 1, nearest }
}

/// Returns whether a rule governs a pod in a direction.
pub fn governs_pod(rule: &Rule, direction: Direction, pod: &Pod) -> bool {
    rule.governs(direction) && holds_pod(rule.subject(direction), pod)
}

/// Returns whether a rule matches a flow.
pub(super) fn matches(policy: &Policy, rule: &Rule, flow: &Flow) -> bool {
    matches_flow(policy, rule, flow) == Match::Yes
}

/// Returns whether a rule matches a flow for all the addresses that its host may have, or for some of them.
pub(super) fn matches_in_part(policy: &Policy, rule: &Rule, flow: &Flow) -> bool {
    matches_flow(policy, rule, flow) != Match::No
}

fn matches_flow(policy: &Policy, rule: &Rule, flow: &Flow) -> Match {
    let read = match through::is_passed_through(policy, flow) {
        true => Some(AppProtocol::Tls),
        false => read_as(&rule.destination, flow),
    };
    if !conditions_meet(&rule.conditions, flow, read, rule.action == Action::Deny) {
        return Match::No;
    }
    if let Some(via) = &rule.via
        && rule.ingress
    {
        let passed = through::passes_on(rule, via, flow);
        return if passed { contains(&rule.destination, &flow.destination, Some(flow)) } else { Match::No };
    }
    let deny = rule.action == Action::Deny;
    let source = how_far(&rule.source, &flow.source, None, deny);
    source.min(how_far(&rule.destination, &flow.destination, Some(flow), deny))
}

fn holds_pod(endpoint: &Endpoint, pod: &Pod) -> bool {
    endpoint.pods().any(|(_, pods)| pods.selector.matches(&pod.namespace_labels, &pod.labels, &pod.account))
}

/// The addresses of rules that each contain only some of the addresses that a host may have.
#[derive(Default)]
struct Cover {
    first: Option<RuleId>,
    set: AddressSet,
}

impl Cover {
    fn add(&mut self, at: RuleId, rule: &Rule, flow: &Flow) {
        self.first = self.first.or(Some(at));
        let deny = rule.action == Action::Deny;
        let members = match &flow.destination {
            Party::Host { .. } => &rule.destination.members,
            _ => &rule.source.members,
        };
        for member in members {
            if !matches!(flow.destination, Party::Host { .. }) || port_fits(&member.ports, flow) {
                self.set.blocks.extend(places_of(&member.what, deny).blocks);
            }
        }
    }

    /// Returns the first of these rules if together they contain every address that the host may have.
    fn whole(&self, flow: &Flow) -> Option<RuleId> {
        let at = match (&flow.source, &flow.destination) {
            (_, Party::Host { at, .. }) | (Party::Host { at, .. }, _) => at,
            _ => return None,
        };
        if at.is_inside(&self.set) { self.first } else { None }
    }
}

fn first_publisher(policy: &Policy, flow: &Flow, pod: &Pod, direction: Direction) -> Option<RuleId> {
    let mut rules = policy.rules_concerning(pod);
    rules.find(|(_, rule)| publishes(rule, flow, pod, direction).is_some()).map(|(at, _)| at)
}

/// Returns whether a grant lets a flow through at one end.
pub(super) fn grants(policy: &Policy, grant: &Grant, flow: &Flow, direction: Direction) -> bool {
    if grant.direction != direction
        || contains(&grant.source, &flow.source, None) != Match::Yes
        || contains(&grant.destination, &flow.destination, Some(flow)) != Match::Yes
    {
        return false;
    }
    match grant.reason {
        GrantReason::Istiod => matches!(&flow.source, Party::Pod(pod) if pod.sidecar),
        // A gateway's part of a rule opens only the hosts of that rule.
        GrantReason::Gateway => grant.because.iter().any(|at| {
            let Some(rule) = policy.rule(*at) else { return false };
            match &flow.destination {
                Party::Pod(pod) if rule.ingress && direction == Direction::Ingress => {
                    publishes(rule, flow, pod, direction) == Some(true)
                }
                Party::Pod(_) if rule.egress => through::asks_for_destination(rule, flow),
                _ => true,
            }
        }),
        _ => true,
    }
}

/// Returns whether a rule that does not match nearly matches: only the port or the conditions differ, or it is for
/// another pod of the same namespace.
fn near(rule: &Rule, flow: &Flow, direction: Direction) -> bool {
    let other = if direction == Direction::Egress { &flow.destination } else { &flow.source };
    if contains(rule.peer(direction), other, None) == Match::Yes {
        return true;
    }
    let Party::Pod(pod) = other else { return false };
    let Some(namespace) = pod.namespace_labels.get(NAMESPACE_NAME) else { return false };
    rule.peer(direction).pods().any(|(_, pods)| pods.selector.namespace_name() == Some(namespace))
}
