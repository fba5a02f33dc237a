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

use serde_json::Value as Json;
use smol_str::SmolStr;

use super::flow::{Flow, Party, Pod, Request};
use super::through::{self, publishes};
use super::{Grant, GrantReason, Policy};
use crate::model::addresses::AddressSet;
use crate::model::conditions::{ClaimName, Conditions, Jwt, PathPattern};
use crate::model::endpoint::{Endpoint, What};
use crate::model::labels::NAMESPACE_NAME;
use crate::model::paths::normalize;
use crate::model::ports::{AppProtocol, Ports};
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

/// How far an endpoint of a rule matches one end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    No,
    /// The endpoint contains some of the addresses that the host may have, but not all.
    Partly,
    Yes,
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

/// Returns how far an endpoint matches a party; as a destination, on the flow's port.
pub(super) fn contains(endpoint: &Endpoint, party: &Party, destination: Option<&Flow>) -> Match {
    how_far(endpoint, party, destination, false)
}

/// Returns how far an endpoint matches a party. In a deny, a host also matches everything at its addresses.
fn how_far(endpoint: &Endpoint, party: &Party, destination: Option<&Flow>, deny: bool) -> Match {
    let mut best = Match::No;
    // Members that each contain some of a host's addresses, such as IPv4 and IPv6, may together contain all.
    let mut places = AddressSet::default();
    for member in &endpoint.members {
        if destination.is_some_and(|flow| !port_fits(&member.ports, flow)) {
            continue;
        }
        best = best.max(holds_what(&member.what, party, deny));
        if let Party::Host { .. } = party {
            places.blocks.extend(places_of(&member.what, deny).blocks);
        }
    }
    match party {
        Party::Host { at, .. } if best == Match::Partly && at.is_inside(&places) => Match::Yes,
        _ => best,
    }
}

fn holds_what(what: &What, party: &Party, deny: bool) -> Match {
    match (what, party) {
        (What::Pods(pods), Party::Pod(pod)) => {
            yes(pods.selector.matches(&pod.namespace_labels, &pod.labels, &pod.account))
        }
        (What::Addresses(set), Party::Address(address)) => yes(set.contains(*address)),
        (What::Host(host), Party::Address(address)) => yes(host.at.iter().any(|at| at.net.contains(address))),
        (What::Host(host), Party::Host { name, .. }) if host.matches(name) => Match::Yes,
        (what, Party::Host { at, .. }) => {
            let places = places_of(what, deny);
            if !at.overlaps(&places) {
                Match::No
            } else if at.is_inside(&places) {
                Match::Yes
            } else {
                Match::Partly
            }
        }
        _ => Match::No,
    }
}

/// Returns the addresses that a member contains for every host. A deny of a host denies its addresses, while an allow
/// of one allows only its own name.
fn places_of(what: &What, deny: bool) -> AddressSet {
    match what {
        What::Addresses(set) => set.clone(),
        What::Host(host) if deny => host.addresses(),
        What::Host(_) | What::Pods(_) => AddressSet::default(),
    }
}

fn yes(matches: bool) -> Match {
    if matches { Match::Yes } else { Match::No }
}

pub(super) fn port_fits(ports: &Ports, flow: &Flow) -> bool {
    ports.matches(flow.port, flow.protocol, &port_names(flow))
}

