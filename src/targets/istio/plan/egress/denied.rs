//! Denies, taken out of Sidecars. Istio has no deny on egress: denied items are left out of the allowed ones, or pass,
//! which is a gap.
//!
//! ```netpol
//! allow egress garden/* -> {a.example:443, b.example:443}
//! deny  egress garden/* -> b.example:443
//! ```
//!
//! ```yaml
//! hosts: [a.example]
//! hosts: ["./a.example"]
//! ```
//!
//! A host is left out if the deny names it, or if all addresses that it may have are denied. If only some of its `at`
//! addresses are denied, its ServiceEntry has the others. A host without `at` is resolved by the caller, so no
//! addresses can be left out of it.

use std::collections::BTreeMap;
use std::rc::Rc;

use ipnet::IpNet;
use smol_str::SmolStr;

use super::destinations::Destinations;
use super::items::{Item, Outside};
use super::services::all_of;
use crate::inventory::{Service, ServicePort, TargetPort, Workload};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::labels::PodSelector;
use crate::model::networks::Networks;
use crate::model::ports::{PortTest, Ports, Protocol};
use crate::model::rules::RuleId;
use crate::targets::istio::facts::{Facts, means};
use crate::targets::istio::nets::is_single;
use crate::targets::istio::plan::ports::numbers_of;

/// Takes one deny out of some items; returns why an item had to stay.
pub fn take_out(
    facts: &Facts<'_>,
    destinations: &mut Destinations<'_, '_>,
    items: &mut Vec<(u32, bool)>,
    denied: &Endpoint,
) -> Option<String> {
    let mut gap = None;
    for member in &denied.members {
        let kept = |(at, _): &(u32, bool)| matches!(less(facts, destinations.item(*at), member), Less::Kept);
        if items.iter().all(kept) {
            continue;
        }
        let mut kept = Vec::with_capacity(items.len());
        let mut queue: Vec<(Item, bool)> = Vec::new();
        for &(at, local) in items.iter() {
            // Most items do not overlap the deny.
            match less(facts, destinations.item(at), member) {
                Less::Kept => kept.push((at, local)),
                _ => queue.push((destinations.item(at).clone(), local)),
            }
        }
        queue.reverse();
        while let Some((item, local)) = queue.pop() {
            match less(facts, &item, member) {
                Less::Kept => kept.push((destinations.number(item), local)),
                Less::Gone => {}
                Less::Gap(why) => {
                    gap.get_or_insert(why);
                    kept.push((destinations.number(item), local));
                }
                Less::Parts(parts) => kept.extend(parts.into_iter().map(|part| (destinations.number(part), local))),
                Less::Again(parts) => queue.extend(parts.into_iter().map(|part| (part, local))),
            }
        }
        *items = kept;
    }
    items.sort_unstable();
    items.dedup_by_key(|(at, _)| *at);
    gap
}

/// The rest of an item after a deny.
enum Less {
    Kept,
    Gone,
    Parts(Vec<Item>),
    /// These items instead, which are examined again.
    Again(Vec<Item>),
    /// The whole item, although some of it is denied.
    Gap(String),
}

fn less(facts: &Facts<'_>, item: &Item, member: &Member) -> Less {
    match (item, &member.what) {
        (Item::Host(outside, port), What::Host(denied)) => {
            if !has_port(&member.ports, port.leaves_on()) || !outside.name.overlaps(&denied.name) {
                return Less::Kept;
            }
            // Names that `except` takes out of a denied wildcard are not denied.
            let spared = |whole: bool| {
                let mut names = denied.except.iter();
                if whole {
                    names.any(|name| name.contains(&outside.name))
                } else {
                    names.any(|name| name.overlaps(&outside.name))
                }
            };
            if spared(true) {
                Less::Kept
            } else if denied.name.contains(&outside.name) && !spared(false) {
                Less::Gone
            } else {
                Less::Gap(format!("{} cannot be left out of {}", denied.name, outside.name))
            }
        }
        (Item::Addresses(set, ports), What::Addresses(denied)) => addresses_less(set, ports, denied, &member.ports),
        (Item::Addresses(set, ports), What::Host(denied)) => {
            if !ports.iter().any(|&port| has_port(&member.ports, port)) {
                Less::Kept
            } else if !denied.at.is_empty() {
                addresses_less(set, ports, &denied.addresses(), &member.ports)
            } else if set.overlaps(&facts.policy.internet) {
                Less::Gap(format!("{} may be at one of the addresses that are let through", denied.name))
            } else {
                Less::Kept
            }
        }
        (Item::Service { namespace, name, port, .. }, What::Pods(pods)) => {
            service_less(facts, (namespace, name, *port), &pods.selector, &member.ports)
        }
        // No part of the API server's Service can be left out.
        (Item::Service { .. }, What::Addresses(denied)) => {
            match leads_to_api_server(facts, item, |set| set.overlaps(denied), &member.ports) {
                true => Less::Gone,
                false => Less::Kept,
            }
        }
        (Item::Services { namespace }, What::Pods(pods)) => {
            whole_less(facts, namespace.as_ref(), &pods.selector, &member.ports)
        }
        _ => Less::Kept,
    }
}

