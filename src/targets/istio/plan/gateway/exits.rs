//! Exits: hosts that pods reach only through an egress gateway, each on a port for TLS, for requests, or for TCP.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443/tls via edge
//!
//! the Sidecar     imports the host
//! the sidecar     sends its connections to the gateway inside mutual TLS: VirtualService, DestinationRule
//! the gateway     takes them from these pods, and sends them on: Gateway, AuthorizationPolicy, VirtualService
//! ```
//!
//! By mutual TLS the gateway knows the pod, and by the TLS name of that connection the host; for requests it compares
//! the host once more. A TCP port shows no name, so its host needs an address by which the sidecar recognises it. The
//! Sidecar never imports the gateway's Service, because pods could reach other hosts of the gateway through it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::at_gateway::Passage;
use super::pods::subjects;
use super::refused::{Refused, refused};
use crate::inventory::Workload;
use crate::model::endpoint::{Member, What};
use crate::model::gateways::{Gateway, Via};
use crate::model::hosts::{Host, HostName};
use crate::model::ports::{AppProtocol, PortTest, Protocol};
use crate::model::rules::{Direction, Rule, RuleId};
use crate::policy::{Isolated, Policy};
use crate::targets::Level;
use crate::targets::istio::facts::{Facts, match_labels};
use crate::targets::istio::findings::{Findings, IstioGap, Note};
use crate::targets::istio::model::{AccessRule, Operation, Selector};
use crate::targets::istio::plan::egress::items::HostPort;
use crate::targets::istio::plan::operations::{host_patterns, sni};
use crate::targets::istio::plan::peers::{Peer, Peers, Position};
use crate::targets::istio::plan::subjects::Subject;
use crate::targets::istio::troubles::Trouble;
use crate::targets::partition::Partition;

const OUT: Direction = Direction::Egress;

/// The ways out through gateways.
#[derive(Default)]
pub struct Exits {
    /// For each rule with `via` on egress that can be enforced, its way.
    pub ways: FxHashMap<RuleId, Rc<Way>>,
    /// The access at the gateways.
    pub passages: Vec<Passage>,
    /// The pods that the gateways refuse.
    pub refused: Vec<Refused>,
    /// The findings about the rules.
    pub findings: Findings,
    /// The troubles to report.
    pub troubles: Vec<Trouble>,
}

/// A gateway as a way out.
#[derive(Debug)]
pub struct Way {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// The namespace of its pods.
    pub namespace: SmolStr,
    /// The labels of its pods.
    pub labels: Selector,
    /// The host of its Service.
    pub service: String,
    /// The Service's port.
    pub service_port: u16,
    /// The pods' port.
    pub target: u16,
}

/// The hosts that are reached through gateways: by the namespace of the ServiceEntry, the gateway's name, and the host.
pub type Routes = BTreeMap<(SmolStr, SmolStr, HostName), Route>;

/// A route: the hosts that some pods reach through a gateway.
pub struct Route {
    /// The way.
    pub way: Rc<Way>,
    /// The host's port.
    pub port: HostPort,
    /// The ports on which pods send requests to the host. Connections that are not sent to the gateway need a route
    /// too.
    pub direct: Vec<u16>,
    /// The pods.
    pub subjects: Vec<Subject>,
    /// The rules behind the route.
    pub rules: Vec<RuleId>,
    /// Whether pods of every namespace see the route.
    pub everyone: bool,
}

impl Route {
    /// Begins a route without pods.
    pub fn new(way: &Rc<Way>, port: HostPort, everyone: bool) -> Route {
        Route { way: Rc::clone(way), port, direct: Vec::new(), subjects: Vec::new(), rules: Vec::new(), everyone }
    }
}

impl Exits {
    /// Finds the ways of the rules of a policy.
    pub fn new(facts: &Facts<'_>, peers: &Peers<'_, '_>) -> Exits {
        let mut exits = Exits::default();
        let (ports, mixed) = (ports_of_hosts(facts.part), hosts_by_name(facts.part));
        let mut warned: Vec<&SmolStr> = Vec::new();
        for (at, rule) in facts.part.rules(OUT) {
            let Some(via) = &rule.via else { continue };
            let way = way(facts.policy, rule, (&ports, &mixed));
            let peer = peers.of(&rule.source, Position::Workload);
            let passages = passages(facts, via, at, rule, &peer);
            let found = way.and_then(|way| peer.unable.clone().map_or(Ok(way), Err));
            let (way, passages) = match found.and_then(|way| Ok((way, passages?))) {
                Ok(found) => found,
                Err(why) => {
                    exits.findings.gap(at, OUT, &IstioGap::unable(why));
                    continue;
                }
            };
            if let Some(gap) = &peer.gap {
                exits.findings.gap(at, OUT, gap);
            }
            let how = "the gateway knows who asks for which host; a pod that avoids its sidecar is not stopped";
            exits.findings.add(at, OUT, Note::How(Level::Bypassable, how.into()));
            // The gateway compares only the host, not the rule's conditions on requests.
            if !rule.conditions.is_none() {
                exits.findings.add(at, OUT, Note::Unread);
            }
            exits.passages.extend(passages);
            if !warned.contains(&&via.gateway.name) && wrapped(facts, &via.gateway) {
                warned.push(&via.gateway.name);
                exits.troubles.push(Trouble::WrappedGateway { gateway: via.gateway.name.clone(), span: via.span });
            }
            exits.ways.insert(at, Rc::new(way));
        }
        let (refused, findings) = refused(facts, peers);
        Exits { refused, findings: exits.findings.then(findings), ..exits }
    }
}

