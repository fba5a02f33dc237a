//! Connections that pass a gateway as before, because no rule names them.
//!
//! ```netpol
//! gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/https }
//! allow ingress 203.0.113.0/24 -> garden/{app=web}:80/http via edge at "garden.example"
//! ```
//!
//! ```yaml
//! - to:
//!     - operation:
//!         notHosts: [garden.example, "garden.example:*", garden.example., "garden.example.:*"]
//! - to:
//!     - operation:
//!         notPorts: ["8443"]
//! ```
//!
//! An ALLOW policy refuses everything that none of its rules matches. So beside the rules of gateway access, some rules
//! let everything else through: requests by their host, TLS that is passed on by its TLS name, and other ports by their
//! number. A rule on TLS names is never applied to a port that terminates TLS, because there a request may ask for
//! another host than its TLS did.

use std::collections::{BTreeMap, BTreeSet};

use super::at_gateway::{AtGateway, may_share_pods};
use crate::model::gateways::{Gateway, GatewayPort};
use crate::model::hosts::HostName;
use crate::model::ports::{AppProtocol, Protocol};
use crate::targets::istio::facts::Facts;
use crate::targets::istio::model::{AccessRule, Comment, Condition, Operation};
use crate::targets::istio::plan::operations::{SNI, host_patterns, not_sni};

/// How the connections of a port are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    /// By the host of requests (HTTP).
    Requests,
    /// By the TLS name (SNI).
    Unread,
    /// Unknown: no declaration says it.
    Unknown,
}

/// Returns the rules that let everything pass that no rule of the policy names. `all` are the gateways of the policy;
/// some of them may share pods.
pub fn others(facts: &Facts<'_>, at: &AtGateway, all: &[AtGateway]) -> Vec<AccessRule> {
    let same: Vec<&AtGateway> =
        all.iter().filter(|other| may_share_pods(&at.gateway.pods, &other.gateway.pods)).collect();
    let hosts: BTreeSet<&HostName> = same.iter().flat_map(|at| &at.hosts).collect();
    let exits: BTreeSet<&HostName> = same.iter().flat_map(|at| &at.exits).collect();
    let mut ports: BTreeSet<u16> = same.iter().flat_map(|at| &at.ports).copied().collect();
    if hosts.is_empty() && ports.is_empty() {
        let comment = Comment::Words("What leaves for other hosts passes as before.");
        return vec![AccessRule { comment, when: not_sni(exits.iter().copied()), ..AccessRule::default() }];
    }
    let mut rules = Vec::new();
    if !hosts.is_empty() {
        let declared = facts.policy.gateways.iter().filter(|other| may_share_pods(&at.gateway.pods, &other.pods));
        let declared: Vec<&Gateway> = declared.map(std::sync::Arc::as_ref).collect();
        let readings = readings(&declared);
        let having = |reading: Reading| -> Vec<u16> {
            readings.iter().filter(|(_, have)| **have == reading).map(|(port, _)| *port).collect()
        };
        if readings.values().any(|reading| *reading != Reading::Unread) {
            let patterns = hosts.iter().flat_map(|host| host_patterns(host, true, &[]).unwrap_or_default());
            rules.push(AccessRule {
                comment: Comment::Words("Requests for other hosts pass as before."),
                to: Some(Operation { not_hosts: patterns.collect(), ..Operation::default() }),
                when: not_sni(exits.iter().copied()),
                ..AccessRule::default()
            });
        }
        let named = || hosts.iter().chain(&exits).copied();
        let mut unread = having(Reading::Unread);
        unread.extend(having(Reading::Unknown));
        if !unread.is_empty() {
            unread.sort_unstable();
            rules.push(AccessRule {
                comment: Comment::Words("So does TLS for other names, where the gateway passes it on unread."),
                to: Some(Operation { ports: unread, ..Operation::default() }),
                when: not_sni(named()),
                ..AccessRule::default()
            });
        }
        rules.extend(passed_beside_requests(&declared, &readings, &named().collect::<Vec<_>>()));
        ports.extend(readings.keys());
    }
    rules.push(AccessRule {
        comment: Comment::Words("So do connections to other ports."),
        to: Some(Operation { not_ports: ports.into_iter().collect(), ..Operation::default() }),
        when: not_sni(exits.iter().copied()),
        ..AccessRule::default()
    });
    rules
}

/// Returns how each port with names is judged, over all blocks that declare it: by requests if one of them says so.
fn readings(declared: &[&Gateway]) -> BTreeMap<u16, Reading> {
    let mut readings: BTreeMap<u16, Reading> = BTreeMap::new();
    let tcp = |port: &&GatewayPort| port.protocol == Protocol::Tcp;
    for port in declared.iter().flat_map(|gateway| &gateway.ports).filter(tcp) {
        let reading = match port.app {
            _ if port.has_requests() => Reading::Requests,
            Some(AppProtocol::Tls) => Reading::Unread,
            _ if port.servers.iter().any(|server| server.app == Some(AppProtocol::Tls)) => Reading::Unread,
            _ if port.unknown => Reading::Unknown,
            _ => continue,
        };
        let have = readings.entry(port.target).or_insert(reading);
        *have = (*have).min(reading);
    }
    readings
}

/// Returns the rules for names that a port passes on unread although it terminates TLS for others, as a Gateway object
/// says.
fn passed_beside_requests(
    declared: &[&Gateway],
    readings: &BTreeMap<u16, Reading>,
    named: &[&HostName],
) -> Vec<AccessRule> {
    // The ports and the names that are left out, with the names that pass.
    let mut passed: BTreeMap<(u16, Vec<String>), BTreeSet<String>> = BTreeMap::new();
    let ports = declared.iter().flat_map(|gateway| &gateway.ports);
    for port in ports.filter(|port| readings.get(&port.target) == Some(&Reading::Requests)) {
        for (host, closer) in port.passed_through() {
            let inside = |other: &&HostName| host.as_ref().is_none_or(|host| host.overlaps(other));
            let left_out: BTreeSet<String> =
                named.iter().copied().chain(&closer).filter(inside).map(HostName::to_string).collect();
            if host.as_ref().is_some_and(|host| left_out.contains(&host.to_string())) {
                continue;
            }
            let names = passed.entry((port.target, left_out.into_iter().collect())).or_default();
            names.extend(host.iter().map(HostName::to_string));
        }
    }
    let rule = |((port, not_values), values): ((u16, Vec<String>), BTreeSet<String>)| AccessRule {
        comment: Comment::Words("So does TLS for names that the gateway passes on unread."),
        to: Some(Operation { ports: vec![port], ..Operation::default() }),
        when: vec![Condition { key: SNI.into(), values: values.into_iter().collect(), not_values }],
        ..AccessRule::default()
    };
    passed.into_iter().map(rule).collect()
}
