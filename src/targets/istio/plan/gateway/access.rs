//! Gateway access: who may come in through a gateway and ask for which public host.
//!
//! ```text
//! allow ingress 203.0.113.0/24 -> garden/web:80/http via edge at "garden.example"
//!
//! the gateway    the client's address and the host (methods and paths, too), judged together
//! the workload   the gateway's identity and the host (methods, paths and token, too), judged together
//! ```
//!
//! A port that terminates TLS recognises the public host by the HTTP host, a port that passes TLS on by the TLS name,
//! and any other port by its number. Hosts and ports that no rule names pass as before (`others`). If a request could
//! pass by half of one rule and half of another, the workload judges the client too (`correlation`).

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::at_gateway::{AtGateway, Passage, may_share_pods};
use super::clients;
use super::correlation::Correlation;
use super::others::others;
use super::pods::subjects;
use crate::model::conditions::Conditions;
use crate::model::endpoint::Member;
use crate::model::gateways::{Gateway, GatewayPort, Via};
use crate::model::hosts::HostName;
use crate::model::ports::{AppProtocol, PortMatch, Ports};
use crate::model::rules::{Rule, RuleId};
use crate::policy::Isolated;
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{IstioGap, Note};
use crate::targets::istio::model::{AccessRule, Comment, Condition, Operation, Source};
use crate::targets::istio::plan::operations::{Access, SNI, add_paths, header_conditions, host_patterns, sni};
use crate::targets::istio::plan::peers::{Peer, Peers, Position, sharing};
use crate::targets::istio::plan::subjects::Subject;

/// An ingress rule that leads through a gateway.
pub struct Through {
    /// The caller of the workload: the gateway, or if rules could be mixed, the gateway with only the rule's clients.
    pub caller: Rc<Peer>,
    /// The access that the gateway has to judge; `None` if it cannot.
    pub passage: Option<Passage>,
    /// Whether the gateway judges its clients by their addresses.
    pub by_address: bool,
    /// The notes about the rule.
    pub notes: Vec<Note>,
}

/// Leads an ingress rule through its gateway.
pub fn through(
    facts: &Facts<'_>,
    correlation: Option<&Correlation>,
    peers: &Peers<'_, '_>,
    (at, rule): (RuleId, &Rule),
    via: &Arc<Via>,
) -> Through {
    let Some((namespace, account)) = &via.gateway.account else {
        let name = &via.gateway.name;
        let unable = Some(format!("gateway {name} names no account by which the workload could know it"));
        let caller = Rc::new(Peer { unable, ..Peer::default() });
        return Through { caller, passage: None, by_address: false, notes: Vec::new() };
    };
    let clients = peers.of(&rule.source, Position::Gateway);
    let forwarded = Forwarded::of(correlation, at, rule, via);
    let principals = vec![format!("{}/ns/{namespace}/sa/{account}", facts.policy.settings.trust_domain)];
    let gateway = Source { principals, ..Source::default() };
    let sources = match (&clients.sources, &forwarded) {
        // The gateway writes its client's address last into X-Forwarded-For; the gateway's identity proves that it did.
        (Some(clients), Forwarded::Judged) => {
            let clients = clients.iter().filter(|client| client.remote).cloned();
            clients.map(|client| Source { principals: gateway.principals.clone(), ..client }).collect()
        }
        _ => vec![gateway],
    };
    let gap = sharing(facts, &via.gateway);
    let caller = Rc::new(Peer { sources: Some(Rc::new(sources)), identity: true, gap, ..Peer::default() });
    match passage(facts, at, rule, via, &clients) {
        Ok(passage) => {
            let notes = notes(facts, correlation, at, via, &clients, &forwarded);
            Through { caller, passage: Some(passage), by_address: clients.sources.is_some(), notes }
        }
        Err(why) => Through { caller, passage: None, by_address: false, notes: vec![Note::Gap(IstioGap::unable(why))] },
    }
}