/// Returns the names that the destination pod gives the port.
fn port_names(flow: &Flow) -> Vec<SmolStr> {
    match &flow.destination {
        Party::Pod(pod) => pod
            .ports
            .iter()
            .filter(|port| Some(port.port) == flow.port && port.protocol == flow.protocol)
            .filter_map(|port| port.name.clone())
            .collect(),
        _ => Vec::new(),
    }
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

/// Returns how a rule's destination reads the port of a flow: as TLS (the name is the SNI) or as HTTP (the name is the
/// host).
pub(super) fn read_as(endpoint: &Endpoint, flow: &Flow) -> Option<AppProtocol> {
    let names = port_names(flow);
    let holding =
        endpoint.members.iter().filter(|member| holds_what(&member.what, &flow.destination, false) > Match::No);
    let mut entries = holding.flat_map(|member| member.ports.entries());
    entries.find(|entry| entry.matches(flow.port, flow.protocol, &names))?.app
}

/// Returns whether a flow meets the conditions of `where`. An unknown part of a request meets no condition.
pub(super) fn conditions_match(conditions: &Conditions, flow: &Flow, read: Option<AppProtocol>) -> bool {
    conditions_meet(conditions, flow, read, false)
}

/// Returns whether a path meets the conditions. Paths that a rule refuses (of a deny, or after `except` in an allow)
/// are compared in every spelling; paths that it lets through, as they are written.
fn path_fits(conditions: &Conditions, path: &str, deny: bool) -> bool {
    let written = |pattern: &PathPattern| pattern.matches(path);
    let spelled = |pattern: &PathPattern| pattern.matches_any_spelling(path);
    match deny {
        false => conditions.paths.iter().any(written) && !conditions.not_paths.iter().any(spelled),
        true => conditions.paths.iter().any(spelled) && !conditions.not_paths.iter().any(written),
    }
}

fn conditions_meet(conditions: &Conditions, flow: &Flow, read: Option<AppProtocol>, deny: bool) -> bool {
    let request = &flow.request;
    // A flow to a host outside asks for that host, unless the request gives another name.
    let host = request.name(read).or(match &flow.destination {
        Party::Host { name, .. } => Some(name),
        _ => None,
    });
    (conditions.methods.is_empty() || request.method.as_ref().is_some_and(|method| conditions.methods.contains(method)))
        && (conditions.paths.is_empty() || request.path.as_ref().is_some_and(|path| path_fits(conditions, path, deny)))
        && conditions.headers.iter().all(|header| {
            request.header(&header.name).is_some_and(|value| header.values.iter().any(|wanted| wanted == value))
        })
        && (conditions.hosts.is_empty()
            || host.is_some_and(|host| conditions.hosts.iter().any(|pattern| pattern.matches(without_port(host)))))
        && conditions.jwt.as_ref().is_none_or(|jwt| request.jwt.as_ref().is_some_and(|claims| token_fits(jwt, claims)))
}

/// Returns a Host header's name without its port.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Returns whether a token has a claim with a value: alone, in a list, or as a word where the mesh divides the claim.
pub(super) fn has_claim(claims: &serde_json::Map<String, Json>, claim: &ClaimName, value: &str) -> bool {
    match nested(claims, &claim.0) {
        Some(Json::String(text)) if claim.is_split() => text.split(' ').any(|word| word == value),
        Some(Json::String(text)) => value == text,
        Some(Json::Array(items)) => items.iter().any(|item| item.as_str() == Some(value)),
        _ => false,
    }
}

fn token_fits(jwt: &Jwt, claims: &serde_json::Map<String, Json>) -> bool {
    let is = |claim: &ClaimName, wanted: &[SmolStr]| wanted.iter().any(|value| has_claim(claims, claim, value));
    is(&ClaimName::plain("iss"), std::slice::from_ref(&jwt.issuer.url))
        && (jwt.issuer.audiences.is_empty() || is(&ClaimName::plain("aud"), &jwt.issuer.audiences))
        && match claims.get("sub") {
            _ if jwt.subjects.is_empty() => true,
            Some(Json::String(text)) => jwt.subjects.iter().any(|subject| subject == text),
            _ => false,
        }
        && jwt.claims.iter().all(|(name, values)| is(name, values))
}

/// Returns the claim to which names lead, each name inside the claim before.
fn nested<'j>(claims: &'j serde_json::Map<String, Json>, names: &[SmolStr]) -> Option<&'j Json> {
    let (first, rest) = names.split_first()?;
    rest.iter().try_fold(claims.get(first.as_str())?, |claim, name| claim.as_object()?.get(name.as_str()))
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
