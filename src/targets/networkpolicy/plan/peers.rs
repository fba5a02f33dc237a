//! The peers of a rule end, and their ports.
//!
//! ```netpol
//! allow egress garden/* -> { db/*:5432, 203.0.113.0/24:443 }
//! ```
//!
//! reaches the pods of `db` on one port, and a block of addresses on another:
//!
//! ```yaml
//! kubernetes.io/metadata.name: db
//! - { protocol: TCP, port: 5432 }
//! cidr: 203.0.113.0/24
//! - { protocol: TCP, port: 443 }
//! ```
//!
//! A peer that a NetworkPolicy cannot express becomes a wider one, and is returned as such: `zenquotes.io` is every
//! public address.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use smol_str::SmolStr;

use super::difference::{Alike, Denied, DeniedPeer};
use crate::inventory::{ContainerPort, Indistinct, Workload};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, What, is_everybody};
use crate::model::gateways::Gateway;
use crate::model::labels::PodSelector;
use crate::model::non_empty::NonEmpty;
use crate::model::port_list::{PortList, Transport};
use crate::model::ports::{PortMatch, PortTest, Ports};
use crate::model::rules::{Direction, Rule, RuleId};
use crate::policy::Grant;
use crate::policy::denies_some_clients;
use crate::targets::gap::Gap;
use crate::targets::networkpolicy::model::{Peer, Peers};
use crate::targets::networkpolicy::view::View;
use crate::targets::{Kept, Level, Traffics, Why};

/// Peers on ports.
pub struct Reach<'a> {
    /// The member of the subject that has these ports, counting only members that are pods; `None` is each.
    pub member: Option<usize>,
    /// The peers.
    pub peers: Rc<Peers<'a>>,
    /// The ports.
    pub ports: PortList,
}

/// The kinds of traffic for which peers are wider than a rule, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wider {
    /// A host without addresses, or a family of hosts, is among the peers, so that other hosts pass too.
    other_hosts: Traffics,
    /// Proxies in front of a gateway send the packets, so that its clients are not told apart.
    behind_proxies: Traffics,
    /// No labels tell the pods of a service account, which is the first such one.
    other_pods: Traffics,
    account: Option<SmolStr>,
}

impl Wider {
    /// Returns the kinds that are wider in one of two.
    fn with(self, other: Wider) -> Wider {
        Wider {
            other_hosts: self.other_hosts.with(other.other_hosts),
            behind_proxies: self.behind_proxies.with(other.behind_proxies),
            other_pods: self.other_pods.with(other.other_pods),
            account: self.account.or(other.account),
        }
    }

    /// Returns the gaps of a rule with such peers.
    pub fn gaps(self, rule: &Rule) -> impl Iterator<Item = Gap> {
        let hosts =
            (!self.other_hosts.is_empty()).then(|| (self.other_hosts, Why::OtherHosts(Arc::clone(&rule.destination))));
        let proxies = (!self.behind_proxies.is_empty()).then_some((self.behind_proxies, Why::BehindProxies));
        let account =
            self.account.map(|account| (self.other_pods, Why::Indistinct(Box::new(Indistinct::Account(account)))));
        let all = hosts.into_iter().chain(proxies).chain(account);
        all.map(|(on, why)| Gap { on, level: Level::Wider, why })
    }
}

impl<'a> View<'a> {
    /// Returns the terms of an allow at one end, and how far they are wider than the rule.
    pub fn allowed(self, rule: &'a Rule, direction: Direction) -> (Vec<Reach<'a>>, Wider) {
        match (direction, &rule.via) {
            (Direction::Egress, None) => self.outward(&rule.destination),
            // The way to the gateway is a grant of the same subject, and the only way.
            (Direction::Egress, Some(_)) => Default::default(),
            (Direction::Ingress, None) => self.inward(&rule.source, &rule.destination),
            (Direction::Ingress, Some(via)) => {
                (self.with_ports_of(self.gateway(&via.gateway), &rule.destination), Wider::default())
            }
        }
    }

    /// Returns the terms of a grant, and how far they are wider than the grant.
    pub fn granted(self, grant: &'a Grant) -> (Vec<Reach<'a>>, Wider) {
        match grant.direction {
            Direction::Egress => self.outward(&grant.destination),
            Direction::Ingress => self.inward(&grant.source, &grant.destination),
        }
    }

