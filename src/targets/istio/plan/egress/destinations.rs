//! Destinations of egress rules, as items that a Sidecar can let out: hosts, addresses and Services, each on TCP ports.
//!
//! ```netpol
//! allow egress garden/* -> {zenquotes.io:443, 203.0.113.0/24:5432}
//! ```
//!
//! ```yaml
//! addresses: [203.0.113.0/24]
//! resolution: NONE
//! ports:
//!   - { number: 5432, name: tcp-5432, protocol: TCP }
//! hosts: [zenquotes.io]
//! resolution: DNS
//! ports:
//!   - { number: 443, name: tls-443, protocol: TLS }
//! ```
//!
//! A sidecar recognises a host by its TLS name or HTTP host, so no other host is reached at its addresses. Other TCP
//! ports show no name: a host without `at` becomes its port at every public address, unless sidecars answer DNS and
//! give the host its own address (`[istio] dns-capture`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::items::{Class, Endpointed, HostPort, Item, Outside};
use super::services::{Services, class};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, What, is_everybody};
use crate::model::hosts::{Host, HostName, WeightedNet};
use crate::model::labels::PodSelector;
use crate::model::ports::{AppProtocol, PortTest, Ports, Protocol};
use crate::model::rules::Rule;
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::IstioGap;
use crate::targets::istio::limits::{MOST_ENDPOINTS, MOST_PORTS};
use crate::targets::istio::plan::ports::{TooMany, tcp_numbers};
use crate::targets::istio::words::list_names;

/// The destination of a rule on Istio.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The items to let out.
    pub items: Vec<u32>,
    /// The gap of items that let more through.
    pub gap: Option<IstioGap>,
    /// The headless Services that lead to any address, each with its port.
    pub at_any_address: Vec<(String, u16)>,
    /// Why Istio cannot express the destination at all.
    pub unable: Option<String>,
    /// The part of the destination that would need ports.
    pub portless: Option<String>,
    /// The flows that are refused although the rule allows them.
    pub narrower: Option<(Refuses, String)>,
    /// Whether the destination is everything.
    pub everything: bool,
    /// Whether the rule has conditions, which a sidecar does not read on egress.
    pub unread: bool,
}

/// A maker of items, which numbers them.
pub struct Destinations<'f, 'a> {
    facts: &'f Facts<'a>,
    services: Services<'f, 'a>,
    /// The addresses that a host without `at` may have.
    internet: Rc<AddressSet>,
    items: Vec<Item>,
    index: FxHashMap<Item, u32>,
    memory: FxHashMap<*const Endpoint, Rc<Reach>>,
    /// The cluster IPs of Services that have pods.
    cluster_ips: BTreeMap<IpAddr, &'a (SmolStr, SmolStr)>,
}

impl<'f, 'a> Destinations<'f, 'a> {
    /// Begins without items.
    pub fn new(facts: &'f Facts<'a>) -> Destinations<'f, 'a> {
        Destinations {
            facts,
            services: Services::new(facts),
            internet: Rc::new(facts.policy.internet.clone()),
            items: Vec::new(),
            index: FxHashMap::default(),
            memory: FxHashMap::default(),
            cluster_ips: facts
                .policy
                .inventory
                .services
                .iter()
                .filter(|(_, service)| service.selector.is_some())
                .flat_map(|(key, service)| service.addresses.iter().map(move |address| (*address, key)))
                .collect(),
        }
    }

    /// Returns an item.
    pub fn item(&self, at: u32) -> &Item {
        &self.items[at as usize]
    }

    /// Returns the hosts of all items, each once for every port.
    pub fn hosts(&self) -> impl Iterator<Item = &Outside> {
        self.items.iter().filter_map(|item| match item {
            Item::Host(outside, ..) => Some(outside.as_ref()),
            _ => None,
        })
    }

    /// Returns the number of an item.
    pub fn number(&mut self, item: Item) -> u32 {
        let items = &mut self.items;
        *self.index.entry(item).or_insert_with_key(|item| {
            items.push(item.clone());
            items.len() as u32 - 1
        })
    }

