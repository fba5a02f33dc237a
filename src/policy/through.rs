//! The evaluator's part for `via` on ingress: what a gateway lets in, and what it passes on.
//!
//! ```text
//! allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at "garden.example.com"
//!     203.0.113.8 -> the pods of edge, for garden.example.com     let in
//!     the pods of edge -> garden/web:8080, for that host          passed on
//! ```
//!
//! A client comes to the gateway and asks for a name. On a port that terminates TLS, or without TLS, this is the HTTP
//! host; on a port that passes TLS on unread, it is the TLS name (SNI). On other ports the client asks for no name, and
//! the port number decides where the gateway leads. The workload sees the gateway, and the whole request unless it is
//! inside TLS.

use smol_str::SmolStr;

use super::Policy;
use super::flow::{Flow, Party, Pod};
use super::matching::{Match, conditions_match, contains, port_fits, without_port};
use crate::model::endpoint::{Endpoint, What};
use crate::model::gateways::{Gateway, Via};
use crate::model::hosts::HostName;
use crate::model::ports::{AppProtocol, PortMatch, Ports, Protocol};
use crate::model::rules::{Direction, Rule};

/// Returns whether a rule with `via` on ingress lets a flow in at its gateway, for one of its public hosts or on its
/// port without names; `None` for a flow that the rule does not concern.
pub(super) fn publishes(rule: &Rule, flow: &Flow, pod: &Pod, direction: Direction) -> Option<bool> {
    let via = rule.via.as_ref().filter(|_| rule.ingress && direction == Direction::Ingress)?;
    if flow.protocol != Protocol::Tcp || !has_pod(&via.gateway, pod) {
        return None;
    }
    let client = || contains(&rule.source, &flow.source, None) == Match::Yes;
    if via.at.is_empty() {
        return flow.port.is_some_and(|port| via.ports.contains(&port)).then(client);
    }
    let mut ports = via.gateway.ports.iter();
    let port = ports.find(|port| Some(port.target) == flow.port && port.protocol == Protocol::Tcp)?;
    let asks_for = |name: Option<HostName>| name.filter(|name| via.serves(&name.name));
    if asks_for(tls_name(flow)).is_some_and(|name| port.names(&name).sni) {
        // The gateway passes unread TLS on to ports that are TLS.
        let tls = |port: &PortMatch| port.app == Some(AppProtocol::Tls);
        let takes_tls = rule.destination.members.iter().any(|member| member.ports.entries().iter().any(tls));
        return Some(takes_tls && client() && conditions_match(&rule.conditions, flow, Some(AppProtocol::Tls)));
    }
    let passed = tls_name(flow).is_some_and(|name| port.names(&name).sni);
    let read = |name: HostName| !passed && (port.has_requests() || port.names(&name).unknown);
    let asked = asks_for(http_host(flow)).is_some_and(read);
    asked.then(|| client() && conditions_match(&rule.conditions, flow, Some(AppProtocol::Http)))
}

/// Returns whether a flow is one that the gateway of a rule passes on to its workload, for one of the rule's public
/// hosts and for one of its clients, as far as these are known.
pub(super) fn passes_on(rule: &Rule, via: &Via, flow: &Flow) -> bool {
    let from_gateway = matches!(&flow.source, Party::Pod(pod) if has_pod(&via.gateway, pod));
    let of_rule = |client| contains(&rule.source, &Party::Address(client), None) == Match::Yes;
    // The TLS name that the client asked for cannot be seen behind the gateway; the gateway's routes decide.
    let asked = || {
        via.at.is_empty()
            || reads_tls(&rule.destination, flow)
            || http_host(flow).is_some_and(|host| via.serves(&host.name))
    };
    from_gateway && flow.request.client.is_none_or(of_rule) && asked()
}

/// Returns whether a flow comes to a gateway that passes its TLS on unread, by the name that it asks for.
pub(super) fn is_passed_through(policy: &Policy, flow: &Flow) -> bool {
    let Party::Pod(pod) = &flow.destination else { return false };
    let gateways = policy.gateways.iter().filter(|gateway| has_pod(gateway, pod));
    let mut ports = gateways.flat_map(|gateway| &gateway.ports).filter(|port| Some(port.target) == flow.port);
    ports.any(|port| tls_name(flow).is_some_and(|name| port.names(&name).sni))
}

/// Returns whether a flow asks a gateway for one of the hosts of a rule with `via` on egress. If its TLS name is
/// unknown, it may.
pub(super) fn asks_for_destination(rule: &Rule, flow: &Flow) -> bool {
    let Some(name) = &flow.request.tls else { return true };
    rule.destination.members.iter().any(|member| matches!(&member.what, What::Host(host) if host.matches(name)))
}

fn has_pod(gateway: &Gateway, pod: &Pod) -> bool {
    gateway.pods.iter().any(|pods| pods.matches(&pod.namespace_labels, &pod.labels, &pod.account))
}

/// Returns whether a destination reads the flow's port as TLS.
fn reads_tls(destination: &Endpoint, flow: &Flow) -> bool {
    let mut entries = destination.members.iter().flat_map(|member| member.ports.entries());
    entries.any(|entry| entry.app == Some(AppProtocol::Tls) && port_fits(&Ports::Some(vec![entry.clone()]), flow))
}

/// Returns the host that a request asks for: its HTTP host, else its TLS name.
fn http_host(flow: &Flow) -> Option<HostName> {
    flow.request.host.as_ref().or(flow.request.tls.as_ref()).and_then(named)
}

/// Returns the TLS name that a flow asks for, else its HTTP host.
fn tls_name(flow: &Flow) -> Option<HostName> {
    flow.request.tls.as_ref().or(flow.request.host.as_ref()).and_then(named)
}

/// Returns a host's name in the form that is compared: in lower case, without port and final dot; `None` if it is no
/// name.
pub(super) fn named(name: &SmolStr) -> Option<HostName> {
    let name = without_port(name);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (!name.is_empty()).then(|| HostName { wildcard: false, name: name.into() })
}
