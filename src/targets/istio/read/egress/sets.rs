//! Landings as sets of flows.

use super::LetOut;
use super::land::{Landing, To};
use crate::flows::{Flows, Name, Set, Side, Terms};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::What;
use crate::model::hosts::HostName;
use crate::model::labels::{Labels, PodSelector, Requirement, Requirements};
use crate::model::ports::{PortMatch, PortTest, Ports, Protocol};
use crate::policy::Policy;

impl Landing<'_> {
    /// Adds the values of the landing to the values in play.
    pub(super) fn terms(&self, terms: &mut Terms) {
        for labels in self.from.iter().flatten().chain(&self.but) {
            terms.pods(&selector(labels));
        }
        match &self.to {
            To::Everything | To::Anywhere(_) | To::AnyAddress(_) => {}
            To::Host(host, _) => terms.host(host.clone()),
            To::At(host, addresses, _) => {
                terms.host(host.clone());
                terms.addresses(&AddressSet::of(addresses.iter().map(|one| (*one).into())));
            }
            To::Addresses(nets, _) => terms.addresses(&AddressSet::of(nets.iter().copied())),
            To::Pods(pods, ports) => led_to_terms(pods, ports, terms),
            To::Endpoint(endpoint) => terms.endpoint(endpoint),
            To::Gateway(pods, _, name, (host, _)) => {
                pods.iter().for_each(|pods| terms.pods(pods));
                terms.host(name.clone());
                terms.host(host.clone());
            }
        }
    }

    /// Returns the flows from the pods of a namespace that end there; `to` are those from anywhere.
    pub(super) fn set(&self, to: LetOut, flows: &mut Flows, place: u32) -> LetOut {
        let must = if self.sure { to.must } else { Set::NONE };
        if self.from.is_none() && self.but.is_empty() {
            return LetOut { may: to.may, must };
        }
        let mut any_of = |list: &[&Labels]| {
            let sets = list.iter().map(|labels| flows.pods(Side::Source, true, &selector(labels))).collect();
            let all = flows.diagrams.union(sets);
            flows.with_place(all, true, place)
        };
        let but = any_of(&self.but);
        let from = self.from.as_ref().map_or(Set::ALL, |list| any_of(list));
        let d = &mut flows.diagrams;
        let from = d.minus(from, but);
        LetOut { may: d.and(from, to.may), must: d.and(from, must) }
    }
}

impl To<'_> {
    /// Returns the flows from anywhere that end there.
    pub(super) fn set(&self, policy: &Policy, flows: &mut Flows) -> LetOut {
        let both = |set| LetOut { may: set, must: set };
        match self {
            To::Everything => both(Set::ALL),
            To::Host(name, port) => both(at_host(flows, name, *port)),
            To::At(name, addresses, port) => {
                let set = AddressSet::of(addresses.iter().map(|one| (*one).into()));
                let there = on_port(flows, &set, *port);
                let named = flows.to_names(std::slice::from_ref(name));
                let must = flows.diagrams.and(there, named);
                // At an address that the host does not have, another host answers.
                let elsewhere = set.subtract(&flows.space.places_of(&name.name));
                let elsewhere = on_port(flows, &elsewhere, *port);
                let nameless = flows.to_no_host();
                let d = &mut flows.diagrams;
                let others = d.and(elsewhere, nameless);
                LetOut { may: d.or(must, others), must }
            }
            To::Addresses(nets, port) => {
                let set = AddressSet::of(nets.iter().copied());
                let must = on_port(flows, &set, *port);
                let nameless = flows.to_no_host();
                let mut may = flows.diagrams.and(must, nameless);
                if set.overlaps(&policy.pod_addresses) {
                    let pods = flows.any_pod(false);
                    let port = flows.port(&PortMatch::range(*port, *port, Protocol::Tcp));
                    let pods = flows.diagrams.and(pods, port);
                    may = flows.diagrams.or(may, pods);
                }
                LetOut { may, must }
            }
            To::Anywhere(port) => both(on_port(flows, &AddressSet::everything(), *port)),
            To::AnyAddress(port) => both(flows.port(&PortMatch::range(*port, *port, Protocol::Tcp))),
            To::Pods(pods, ports) => both(led_to(flows, pods, ports)),
            To::Endpoint(endpoint) => {
                let mut sets = Vec::new();
                for member in &endpoint.members {
                    let there = match &member.what {
                        What::Pods(pods) => flows.pods(Side::Destination, false, &pods.selector),
                        What::Addresses(set) => {
                            let at = flows.at(Side::Destination, set);
                            flows.outside(false, at)
                        }
                        What::Host(_) => continue,
                    };
                    let ports = flows.ports(&member.ports);
                    sets.push(flows.diagrams.and(there, ports));
                }
                both(flows.diagrams.union(sets))
            }
            To::Gateway(pods, port, name, (host, own)) => {
                let mut sets = Vec::new();
                for pods in *pods {
                    let asked = flows.asks_for_names(Name::Tls, std::slice::from_ref(name));
                    let there = led_to(flows, pods, &[PortMatch::range(*port, *port, Protocol::Tcp)]);
                    sets.push(flows.diagrams.and(there, asked));
                }
                let may = flows.diagrams.union(sets);
                // The gateway's own connections to the host end there, too.
                let delivered = at_host(flows, host, *own);
                LetOut { may, must: flows.diagrams.or(may, delivered) }
            }
        }
    }
}

/// Returns the flows to pods on some of their ports.
pub(super) fn led_to(flows: &mut Flows, pods: &PodSelector, ports: &[PortMatch]) -> Set {
    let there = flows.pods(Side::Destination, false, pods);
    let ports = flows.ports(&Ports::Some(ports.to_vec()));
    flows.diagrams.and(there, ports)
}

/// Adds the values of such flows to the values in play.
pub(super) fn led_to_terms(pods: &PodSelector, ports: &[PortMatch], terms: &mut Terms) {
    terms.pods(pods);
    for port in ports {
        if let PortTest::Named(name) = &port.port {
            terms.port_name(name.clone());
        }
    }
}

fn at_host(flows: &mut Flows, name: &HostName, port: u16) -> Set {
    let named = flows.to_names(std::slice::from_ref(name));
    let there = on_port(flows, &AddressSet::everything(), port);
    flows.diagrams.and(there, named)
}

fn on_port(flows: &mut Flows, addresses: &AddressSet, port: u16) -> Set {
    let at = flows.at(Side::Destination, addresses);
    let there = flows.outside(false, at);
    let port = flows.port(&PortMatch::range(port, port, Protocol::Tcp));
    flows.diagrams.and(there, port)
}

fn selector(labels: &Labels) -> PodSelector {
    let list = labels.iter().map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()]));
    PodSelector { labels: Requirements::new(list).unwrap_or_else(Requirements::any), ..PodSelector::any() }
}