/// Returns whether an item is the API server's Service, and one of the API server's addresses is denied on some ports.
fn leads_to_api_server(facts: &Facts<'_>, item: &Item, is_denied: impl Fn(&AddressSet) -> bool, ports: &Ports) -> bool {
    let meets = |server: &Member| {
        let addresses = matches!(&server.what, What::Addresses(set) if is_denied(set));
        addresses && server.ports.may_overlap(ports)
    };
    matches!(item, Item::Service { namespace, name, .. } if namespace == "default" && name == "kubernetes")
        && facts.policy.api_server.members.iter().any(meets)
}

/// Consecutive denies of networks on the same ports. They are taken out together, because one by one each would examine
/// all items, and divide again what the earlier ones left.
#[derive(Default)]
pub struct DeniedNetworks<'d> {
    nets: Vec<IpNet>,
    ports: Option<&'d Ports>,
}

impl<'d> DeniedNetworks<'d> {
    /// Adds the destination of a deny, and returns whether it is one of networks on these ports.
    pub fn join(&mut self, denied: &'d Endpoint) -> bool {
        let Some(ports) = self.ports.or(denied.members.first().map(|member| &member.ports)) else { return false };
        let own = self.nets.len();
        for member in &denied.members {
            match &member.what {
                What::Addresses(set)
                    if member.ports == *ports && set.blocks.iter().all(|one| one.except.is_empty()) =>
                {
                    self.nets.extend(set.blocks.iter().map(|block| block.net));
                }
                _ => {
                    self.nets.truncate(own);
                    return false;
                }
            }
        }
        self.ports = Some(ports);
        true
    }

    /// Takes the networks out of some items.
    pub fn take_out(self, facts: &Facts<'_>, destinations: &mut Destinations<'_, '_>, items: &mut Vec<(u32, bool)>) {
        let Some(ports) = self.ports else { return };
        let denied = Networks::new(self.nets.into_iter().map(|net| (net, ())));
        let mut kept = Vec::with_capacity(items.len());
        for &(at, local) in items.iter() {
            let parts = match destinations.item(at) {
                Item::Addresses(set, of) if of.iter().any(|&port| has_port(ports, port)) => {
                    let taken: Vec<IpNet> = denied.meeting_set(set).map(|(net, ())| *net).collect();
                    match taken.is_empty() {
                        true => Less::Kept,
                        false => addresses_less(set, of, &AddressSet::of(taken), ports),
                    }
                }
                item if leads_to_api_server(facts, item, |set| denied.meeting_set(set).next().is_some(), ports) => {
                    Less::Gone
                }
                _ => Less::Kept,
            };
            match parts {
                Less::Gone => {}
                Less::Parts(parts) => kept.extend(parts.into_iter().map(|part| (destinations.number(part), local))),
                _ => kept.push((at, local)),
            }
        }
        *items = kept;
        items.sort_unstable();
        items.dedup_by_key(|(at, _)| *at);
    }
}

/// A host with some denied addresses and some others.
pub struct Reduced {
    /// The item as the rules name it, and whether only a mesh-wide rule does.
    pub asked: (u32, bool),
    /// The item that is left.
    pub left: u32,
    /// The denies of the other addresses.
    pub denies: Vec<RuleId>,
}

