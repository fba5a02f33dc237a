//! Correlation: rules through one gateway, where a request could pass by half of one rule and half of another.
//!
//! The gateway judges the client and its request, but does not know which pods the request goes to. The pods judge the
//! rest, but do not know the client:
//!
//! ```text
//! allow ingress 203.0.113.0/24  -> garden/web:80/http via edge at "garden.example"
//! allow ingress 198.51.100.0/24 -> garden/api:80/http via edge at "garden.example"
//! ```
//!
//! The gateway lets both networks in for `garden.example`, and both workloads accept such requests from the gateway. So
//! a client of the second rule would reach `garden/web`. If rules for one host have different clients, the workload
//! judges the client as well, by the address that the gateway forwards. Only the pods judge a token: if another rule
//! lets the gateway in without a token, no token is required.

use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::at_gateway::may_share_pods;
use crate::model::conditions::Jwt;
use crate::model::gateways::{Gateway, Via};
use crate::model::hosts::HostName;
use crate::model::labels::PodSelector;
use crate::model::ports::{PortMatch, PortTest, Ports};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::targets::components::Components;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::model::Source;
use crate::targets::istio::plan::peers::{Peers, Position};

/// The rules that need their clients judged at the workload.
pub struct Correlation {
    /// Each such rule, with the reason why other clients come in, in words.
    lends: FxHashMap<RuleId, &'static str>,
    /// The rules with a token whose pods another rule opens to the gateway without one.
    tokenless: FxHashSet<RuleId>,
}

/// The clients of a rule; `None` is any client.
type Clients = Option<Rc<Vec<Source>>>;

/// The rules for one host or port of a gateway, taken together.
#[derive(Default)]
struct Group<'a> {
    rules: Vec<RuleId>,
    clients: FxHashSet<Clients>,
    leads_to: FxHashSet<Vec<(&'a PodSelector, &'a Ports)>>,
    tokens: FxHashSet<Option<&'a Jwt>>,
    /// Whether a rule about the gateway's own pods lets in further clients.
    opened: bool,
}

impl Group<'_> {
    /// Returns the part of the rules that could be mixed. Rules for the same pods without tokens are fully judged at
    /// the gateway.
    fn lends(&self) -> Option<&'static str> {
        if self.opened {
            return Some("a rule about the gateway itself");
        }
        let alike = self.leads_to.len() == 1 && self.tokens.len() == 1;
        (self.clients.len() > 1 && !alike).then_some("another rule")
    }
}

impl Correlation {
    /// Examines the rules of a partition; `None` if none leads through a gateway.
    pub fn new(facts: &Facts<'_>, peers: &Peers<'_, '_>) -> Option<Correlation> {
        let through = || {
            let rules = facts.part.rules(Direction::Ingress);
            rules.filter_map(|(at, rule)| Some((at, rule, rule.via.as_deref()?)))
        };
        through().next()?;
        let gateways: Vec<&Gateway> = distinct(through().map(|(_, _, via)| &*via.gateway));
        let number: FxHashMap<&[PodSelector], usize> = gateways
            .iter()
            .enumerate()
            .map(|(at, gateway)| (gateway.pods.as_slice(), first_alike(&gateways, at, gateway)))
            .collect();
        let of = |via: &Via| number.get(via.gateway.pods.as_slice()).copied().unwrap_or_default();
        let hosts: FxHashSet<(usize, &HostName)> =
            through().flat_map(|(_, _, via)| via.at.iter().map(move |host| (of(via), host))).collect();
        let mut hosts: Vec<(usize, &HostName)> = hosts.into_iter().collect();
        hosts.sort_unstable();
        let roots = overlapping(&hosts);
        let root: FxHashMap<(usize, &HostName), usize> = hosts.iter().copied().zip(roots).collect();
        let opened: Vec<bool> = gateways.iter().map(|gateway| is_opened(facts, gateway)).collect();
        let mut groups: FxHashMap<(usize, Result<usize, u16>), Group<'_>> = FxHashMap::default();
        for (at, rule, via) in through() {
            let gateway = of(via);
            let clients = peers.of(&rule.source, Position::Gateway).sources.clone();
            let by_host = via.at.iter().filter_map(|host| root.get(&(gateway, host)).copied().map(Ok));
            for key in by_host.chain(via.ports.iter().copied().map(Err)) {
                let group = groups.entry((gateway, key)).or_default();
                group.rules.push(at);
                group.clients.insert(clients.clone());
                group.leads_to.insert(leads_to(rule));
                group.tokens.insert(rule.conditions.jwt.as_deref());
                group.opened |= opened[gateway] && key.is_ok();
            }
        }
        let mut lends = FxHashMap::default();
        for group in groups.values() {
            if let Some(reason) = group.lends() {
                lends.extend(group.rules.iter().map(|rule| (*rule, reason)));
            }
        }
        let direct: Vec<Vec<&Rule>> = gateways.iter().map(|gateway| open_to(facts, gateway)).collect();
        let tokenless = through().filter(|(_, rule, via)| {
            let jwt = rule.conditions.jwt.as_deref();
            let opens = |other: &&Rule| other.conditions.jwt.as_deref() != jwt && may_share_ports(rule, other);
            let same = |gateway: &Gateway| may_share_pods(&gateway.pods, &via.gateway.pods);
            jwt.is_some()
                && gateways.iter().zip(&direct).any(|(gateway, rules)| same(gateway) && rules.iter().any(opens))
        });
        let tokenless = tokenless.map(|(at, _, _)| at).collect();
        Some(Correlation { lends, tokenless })
    }