/// Whether a workload judges the client behind its gateway.
enum Forwarded {
    /// The workload does not judge the client.
    No,
    /// The workload judges the client.
    Judged,
    /// The workload would have to judge the client, for this reason, and cannot.
    Lost(&'static str),
}

impl Forwarded {
    fn of(correlation: Option<&Correlation>, at: RuleId, rule: &Rule, via: &Via) -> Forwarded {
        let Some(reason) = correlation.and_then(|correlation| correlation.lends(at)) else { return Forwarded::No };
        let read = |member: &Member| {
            let entries = member.ports.entries();
            !entries.is_empty() && entries.iter().all(|port| port.app.is_some_and(AppProtocol::has_requests))
        };
        if via.gateway.proxies == 0 && rule.destination.members.iter().all(read) {
            Forwarded::Judged
        } else {
            Forwarded::Lost(reason)
        }
    }
}

/// Returns the notes about a rule that leads through a gateway.
fn notes(
    facts: &Facts<'_>,
    correlation: Option<&Correlation>,
    at: RuleId,
    via: &Via,
    clients: &Peer,
    forwarded: &Forwarded,
) -> Vec<Note> {
    let name = &via.gateway.name;
    let mut notes = Vec::new();
    if clients.sources.is_some() {
        notes.extend(clients::unseen(facts, &via.gateway));
    }
    notes.extend(clients.gap.iter().map(|_| Note::Gap(IstioGap::pods_among_clients())));
    notes.extend(clients::claimed(&via.gateway, clients).map(Note::Gap));
    if clients.identity {
        let words = "at a gateway clients have no identity: pods are refused";
        notes.push(Note::narrower(Refuses::PodsAtGateway, words));
    }
    let mut wider = |words: String| notes.push(Note::Gap(IstioGap::wider(words)));
    if let Forwarded::Lost(other) = forwarded {
        let why = if via.gateway.proxies > 0 { "behind proxies" } else { "on such ports" };
        wider(format!(
            "{other} lets other clients in through {name}, and {why} only the gateway knows the client, while only the pods know what is theirs"
        ));
    }
    if correlation.is_some_and(|correlation| correlation.is_tokenless(at)) {
        wider(format!(
            "another rule lets {name} into these pods without this token, which the pods alone ask for: `where jwt` there too, or pods apart"
        ));
    }
    for host in &via.at {
        if let Some(port) = via.gateway.ports.iter().find(|port| port.names(host).unknown) {
            let (port, target) = (port.port, port.target);
            wider(format!(
                "nobody says whether TLS ends at {name} on port {port}: `port {port} -> {target}/https` in its block, or `/tls` where it is passed on"
            ));
        }
        let beside =
            via.gateway.undeclared.iter().find(|(_, server)| {
                server.app.is_some() && server.host.as_ref().is_none_or(|other| other.overlaps(host))
            });
        if let Some((port, _)) = beside {
            wider(format!(
                "a Gateway object opens port {port} for {host} too, which the block of {name} does not name"
            ));
        }
    }
    notes
}

/// Returns the access that a gateway has to judge for a rule, or why it cannot.
fn passage(facts: &Facts<'_>, at: RuleId, rule: &Rule, via: &Via, clients: &Peer) -> Result<Passage, String> {
    if let Some(why) = &clients.unable {
        return Err(why.clone());
    }
    subjects(facts, &via.gateway)?;
    let mut access = asked_at_gateway(facts, rule, via)?;
    let unread = |access: &&AccessRule| via.at.is_empty() || access.when.iter().any(|asked| asked.key == SNI);
    let unread = access.iter().find(unread).and_then(|access| access.to.as_ref());
    if let Some(why) = unread.and_then(|to| clients::unnamed(&via.gateway, clients, &to.ports)) {
        return Err(why);
    }
    if clients.sources.as_ref().is_some_and(|sources| sources.is_empty()) {
        access.clear();
    }
    let from = clients.sources.as_ref().map(|all| clients::believed(&via.gateway, all)).unwrap_or_default();
    access.iter_mut().for_each(|access| access.from = Rc::clone(&from));
    let (gateway, hosts, ports) = (Arc::clone(&via.gateway), via.at.clone(), via.ports.clone());
    Ok(Passage { gateway, rule: at, access, hosts, ports, exits: Vec::new() })
}

/// Returns the rules of AuthorizationPolicies at gateways, each with the policy's rule that it comes from.
pub fn access_rules(facts: &Facts<'_>, gateways: &[AtGateway]) -> Vec<(Subject, AccessRule, RuleId)> {
    let mut rules = Vec::new();
    for at in gateways {
        // If rules isolate the gateway itself, they decide which connections pass.
        let isolated = facts.policy.isolated(&at.gateway) != Isolated::Nowhere;
        for subject in subjects(facts, &at.gateway).unwrap_or_default() {
            for (rule, access) in &at.access {
                let access = AccessRule { comment: Comment::Rule(*rule), ..access.clone() };
                rules.push((subject.clone(), access, *rule));
            }
            if !isolated {
                let others = others(facts, at, gateways).into_iter();
                rules.extend(others.map(|other| (subject.clone(), other, at.first)));
            }
        }
    }
    rules
}

/// Returns the hosts of a rule: its public hosts, limited by its `where host`.
fn meant(via: &Via, conditions: &Conditions) -> Vec<HostName> {
    if conditions.hosts.is_empty() {
        return via.at.clone();
    }
    let mut both: Vec<HostName> = Vec::new();
    for (at, host) in via.at.iter().flat_map(|at| conditions.hosts.iter().map(move |host| (at, host))) {
        let narrower = if at.contains(host) { Some(host) } else { host.contains(at).then_some(at) };
        both.extend(narrower.filter(|host| !both.contains(host)).cloned());
    }
    both
}

/// Returns whether a gateway may read a host from requests: on one of its ports, as any block for the same pods
/// declares them, the host is not recognised by TLS alone.
fn in_requests(facts: &Facts<'_>, gateway: &Gateway, host: &HostName) -> bool {
    let same = facts.policy.gateways.iter().filter(|other| may_share_pods(&other.pods, &gateway.pods));
    same.flat_map(|gateway| &gateway.ports).any(|port| {
        let names = port.names(host);
        names.host || names.unknown
    })
}

/// Returns the access that a gateway gives to the clients of a rule.
fn asked_at_gateway(facts: &Facts<'_>, rule: &Rule, via: &Via) -> Result<Vec<AccessRule>, String> {
    let ports = |ports: Vec<u16>| Operation { ports, ..Operation::default() };
    if via.at.is_empty() {
        return Ok(vec![AccessRule { to: Some(ports(via.ports.clone())), ..AccessRule::default() }]);
    }
    let mut asked = Vec::new();
    let hosts = meant(via, &rule.conditions);
    let gateway = &via.gateway;
    let by_host = |host: &&HostName| {
        gateway.ports.iter().any(|port| port.has_requests() || port.names(host).unknown)
            && (!host.wildcard || in_requests(facts, gateway, host))
    };
    let mut operation = Operation { methods: rule.conditions.methods.clone(), ..Operation::default() };
    let numbers: Vec<u16> = gateway.ports.iter().flat_map(|port| [port.port, port.target]).collect();
    for host in via.at.iter().filter(|host| in_requests(facts, gateway, host)) {
        // The rule for requests to all other hosts needs patterns that cover all of this host.
        host_patterns(host, true, &[])?;
    }
    for host in hosts.iter().filter(by_host) {
        operation.hosts.extend(host_patterns(host, false, &numbers)?);
    }
    if !operation.hosts.is_empty() {
        add_paths(facts, &rule.conditions, false, &mut operation)?;
        // A gateway that rules isolate stays closed on ports that its declaration does not name.
        if facts.policy.isolated(gateway) != Isolated::Nowhere {
            let reads = |port: &&GatewayPort| port.has_requests() || hosts.iter().any(|host| port.names(host).unknown);
            operation.ports = gateway.ports.iter().filter(reads).map(|port| port.target).collect();
            operation.ports.sort_unstable();
            operation.ports.dedup();
        }
        let when = header_conditions(&rule.conditions)?;
        asked.push(AccessRule { to: Some(operation), when, ..AccessRule::default() });
    }
    // TLS that is passed on may only lead to ports that are TLS.
    if rule.destination.members.iter().any(|member| member.ports.entries().iter().any(is_tls)) {
        let mut by_ports: BTreeMap<Vec<u16>, Vec<&HostName>> = BTreeMap::new();
        for host in &hosts {
            let unread = gateway.ports.iter().filter(|port| port.names(host).sni);
            let mut numbers: Vec<u16> = unread.map(|port| port.target).collect();
            numbers.sort_unstable();
            by_ports.entry(numbers).or_default().push(host);
        }
        by_ports.remove(&Vec::new());
        let rules = by_ports.into_iter().map(|(numbers, hosts)| AccessRule {
            to: Some(ports(numbers)),
            when: vec![sni(hosts)],
            ..AccessRule::default()
        });
        asked.extend(rules);
    }
    Ok(asked)
}

fn is_tls(port: &PortMatch) -> bool {
    port.app == Some(AppProtocol::Tls)
}

/// Returns the access that a member of a destination judges behind a rule's gateway. On ports with requests this
/// includes the public host; on other ports no proxy reads it.
pub fn asked_behind(rule: &Rule, via: &Via, ports: &Ports) -> Vec<Access> {
    let own = (*rule.conditions).clone();
    if via.at.is_empty() {
        return vec![Access::new(ports.clone(), own)];
    }
    let (read, rest): (Vec<PortMatch>, Vec<PortMatch>) =
        ports.entries().iter().cloned().partition(|port| port.app.is_some_and(AppProtocol::has_requests));
    let mut asked = Vec::new();
    let hosts = meant(via, &rule.conditions);
    if !read.is_empty() && !hosts.is_empty() {
        let conditions = Conditions { hosts, ..own.clone() };
        asked.push(Access::new(Ports::Some(read), conditions).at(&via.gateway));
    }
    if !rest.is_empty() {
        asked.push(Access::new(Ports::Some(rest), own));
    }
    asked
}

/// Returns the access of a rule about a gateway's own pods: the host is read from requests, and from TLS if the gateway
/// passes TLS on.
pub fn asked_of_gateway(gateway: &Gateway, rule: &Rule, ports: &Ports) -> Vec<Access> {
    let own = &*rule.conditions;
    let whole = || vec![Access::new(ports.clone(), own.clone()).at(gateway)];
    if own.is_none() {
        return whole();
    }
    let mut asked = Vec::new();
    let mut read = Vec::new();
    for entry in ports.entries() {
        let port = gateway.ports.iter().find(|port| entry.matches(Some(port.target), port.protocol, &[]));
        let passed: Vec<HostName> =
            port.iter().flat_map(|port| port.passed_through()).filter_map(|(host, _)| host).collect();
        let only = Ports::Some(vec![entry.clone()]);
        let nothing = Conditions::default();
        if is_tls(entry) {
            asked.push(Access { when: vec![sni(&own.hosts)], ..Access::new(only, nothing) });
            continue;
        }
        if passed.is_empty() {
            read.push(entry.clone());
            continue;
        }
        // Some names are passed on unread: for these, conditions on requests mean nothing.
        let mut names: Vec<&HostName> = Vec::new();
        for (host, passed) in own.hosts.iter().flat_map(|host| passed.iter().map(move |passed| (host, passed))) {
            names.extend(if passed.contains(host) { Some(host) } else { host.contains(passed).then_some(passed) });
        }
        let requests_only = own.hosts.is_empty() || own.asks_of_requests() || own.jwt.is_some();
        if !names.is_empty() && !requests_only {
            asked.push(Access { when: vec![sni(names)], ..Access::new(only.clone(), nothing) });
        }
        let not_values = passed.iter().map(HostName::to_string).collect();
        let when = vec![Condition { key: SNI.into(), values: Vec::new(), not_values }];
        asked.push(Access { when, ..Access::new(only, own.clone()).at(gateway) });
    }
    if !read.is_empty() {
        asked.push(Access::new(Ports::Some(read), own.clone()).at(gateway));
    }
    if asked.is_empty() { whole() } else { asked }
}
