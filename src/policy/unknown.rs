//! Unknown parts of a request: a rule has a condition on them, and the question does not give them.
//!
//! `allow ingress web/* -> api/*:8080/http where method GET` lets no request with an unknown method through, so the
//! answer says that it depends on the method.

use std::sync::Arc;

use super::Policy;
use super::eval::{End, governs_pod, matches};
use super::flow::{Flow, Party};
use super::matching::read_as;
use crate::model::conditions::Conditions;
use crate::model::ports::AppProtocol;
use crate::model::rules::{Action, Rule, RuleId};

/// A rule that would decide otherwise, if parts of the request were known and met its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The rule.
    pub rule: RuleId,
    /// The parts: `method`, `path`, `header`, `host`, `tls`, `jwt`.
    pub parts: Vec<&'static str>,
}

/// Returns the first rule that could change the decision at one end, and the unknown parts that it has conditions on.
pub fn unknown(policy: &Policy, flow: &Flow, end: &End) -> Option<Unknown> {
    let turns = if end.allows() { Action::Deny } else { Action::Allow };
    let party = if end.direction == crate::model::rules::Direction::Egress { &flow.source } else { &flow.destination };
    let Party::Pod(pod) = party else { return None };
    policy.rules_concerning(pod).find_map(|(at, rule)| {
        if rule.action != turns || rule.conditions.is_none() || !governs_pod(rule, end.direction, pod) {
            return None;
        }
        let (known, parts) = known(rule, flow);
        if parts.is_empty() {
            return None;
        }
        let rest = Rule { conditions: Arc::new(known), ..rule.clone() };
        matches(policy, &rest, flow).then_some(Unknown { rule: at, parts })
    })
}

/// Returns the conditions of a rule that can be judged, and the unknown parts that its other conditions are about.
fn known(rule: &Rule, flow: &Flow) -> (Conditions, Vec<&'static str>) {
    let (mut known, mut parts) = (Conditions::clone(&rule.conditions), Vec::new());
    let request = &flow.request;
    if !known.methods.is_empty() && request.method.is_none() {
        known.methods.clear();
        parts.push("method");
    }
    if !known.paths.is_empty() && request.path.is_none() {
        known.paths.clear();
        known.not_paths.clear();
        parts.push("path");
    }
    let headers = known.headers.len();
    known.headers.retain(|header| request.header(&header.name).is_some());
    if known.headers.len() < headers {
        parts.push("header");
    }
    let read = read_as(&rule.destination, flow);
    if !known.hosts.is_empty() && request.name(read).is_none() && !matches!(flow.destination, Party::Host { .. }) {
        known.hosts.clear();
        parts.push(if read == Some(AppProtocol::Tls) { "tls" } else { "host" });
    }
    if known.jwt.is_some() && request.jwt.is_none() {
        known.jwt = None;
        parts.push("jwt");
    }
    (known, parts)
}