/// Takes the addresses of all denies together out of the hosts that may have them. Returns the hosts with some
/// addresses left, and the reason for each deny that is not enforced.
pub fn take_out_of_hosts(
    facts: &Facts<'_>,
    destinations: &mut Destinations<'_, '_>,
    items: &mut Vec<(u32, bool)>,
    denies: &[(RuleId, &Endpoint)],
) -> (Vec<Reduced>, Vec<(RuleId, String)>) {
    let (mut reduced, mut gaps) = (Vec::new(), Vec::new());
    let by_address = |member: &Member| matches!(&member.what, What::Addresses(_) | What::Host(_));
    if !denies.iter().any(|(_, denied)| denied.members.iter().any(by_address)) {
        return (reduced, gaps);
    }
    let mut on_port: BTreeMap<u16, DeniedAddresses> = BTreeMap::new();
    let mut kept = Vec::with_capacity(items.len());
    for &(at, mesh) in items.iter() {
        let Item::Host(outside, port) = destinations.item(at) else {
            kept.push((at, mesh));
            continue;
        };
        let number = port.leaves_on();
        let denied = on_port.entry(number).or_insert_with(|| DeniedAddresses::on(facts, denies, number));
        match denied.less(outside) {
            HostLess::Kept => kept.push((at, mesh)),
            HostLess::Gone => {}
            HostLess::Gap(rules, why) => {
                gaps.extend(rules.into_iter().map(|rule| (rule, why.clone())));
                kept.push((at, mesh));
            }
            HostLess::Reduced(left, denies) => {
                let item = Item::Host(Rc::new(left), *port);
                let left = destinations.number(item);
                reduced.push(Reduced { asked: (at, mesh), left, denies });
                // Its addresses are only for these pods, so its ServiceEntry is in their namespace.
                kept.push((left, false));
            }
        }
    }
    kept.sort_unstable();
    *items = kept;
    // The order must not decide which host the message names.
    gaps.sort();
    (reduced, gaps)
}

/// The addresses that some denies name on one port.
struct DeniedAddresses {
    by_rule: Vec<(RuleId, AddressSet)>,
    all: AddressSet,
    /// Whether some public addresses are among them, and whether all are.
    internet: (bool, bool),
}

enum HostLess {
    Kept,
    Gone,
    Reduced(Outside, Vec<RuleId>),
    Gap(Vec<RuleId>, String),
}

impl DeniedAddresses {
    fn on(facts: &Facts<'_>, denies: &[(RuleId, &Endpoint)], port: u16) -> DeniedAddresses {
        let by_rule = denies.iter().map(|(rule, denied)| {
            let mut set = AddressSet::default();
            for member in denied.members.iter().filter(|member| has_port(&member.ports, port)) {
                match &member.what {
                    What::Addresses(addresses) => set.blocks.extend(addresses.blocks.iter().cloned()),
                    What::Host(host) => set.blocks.extend(host.addresses().blocks),
                    What::Pods(_) => {}
                }
            }
            (*rule, set)
        });
        let by_rule: Vec<(RuleId, AddressSet)> = by_rule.filter(|(_, set)| !set.blocks.is_empty()).collect();
        let all = AddressSet { blocks: by_rule.iter().flat_map(|(_, set)| set.blocks.iter().cloned()).collect() };
        let internet = &facts.policy.internet;
        let internet = (internet.overlaps(&all), internet.is_inside(&all));
        DeniedAddresses { by_rule, all, internet }
    }

    fn less(&self, host: &Outside) -> HostLess {
        if host.at.is_empty() {
            return match self.internet {
                (false, _) => HostLess::Kept,
                (true, true) => HostLess::Gone,
                (true, false) => HostLess::Gap(
                    self.by_rule.iter().map(|(rule, _)| *rule).collect(),
                    format!("{} has no `at`, and may be at an address that is denied", host.name),
                ),
            };
        }
        let at = AddressSet::of(host.at.iter().map(|at| at.net));
        if !at.overlaps(&self.all) {
            return HostLess::Kept;
        }
        if at.is_inside(&self.all) {
            return HostLess::Gone;
        }
        let denies = self.by_rule.iter().filter(|(_, set)| set.overlaps(&at)).map(|(rule, _)| *rule).collect();
        let left: Vec<_> =
            host.at.iter().filter(|at| !AddressSet::of([at.net]).is_inside(&self.all)).copied().collect();
        // A host is listed by its single addresses; a network can only be found by the name.
        if left.iter().all(|at| is_single(&at.net)) {
            HostLess::Reduced(Outside { name: host.name.clone(), at: left }, denies)
        } else {
            HostLess::Gap(denies, format!("{} is found by its name in a network of which a part is denied", host.name))
        }
    }
}