    /// Returns the destination of an allow.
    pub fn of_rule(&mut self, rule: &Rule) -> Rc<Reach> {
        if let Some(via) = &rule.via {
            let tls = via.gateway.ports.iter().find(|port| port.app == Some(AppProtocol::Tls));
            return Rc::new(self.of_endpoint(&rule.destination, Some(tls.map_or(0, |port| port.port))));
        }
        let key = Arc::as_ptr(&rule.destination);
        let reach = match self.memory.get(&key) {
            Some(reach) => Rc::clone(reach),
            None => {
                let reach = Rc::new(self.of_endpoint(&rule.destination, None));
                self.memory.insert(key, Rc::clone(&reach));
                reach
            }
        };
        if rule.conditions.is_none() {
            return reach;
        }
        // All flows to the destination are let out; the receiving end judges the conditions.
        Rc::new(Reach { unread: true, everything: false, ..Reach::clone(&reach) })
    }

    /// Returns the way to the cluster's DNS: its Service on TCP 53, whatever the pods' port.
    pub fn of_dns(&mut self, endpoint: &Endpoint) -> Rc<Reach> {
        let mut reach = Reach::default();
        for member in &endpoint.members {
            match &member.what {
                What::Pods(pods) => {
                    let item = self.resolver(&pods.selector, &member.ports);
                    self.add(&mut reach, item);
                }
                What::Addresses(_) | What::Host(_) => self.member(member, &mut reach, None),
            }
        }
        Rc::new(reach)
    }

    fn resolver(&mut self, selector: &PodSelector, ports: &Ports) -> Vec<Item> {
        let dns = |item: Item| match item {
            Item::Service { namespace, name, port: 53, headless, .. } => {
                Some(Item::Service { namespace, name, port: 53, class: Class::Tcp, headless })
            }
            _ => None,
        };
        let known: Vec<Item> = self.services.reach(selector, ports).items.iter().cloned().filter_map(dns).collect();
        if !known.is_empty() {
            return known;
        }
        // For an unknown Service, Kubernetes' usual name is used.
        let Some(namespace) = selector.namespace_name() else { return Vec::new() };
        let (namespace, port, class) = (namespace.clone(), 53, Class::Tcp);
        let name = if namespace == "openshift-dns" { "dns-default" } else { "kube-dns" };
        vec![Item::Service { namespace, name: name.into(), port, class, headless: false }]
    }

    fn add(&mut self, reach: &mut Reach, items: Vec<Item>) {
        for item in items {
            let number = self.number(item);
            reach.items.push(number);
        }
    }

    /// `by_gateway` is the port of a gateway's Service if a gateway leads to the hosts; the gateway knows each host by
    /// its own name.
    fn of_endpoint(&mut self, endpoint: &Endpoint, by_gateway: Option<u16>) -> Reach {
        let mut reach = Reach { everything: is_everything(endpoint), ..Reach::default() };
        if !reach.everything {
            endpoint.members.iter().for_each(|member| self.member(member, &mut reach, by_gateway));
            if covers(endpoint, &self.facts.policy.api_server) {
                let item = api_server(self.facts);
                self.add(&mut reach, vec![item]);
            }
            self.join_addresses(&mut reach);
            if let Some(words) = self.only_by_sidecar(&reach) {
                reach.narrower.get_or_insert((Refuses::Unasked, words));
            }
            reach.items.sort_unstable();
            reach.items.dedup();
        }
        reach
    }

    /// Returns words about a host whose TLS only the sidecar opens, and that pods reach in no other way. In `{ a:80,
    /// a:443 }` the second member lets the pods open TLS themselves.
    fn only_by_sidecar(&self, reach: &Reach) -> Option<String> {
        let hosts = reach.items.iter().filter_map(|&item| match self.item(item) {
            Item::Host(outside, port) => Some((&outside.name, port)),
            _ => None,
        });
        let is_dialled = |name, target| {
            hosts.clone().any(|(other, port)| other == name && port.number == target && port.tls_to.is_none())
        };
        hosts.clone().find_map(|(name, port)| {
            let target = port.tls_to.filter(|&target| !is_dialled(name, target))?;
            Some(format!(
                "TLS that a pod opens itself to {name}:{target} is refused: it dials {} and leaves TLS to its sidecar",
                port.number
            ))
        })
    }