    /// Returns the peers on the way out: the members that have the same ports together.
    fn outward(self, destination: &'a Endpoint) -> (Vec<Reach<'a>>, Wider) {
        let mut groups: Vec<(PortList, Vec<&'a Member>)> = Vec::new();
        for member in &destination.members {
            let Some(ports) = PortList::of(&self.ports(member)) else { continue };
            match groups.iter_mut().find(|(have, _)| *have == ports) {
                Some((_, members)) => members.push(member),
                None => groups.push((ports, vec![member])),
            }
        }
        let (mut reaches, mut all_wider) = (Vec::with_capacity(groups.len()), Wider::default());
        for (ports, members) in groups {
            let left_out = &self.policy.inventory.left_out;
            let by_port = Traffics::of_list(&ports, &left_out.without_addresses());
            let (peers, wider) = self.peers(&members, (Traffics::of_list(&ports, left_out), by_port));
            all_wider = all_wider.with(wider);
            reaches.extend(peers.map(|peers| Reach { member: None, peers: Rc::new(peers), ports }));
        }
        (reaches, all_wider)
    }

    /// Returns the peers on the way in, on the ports of each member of the subject.
    fn inward(self, source: &'a Endpoint, destination: &'a Endpoint) -> (Vec<Reach<'a>>, Wider) {
        let members: Vec<&Member> = source.members.iter().collect();
        let left_out = &self.policy.inventory.left_out;
        let kinds = destination
            .pods()
            .fold(Traffics::default(), |kinds, (to, _)| kinds.with(Traffics::of(&to.ports, left_out)));
        let outside = source.members.iter().any(|member| !matches!(member.what, What::Pods(_)));
        let mut pods = destination.pods();
        if outside && pods.any(|(_, pods)| self.policy.behind_proxies(&pods.selector).is_some()) {
            let peers = match self.proxies_of(destination) {
                Some(proxies) => {
                    let pods: Vec<&Member> = source.pods().map(|(member, _)| member).collect();
                    let mut peers = match self.peers(&pods, (kinds, kinds)).0 {
                        Some(Peers::Some(list)) => list.as_slice().to_vec(),
                        _ => Vec::new(),
                    };
                    self.blocks(proxies, &mut peers);
                    without_repetition(&mut peers);
                    NonEmpty::new(peers).map(Peers::Some)
                }
                None => Some(Peers::Everything),
            };
            let reaches = self.with_ports_of(peers, destination);
            return (reaches, Wider { behind_proxies: kinds, ..Wider::default() });
        }
        let (peers, wider) = self.peers(&members, (kinds, kinds));
        (self.with_ports_of(peers, destination), wider)
    }

    /// Returns the addresses of the proxies in front of some pods, if all are those of one gateway that gives them.
    fn proxies_of(self, destination: &Endpoint) -> Option<&'a AddressSet> {
        let gives = |gateway: &&Arc<Gateway>| {
            !gateway.proxies_from.is_empty()
                && destination.pods().all(|(_, pods)| pods.selector.is_inside(&gateway.pods))
        };
        self.policy.gateways.iter().find(gives).map(|gateway| &gateway.proxies_from)
    }

    /// Returns whether proxies in front of some pods hide the clients that a deny tells from others.
    pub fn hides_denied(self, deny: &Rule, pods: &PodSelector) -> bool {
        denies_some_clients(deny) && self.policy.behind_proxies(pods).is_some()
    }