    /// Returns why other clients come in for the host of a rule, if the workload must judge its clients.
    pub fn lends(&self, rule: RuleId) -> Option<&'static str> {
        self.lends.get(&rule).copied()
    }

    /// Returns whether another rule lets the gateway of a rule into its pods without the token that the rule asks for.
    pub fn is_tokenless(&self, rule: RuleId) -> bool {
        self.tokenless.contains(&rule)
    }
}

/// Returns the rules that let a gateway's own pods into others, for any client.
fn open_to<'a>(facts: &Facts<'a>, gateway: &Gateway) -> Vec<&'a Rule> {
    let rules = facts.part.rules(Direction::Ingress).map(|(_, rule)| rule);
    let meant = |rule: &Rule| {
        let mut sources = rule.source.pods();
        sources.any(|(_, pods)| gateway.pods.iter().any(|own| own.overlaps(&pods.selector)))
    };
    rules.filter(|rule| rule.action == Action::Allow && rule.via.is_none() && meant(rule)).collect()
}

/// Returns whether two rules may mean the same port of the same pod.
fn may_share_ports(one: &Rule, other: &Rule) -> bool {
    let apart = |a: &PortMatch, b: &PortMatch| match (&a.port, &b.port) {
        (PortTest::Range(a, to_a), PortTest::Range(b, to_b)) => to_a < b || to_b < a,
        _ => false,
    };
    let meet = |a: &Ports, b: &Ports| match (a, b) {
        (Ports::Some(a), Ports::Some(b)) => {
            a.iter().any(|a| b.iter().any(|b| a.protocol == b.protocol && !apart(a, b)))
        }
        _ => true,
    };
    one.destination.pods().any(|(mine, pods)| {
        let mut others = other.destination.pods();
        others.any(|(member, other)| pods.selector.overlaps(&other.selector) && meet(&mine.ports, &member.ports))
    })
}

fn distinct<'g>(gateways: impl Iterator<Item = &'g Gateway>) -> Vec<&'g Gateway> {
    let mut seen: FxHashSet<&[PodSelector]> = FxHashSet::default();
    gateways.filter(|gateway| seen.insert(gateway.pods.as_slice())).collect()
}

/// Returns the index of the first gateway that may share pods with one.
fn first_alike(gateways: &[&Gateway], at: usize, gateway: &Gateway) -> usize {
    gateways.iter().position(|other| may_share_pods(&other.pods, &gateway.pods)).unwrap_or(at)
}

/// Returns for each host the index of the first host with a common name on the same gateway. A name is looked up under
/// the wildcards that contain it.
fn overlapping(hosts: &[(usize, &HostName)]) -> Vec<usize> {
    let wild: FxHashMap<(usize, &str), usize> = hosts
        .iter()
        .enumerate()
        .filter(|(_, (_, host))| host.wildcard)
        .map(|(at, (gateway, host))| ((*gateway, host.name.as_str()), at))
        .collect();
    let mut components = Components::new(hosts.len());
    for (at, (gateway, host)) in hosts.iter().enumerate() {
        let mut rest = host.name.as_str();
        while let Some((_, around)) = rest.split_once('.') {
            if let Some(&other) = wild.get(&(*gateway, around)) {
                components.join(other, at);
            }
            rest = around;
        }
    }
    (0..hosts.len()).map(|at| components.find(at)).collect()
}

/// Returns whether rules about a gateway's own pods let clients in on a port that has host names.
fn is_opened(facts: &Facts<'_>, gateway: &Gateway) -> bool {
    let named = |ports: &Ports| {
        gateway.ports.iter().any(|port| port.app.is_some() && ports.matches(Some(port.target), port.protocol, &[]))
    };
    let mut rules = facts.policy.isolating(gateway);
    rules.any(|(_, rule)| {
        rule.action == Action::Allow && rule.destination.pods().any(|(member, _)| named(&member.ports))
    })
}

fn leads_to(rule: &Rule) -> Vec<(&PodSelector, &Ports)> {
    rule.destination.pods().map(|(member, pods)| (&pods.selector, &member.ports)).collect()
}