fn addresses_less(set: &Rc<AddressSet>, ports: &Rc<[u16]>, denied: &AddressSet, denied_ports: &Ports) -> Less {
    let (hit, free): (Vec<u16>, Vec<u16>) = ports.iter().partition(|&&port| has_port(denied_ports, port));
    if hit.is_empty() || !set.overlaps(denied) {
        return Less::Kept;
    }
    let left = set.subtract(denied);
    let mut parts = Vec::new();
    if !left.is_empty() {
        parts.push(Item::Addresses(Rc::new(left), hit.into()));
    }
    if !free.is_empty() {
        parts.push(Item::Addresses(Rc::clone(set), free.into()));
    }
    Less::Parts(parts)
}

/// Returns the items that a deny leaves of all Services of a namespace.
fn whole_less(facts: &Facts<'_>, namespace: Option<&SmolStr>, denied: &PodSelector, ports: &Ports) -> Less {
    if !tcp(ports) {
        return Less::Kept;
    }
    let unknown = || Less::Gap("the Services that lead to the denied pods are not known".into());
    let Some(namespace) = namespace else {
        if denied.all_pods() && denied.namespace.is_any() && every_tcp(ports) {
            return Less::Gone;
        }
        if !facts.closed() {
            return unknown();
        }
        let each = facts.names().iter().map(|name| Item::Services { namespace: Some((*name).clone()) });
        return Less::Again(each.collect());
    };
    match facts.meets(namespace, &denied.namespace) {
        Some(false) => Less::Kept,
        Some(true) if denied.all_pods() && every_tcp(ports) => Less::Gone,
        _ => match all_of(facts, namespace).filter(|_| facts.closed()) {
            Some(items) => Less::Again(items),
            None => unknown(),
        },
    }
}

fn service_less(
    facts: &Facts<'_>,
    (namespace, name, port): (&SmolStr, &SmolStr, u16),
    denied: &PodSelector,
    ports: &Ports,
) -> Less {
    let meets = facts.meets(namespace, &denied.namespace);
    if meets == Some(false) || !tcp(ports) {
        return Less::Kept;
    }
    if meets.is_none() {
        return Less::Gap(format!(
            "Service {namespace}/{name} leads to denied pods if {namespace} has the labels, which `namespace {namespace} {{ labels {{ … }} }}` says"
        ));
    }
    let partly = || Less::Gap(format!("Service {namespace}/{name} leads to denied pods and to others"));
    let service = facts.policy.inventory.services.get(&(namespace.clone(), name.clone()));
    let Some((service, labels)) = service.and_then(|service| Some((service, service.selector.as_ref()?))) else {
        return if denied.all_pods() && every_tcp(ports) { Less::Gone } else { partly() };
    };
    let pairs: Vec<(SmolStr, SmolStr)> = labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let pods: Vec<&Workload> = facts
        .workloads(namespace)
        .map(|known| known.having(&pairs).into_iter().map(|at| known.workloads[at as usize]).collect())
        .unwrap_or_default();
    if pods.is_empty() {
        return if denied.all_pods() && every_tcp(ports) { Less::Gone } else { partly() };
    }
    let hit = pods.iter().filter(|pod| means(denied, pod) && targets(service, port, pod, ports)).count();
    match hit {
        0 => Less::Kept,
        all if all == pods.len() => Less::Gone,
        _ => partly(),
    }
}

/// Returns whether a Service's port leads to one of some ports of a pod.
fn targets(service: &Service, port: u16, pod: &Workload, wanted: &Ports) -> bool {
    let same = |have: &&ServicePort| have.port == port && have.protocol == Protocol::Tcp;
    let Some(port) = service.ports.iter().find(same) else { return false };
    let numbers: Vec<u16> = match &port.target {
        TargetPort::Number(number) => vec![*number],
        TargetPort::Name(name) => numbers_of(&pod.ports, name).collect(),
    };
    numbers.iter().any(|&number| {
        let names: Vec<SmolStr> =
            pod.ports.iter().filter(|port| port.port == number).filter_map(|port| port.name.clone()).collect();
        wanted.matches(Some(number), Protocol::Tcp, &names)
    })
}

fn has_port(ports: &Ports, port: u16) -> bool {
    ports.matches(Some(port), Protocol::Tcp, &[])
}

fn tcp(ports: &Ports) -> bool {
    *ports == Ports::All || ports.entries().iter().any(|port| port.protocol == Protocol::Tcp)
}

fn every_tcp(ports: &Ports) -> bool {
    *ports == Ports::All
        || ports
            .entries()
            .iter()
            .any(|port| port.protocol == Protocol::Tcp && port.port == PortTest::Range(1, u16::MAX))
}