    /// Joins the addresses that a rule names on the same ports into one list.
    fn join_addresses(&mut self, reach: &mut Reach) {
        let mut lists: BTreeMap<Rc<[u16]>, Vec<Rc<AddressSet>>> = BTreeMap::new();
        for &item in &reach.items {
            if let Item::Addresses(set, ports) = self.item(item) {
                lists.entry(Rc::clone(ports)).or_default().push(Rc::clone(set));
            }
        }
        if lists.values().all(|sets| sets.len() == 1) {
            return;
        }
        reach.items.retain(|&item| !matches!(self.items[item as usize], Item::Addresses(..)));
        for (ports, sets) in lists {
            let blocks = sets.iter().flat_map(|set| set.blocks.iter().cloned()).collect();
            self.add(reach, vec![Item::Addresses(Rc::new(AddressSet { blocks }), ports)]);
        }
    }

    fn member(&mut self, member: &Member, reach: &mut Reach, by_gateway: Option<u16>) {
        match &member.what {
            What::Pods(pods) => {
                let reached = self.services.reach(&pods.selector, &member.ports);
                let (items, gap) = (reached.items.clone(), reached.gap.clone());
                if reach.gap.is_none() {
                    reach.gap = gap;
                }
                reach.at_any_address.extend_from_slice(&reached.at_any_address);
                reach.narrower = reach.narrower.take().or_else(|| reached.narrower.clone());
                self.add(reach, items);
            }
            What::Addresses(set) => match tcp_numbers(&member.ports) {
                Ok(ports) if ports.is_empty() => {}
                Ok(ports) => {
                    if reach.gap.is_none() {
                        reach.gap = self.service_behind(set, &ports);
                    }
                    let item = Item::Addresses(Rc::new(set.clone()), ports.into());
                    self.add(reach, vec![item]);
                }
                Err(TooMany::All) => {
                    let (of, names) = match set.blocks.as_slice() {
                        [block] => (block.net.to_string(), "names"),
                        _ => ("these addresses".to_owned(), "name"),
                    };
                    reach.unable =
                        Some(format!("{of} {names} no ports, and Istio lets addresses through on named ports alone"));
                    reach.portless = Some(match names {
                        "names" => of,
                        _ => "the addresses".to_owned(),
                    });
                }
                Err(TooMany::Listed) => reach.unable = Some(too_many()),
            },
            What::Host(host) => self.host(host, &member.ports, reach, by_gateway),
        }
    }

    /// Returns the gap of addresses that hold the cluster IP of a Service: a sidecar passes on what is sent there, and
    /// the node leads it to the Service's pods.
    fn service_behind(&self, set: &AddressSet, ports: &[u16]) -> Option<IstioGap> {
        let services = &self.facts.policy.inventory.services;
        let mut inside = set.blocks.iter().flat_map(|block| {
            let ends = block.net.network()..=block.net.broadcast();
            self.cluster_ips.range(ends).filter(|(address, _)| set.contains(**address))
        });
        let (address, (namespace, name)) = inside.find(|(_, key)| {
            let open = services.get(*key).into_iter().flat_map(|service| &service.ports);
            open.filter(|port| port.protocol == Protocol::Tcp).any(|port| ports.contains(&port.port))
        })?;
        Some(IstioGap::wider(format!(
            "{address} among them is the cluster IP of {namespace}/{name}, and leads to its pods"
        )))
    }