/// Returns the access of a rule at the gateway through which it reaches its hosts.
fn passages(facts: &Facts<'_>, via: &Via, at: RuleId, rule: &Rule, peer: &Peer) -> Result<Vec<Passage>, String> {
    subjects(facts, &via.gateway)?;
    let nobody = peer.sources.as_ref().is_some_and(|sources| sources.is_empty());
    // A gateway that rules isolate stays closed on its other ports.
    let isolated = facts.policy.isolated(&via.gateway) != Isolated::Nowhere;
    let open = if isolated { via.exit_ports() } else { Vec::new() };
    let passage = |(member, host): (&Member, &Host)| {
        let ports = member.ports.entries();
        let requests = ports.iter().any(|port| port.app.is_some_and(AppProtocol::has_requests));
        let numbers: Vec<u16> = ports.iter().filter_map(|port| Some(port.numbers()?.0)).collect();
        let hosts = if requests { host_patterns(&host.name, false, &numbers)? } else { Vec::new() };
        let to = Operation { hosts, ports: open.clone(), ..Operation::default() };
        let to = Some(to).filter(|to| *to != Operation::default());
        let when = vec![sni([&host.name])];
        let from = peer.sources.clone().unwrap_or_default();
        let access = (!nobody).then(|| AccessRule { from, to, when, ..AccessRule::default() }).into_iter().collect();
        let (gateway, exits) = (Arc::clone(&via.gateway), vec![host.name.clone()]);
        Ok(Passage { gateway, rule: at, access, hosts: Vec::new(), ports: Vec::new(), exits })
    };
    rule.destination.hosts().map(passage).collect()
}

/// Returns the way of a rule, or why there is none.
fn way(policy: &Policy, rule: &Rule, (ports, mixed): (&PortsOfHosts, &FxHashSet<HostName>)) -> Result<Way, String> {
    let Some(via) = &rule.via else { return Err(String::new()) };
    let gateway = &via.gateway;
    let name = &gateway.name;
    if policy.settings.scope_gateway_to_namespace {
        return Err("with `scope-gateway-to-namespace` a Gateway selects pods of its own namespace alone".into());
    }
    let Some((namespace, service)) = &gateway.service else {
        return Err(format!("the Service of gateway {name} is not known"));
    };
    let [pods] = gateway.pods.as_slice() else {
        return Err(format!("gateway {name} has pods by several selectors, and a Gateway has one"));
    };
    let labels = match_labels(&pods.labels).filter(|labels| !labels.is_empty());
    let (Some(home), Some(labels)) = (pods.namespace_name(), labels) else {
        return Err(format!("a Gateway selects pods by single labels, and gateway {name} has others"));
    };
    let tls = gateway.ports.iter().find(|port| port.protocol == Protocol::Tcp && port.app == Some(AppProtocol::Tls));
    let Some(tls) = tls else {
        return Err(format!("gateway {name} has no tls port, as `port 443 -> 8443/tls`: name one for the way out"));
    };
    for (member, host) in rule.destination.hosts() {
        if member.ports.entries().iter().any(|port| port.app.is_none()) && mixed.contains(&host.name) {
            return Err(format!(
                "a host that a gateway knows by its address has that port alone, and {} has others",
                host.name
            ));
        }
        if ports.get(&(name.clone(), host.name.clone())).is_some_and(|ports| ports.len() > 1) {
            return Err(format!("through a gateway a host has one port, and {} has several", host.name));
        }
    }
    Ok(Way {
        gateway: Arc::clone(gateway),
        namespace: home.clone(),
        labels,
        service: format!("{service}.{namespace}.svc.{}", policy.settings.domain),
        service_port: tls.port,
        target: tls.target,
    })
}

/// Returns the hosts that some rules reach by their name, in requests or TLS.
fn hosts_by_name(part: &Partition<'_>) -> FxHashSet<HostName> {
    let hosts = part.rules(OUT).flat_map(|(_, rule)| rule.destination.hosts());
    let named = hosts.filter(|(member, _)| member.ports.entries().iter().any(|port| port.app.is_some()));
    named.map(|(_, host)| host.name.clone()).collect()
}

/// The ports that rules send through each gateway for each host.
type PortsOfHosts = FxHashMap<(SmolStr, HostName), Vec<u16>>;

fn ports_of_hosts(part: &Partition<'_>) -> PortsOfHosts {
    let mut ports = PortsOfHosts::default();
    for (_, rule) in part.rules(OUT) {
        let Some(via) = &rule.via else { continue };
        for member in &rule.destination.members {
            let What::Host(host) = &member.what else { continue };
            let list = ports.entry((via.gateway.name.clone(), host.name.clone())).or_default();
            for port in member.ports.entries() {
                if let PortTest::Range(first, last) = port.port {
                    list.extend([first, last]);
                }
            }
            list.sort_unstable();
            list.dedup();
        }
    }
    ports
}

/// Returns whether pods of a gateway have the label by which sidecars use mTLS to them.
fn wrapped(facts: &Facts<'_>, gateway: &Gateway) -> bool {
    let labelled =
        |workload: &Workload| workload.labels.get("security.istio.io/tlsMode").is_some_and(|mode| mode == "istio");
    gateway.pods.iter().any(|pods| {
        let known = pods.namespace_name().and_then(|name| facts.known(name));
        known.is_some_and(|known| known.selected(pods).any(labelled))
    })
}