    fn with_ports_of(self, peers: Option<Peers<'a>>, destination: &'a Endpoint) -> Vec<Reach<'a>> {
        let Some(peers) = peers.map(Rc::new) else { return Vec::new() };
        let ports = destination.pods().map(|(member, _)| PortList::of(&self.ports(member))).enumerate();
        ports
            .filter_map(|(at, ports)| Some(Reach { member: Some(at), peers: Rc::clone(&peers), ports: ports? }))
            .collect()
    }

    /// Returns the ports of a member, with numbers for port names where the settings ask for them and all known pods of
    /// the member have the name for the same number.
    fn ports(self, member: &Member) -> Cow<'_, Ports> {
        let named = |port: &PortMatch| matches!(port.port, PortTest::Named(_));
        let (What::Pods(pods), true) = (&member.what, self.policy.settings.port_numbers) else {
            return Cow::Borrowed(&member.ports);
        };
        if !self.policy.inventory.given || !member.ports.entries().iter().any(named) {
            return Cow::Borrowed(&member.ports);
        }
        let known = self.policy.inventory.select(&pods.selector);
        let number = |port: &PortMatch| {
            let PortTest::Named(name) = &port.port else { return None };
            let mut numbers = known.iter().map(|workload| {
                let alike = |have: &&ContainerPort| have.name.as_ref() == Some(name) && have.protocol == port.protocol;
                let mut numbers = workload.ports.iter().filter(alike).map(|have| have.port);
                numbers.next().filter(|first| numbers.all(|other| other == *first))
            });
            let first = numbers.next()??;
            numbers.all(|other| other == Some(first)).then_some(first)
        };
        let with_number = |port: &PortMatch| match number(port) {
            Some(number) => PortMatch { port: PortTest::Range(number, number), ..port.clone() },
            None => port.clone(),
        };
        Cow::Owned(Ports::Some(member.ports.entries().iter().map(with_number).collect()))
    }

    /// Returns peers without repetition, for some kinds of traffic, and for the kinds that only their ports are for;
    /// `None` without peers.
    fn peers(self, members: &[&'a Member], (kinds, by_port): (Traffics, Traffics)) -> (Option<Peers<'a>>, Wider) {
        let left_out = &self.policy.inventory.left_out.addresses;
        let of = |places: &AddressSet| if left_out.overlaps(places) { kinds } else { by_port };
        let mut wider = Wider::default();
        if is_everybody(members.iter().copied()) {
            return (Some(Peers::Everything), wider);
        }
        let mut peers = Vec::with_capacity(members.len());
        for member in members {
            match &member.what {
                What::Pods(pods) => {
                    let pods = self.policy.inventory.without_accounts(&pods.selector);
                    if let Some(account) = pods.shared_account {
                        wider.other_pods = wider.other_pods.with(kinds);
                        wider.account.get_or_insert(account);
                    }
                    peers.extend(pods.selectors.into_iter().map(Peer::pods));
                }
                What::Addresses(set) => self.blocks(set, &mut peers),
                What::Host(host) if host.at.is_empty() => {
                    wider.other_hosts = wider.other_hosts.with(of(self.internet));
                    peers.extend(self.internet.blocks.iter().map(|block| Peer::Block(Cow::Borrowed(block))));
                }
                What::Host(host) => {
                    if host.name.wildcard {
                        wider.other_hosts = wider.other_hosts.with(of(&host.addresses()));
                    }
                    let set = host.addresses().subtract(&self.policy.pod_addresses);
                    peers.extend(set.blocks.into_iter().map(|block| Peer::Block(Cow::Owned(block))));
                }
            }
        }
        without_repetition(&mut peers);
        (NonEmpty::new(peers).map(Peers::Some), wider)
    }

    fn blocks(self, set: &'a AddressSet, peers: &mut Vec<Peer<'a>>) {
        if self.policy.pod_addresses.blocks.is_empty() {
            peers.extend(set.blocks.iter().map(|block| Peer::Block(Cow::Borrowed(block))));
        } else {
            let set = set.subtract(&self.policy.pod_addresses);
            peers.extend(set.blocks.into_iter().map(|block| Peer::Block(Cow::Owned(block))));
        }
    }

    fn gateway(self, gateway: &'a Gateway) -> Option<Peers<'a>> {
        let pods = gateway.pods.iter().flat_map(|pods| self.policy.inventory.without_accounts(pods).selectors);
        NonEmpty::new(pods.map(Peer::pods).collect()).map(Peers::Some)
    }

    /// Returns the parts of a deny at one end, each with the member of the subject that has these ports.
    pub fn denied(self, at: RuleId, rule: &'a Rule, direction: Direction) -> Vec<(Option<usize>, Denied<'a>)> {
        let requests = (!rule.conditions.is_none()).then_some(Kept::Requests);
        let mut denied = Vec::new();
        let hidden = |to: &Member| match &to.what {
            What::Pods(pods) if direction == Direction::Ingress => {
                self.hides_denied(rule, &pods.selector).then_some(Kept::BehindProxies)
            }
            _ => None,
        };
        let mut push =
            |of: Option<usize>, member: &'a Member, to: &'a Member, ports: &PortList| {
                let (ports, alike) = self.names_alike(to, ports);
                let (denied_peers, unsayable): (Vec<DeniedPeer<'a>>, _) = match &member.what {
                    What::Pods(pods) => {
                        let pods = self.policy.inventory.without_accounts(&pods.selector);
                        let why = pods.shared_account.map(|_| Kept::Account);
                        (pods.selectors.into_iter().map(DeniedPeer::Pods).collect(), why)
                    }
                    What::Addresses(set) => (vec![DeniedPeer::Addresses(Cow::Borrowed(set))], hidden(to)),
                    What::Host(host) if host.at.is_empty() => {
                        (vec![DeniedPeer::Addresses(Cow::Borrowed(self.internet))], Some(Kept::Host))
                    }
                    What::Host(host) => (vec![DeniedPeer::Addresses(Cow::Owned(host.addresses()))], hidden(to)),
                };
                let unsayable = requests.or(unsayable);
                denied.extend(denied_peers.into_iter().map(|peer| {
                    (of, Denied { rule: at, peer, ports: ports.clone(), unsayable, alike: alike.clone() })
                }));
            };
        match direction {
            Direction::Egress => {
                for member in &rule.destination.members {
                    if let Some(ports) = PortList::of(&self.ports(member)) {
                        push(None, member, member, &ports);
                    }
                }
            }
            Direction::Ingress => {
                for (of, (governed, _)) in rule.destination.pods().enumerate() {
                    let Some(ports) = PortList::of(&self.ports(governed)) else { continue };
                    for member in &rule.source.members {
                        push(Some(of), member, governed, &ports);
                    }
                }
            }
        }
        denied
    }
}

impl View<'_> {
    /// Returns the ports of a deny with the names that mean the same numbers on all known pods of its destination, and
    /// the names that do so on some of them.
    fn names_alike(self, to: &Member, ports: &PortList) -> (PortList, Alike) {
        let What::Pods(pods) = &to.what else { return (ports.clone(), Alike::Some(Vec::new())) };
        if ports.names().next().is_none() {
            return (ports.clone(), Alike::Some(Vec::new()));
        }
        let known = self.policy.inventory.select(&pods.selector);
        if known.is_empty() {
            return (ports.clone(), Alike::Every);
        }
        let denied = |workload: &Workload, port: &ContainerPort| {
            let mut own = workload.ports.iter().filter(|own| (own.port, own.protocol) == (port.port, port.protocol));
            own.any(|own| {
                ports.names().any(|(of, name)| of.protocol() == own.protocol && own.name.as_ref() == Some(name))
            })
        };
        let mut found: BTreeMap<(Transport, SmolStr), (bool, bool)> = BTreeMap::new();
        for workload in known {
            for port in &workload.ports {
                let (Some(transport), Some(name)) = (Transport::of(port.protocol), &port.name) else { continue };
                if ports.names().all(|named| named != (transport, name)) {
                    let (some, all) = found.entry((transport, name.clone())).or_insert((false, true));
                    let same = denied(workload, port);
                    *some |= same;
                    *all &= same;
                }
            }
        }
        let always = found.iter().filter(|(_, (_, all))| *all).map(|(name, _)| name.clone());
        let ports = ports.with_names(always.collect::<Vec<_>>());
        let sometimes = found.into_iter().filter(|(_, (some, all))| *some && !all);
        (ports, Alike::Some(sometimes.map(|((_, name), _)| name).collect()))
    }
}

fn without_repetition(peers: &mut Vec<Peer<'_>>) {
    if peers.len() > 1 {
        let mut seen = rustc_hash::FxHashSet::default();
        let keep: Vec<bool> = peers.iter().map(|peer| seen.insert(peer)).collect();
        let mut keep = keep.into_iter();
        peers.retain(|_| keep.next().unwrap_or(true));
    }
}
