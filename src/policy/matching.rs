//! How far the parts of a rule match a flow: its endpoints, its ports, and its conditions.
//!
//! ```text
//! host db.corp.internal at {10.0.0.0/24, 10.0.1.0/24}      10.0.1.7: yes     db.corp.internal at 10.0.1.7: yes
//! 10.0.0.0/24                                              db.corp.internal, which may have both blocks: partly
//! ```

use serde_json::Value as Json;
use smol_str::SmolStr;

use super::flow::{Flow, Party};
use crate::model::addresses::AddressSet;
use crate::model::conditions::{ClaimName, Conditions, Jwt, PathPattern};
use crate::model::endpoint::{Endpoint, What};
use crate::model::ports::{AppProtocol, Ports};

/// How far an endpoint of a rule matches one end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    No,
    /// The endpoint contains some of the addresses that the host may have, but not all.
    Partly,
    Yes,
}

/// Returns how far an endpoint matches a party; as a destination, on the flow's port.
pub(super) fn contains(endpoint: &Endpoint, party: &Party, destination: Option<&Flow>) -> Match {
    how_far(endpoint, party, destination, false)
}

/// Returns how far an endpoint matches a party. In a deny, a host also matches everything at its addresses.
pub(super) fn how_far(endpoint: &Endpoint, party: &Party, destination: Option<&Flow>, deny: bool) -> Match {
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
pub(super) fn places_of(what: &What, deny: bool) -> AddressSet {
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

pub(super) fn conditions_meet(conditions: &Conditions, flow: &Flow, read: Option<AppProtocol>, deny: bool) -> bool {
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