    fn host(&mut self, host: &Host, ports: &Ports, reach: &mut Reach, by_gateway: Option<u16>) {
        let Ports::Some(list) = ports else {
            reach.unable = Some("Istio lets a host through on named ports alone".into());
            reach.portless = Some(host.name.to_string());
            return;
        };
        if host.at.len() > MOST_ENDPOINTS && list.iter().any(|port| port.app.is_some()) {
            reach.unable = Some(format!("more than {MOST_ENDPOINTS} addresses of {}", host.name));
            return;
        }
        if !host.except.is_empty() {
            reach.gap = Some(IstioGap::wider(format!("{} passes too", list_hosts(&host.except))));
        }
        let outside = Rc::new(Outside {
            name: host.name.clone(),
            at: host.at.iter().map(|&WeightedNet { net, weight }| Endpointed { net, weight }).collect(),
        });
        // A sidecar that answers DNS gives each host its own address, and recognises the host by it.
        let captured = self.facts.policy.settings.dns_capture && host.at.is_empty() && !host.name.wildcard;
        let sent = |port: HostPort| {
            let is_sent_on = by_gateway.is_some_and(|service_port| service_port != port.number);
            HostPort { is_sent_on, ..port }
        };
        let mut budget = MOST_PORTS;
        for port in list.iter().filter(|port| port.protocol == Protocol::Tcp) {
            let PortTest::Range(first, last) = port.port else { continue };
            let count = usize::from(last - first) + 1;
            if count > budget {
                reach.unable = Some(too_many());
                return;
            }
            budget -= count;
            if let Some(&one) = host.origination(port) {
                let port = HostPort { tls_to: Some(one.target), ..HostPort::plain(one.port, Some(one.app)) };
                self.add(reach, vec![Item::Host(Rc::clone(&outside), port)]);
                continue;
            }
            match port.app {
                Some(app) => {
                    let port = |number| sent(HostPort::plain(number, Some(app)));
                    let items = (first..=last).map(|number| Item::Host(Rc::clone(&outside), port(number))).collect();
                    self.add(reach, items);
                }
                None if by_gateway.is_some() || captured => {
                    let port = |number| sent(HostPort::plain(number, None));
                    let items = (first..=last).map(|number| Item::Host(Rc::clone(&outside), port(number))).collect();
                    self.add(reach, items);
                    if captured {
                        let words = format!(
                            "on a tcp port a sidecar finds {} by the address that it gives its pod itself: a pod that asks another \
                             resolver is refused",
                            host.name
                        );
                        reach.narrower.get_or_insert((Refuses::NothingAskedFor, words));
                    }
                }
                None if host.at.is_empty() => {
                    // Only the port is known of such a host, so it becomes this port at every address that it may have.
                    let why = format!("on a tcp port nothing says which host is meant, {} or another", host.name);
                    reach.gap = Some(IstioGap::wider(why));
                    let item = Item::Addresses(Rc::clone(&self.internet), (first..=last).collect());
                    self.add(reach, vec![item]);
                }
                None => {
                    let item = Item::Addresses(Rc::new(host.addresses()), (first..=last).collect());
                    self.add(reach, vec![item]);
                }
            }
        }
    }
}

/// Returns the Service of the API server, which pods dial: it leads to the API server's addresses and nowhere else.
fn api_server(facts: &Facts<'_>) -> Item {
    let (namespace, name) = (SmolStr::new_static("default"), SmolStr::new_static("kubernetes"));
    let service = facts.policy.inventory.services.get(&(namespace.clone(), name.clone()));
    let own = service.and_then(|service| service.ports.iter().find(|port| port.protocol == Protocol::Tcp));
    // For an unknown Service, Kubernetes' usual port is used: `https`.
    let (port, class) = own.map_or((443, Class::Tls), |port| (port.port, class(port)));
    Item::Service { namespace, name, port, class, headless: false }
}

/// Returns whether an endpoint contains all of some addresses on their ports; the addresses must not be empty.
fn covers(endpoint: &Endpoint, wanted: &Endpoint) -> bool {
    let addresses = |member: &Member| match &member.what {
        What::Addresses(set) => set.clone(),
        _ => AddressSet::default(),
    };
    let covered = |member: &Member| {
        let on_ports = endpoint.members.iter().filter(|own| own.ports.covers(&member.ports));
        let all = AddressSet { blocks: on_ports.flat_map(|own| addresses(own).blocks).collect() };
        let set = addresses(member);
        !set.is_empty() && set.is_inside(&all)
    };
    !wanted.members.is_empty() && wanted.members.iter().all(covered)
}

fn too_many() -> String {
    format!("more than {MOST_PORTS} ports")
}

fn list_hosts(hosts: &[HostName]) -> String {
    list_names(&hosts.iter().map(HostName::to_string).collect::<Vec<_>>())
}

/// Returns whether an endpoint is every pod and every address on every port.
fn is_everything(endpoint: &Endpoint) -> bool {
    is_everybody(endpoint.members.iter().filter(|member| member.ports == Ports::All))
}
