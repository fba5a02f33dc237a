//! `via` on egress as sets: at the gateway that rules lead out through, the flows that ask for a host, and those let
//! in.
//!
//! ```text
//! use std/istio (egress-gateway)
//! allow egress garden/* -> api.example:80/http via egress-gateway where method GET
//!     at the gateway, on its port for such ways, what asks for api.example by the name of mutual TLS
//!         is let in from the pods of garden, if it is a GET for api.example
//! ```
//!
//! A deny of a host that a gateway leads to is judged at the gateway, too: the pods of the deny are refused there.
//!
//! In the policy itself, the way to a gateway is a grant, because its rules judge the flow from the pod to the host.
//! The objects of a layer judge that flow at the gateway, so they are compared there.

use super::{Meaning, Statement};
use crate::flows::{Name, Set, Side};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::What;
use crate::model::hosts::Host;
use crate::model::ports::{AppProtocol, PortMatch, PortTest};
use crate::model::rules::{Action, Direction, Rule};

impl<'p> Meaning<'p> {
    /// From now on a rule with `via` on egress is judged at its gateway, and allows no direct flow to its hosts.
    pub fn judge_ways(&mut self) {
        self.ways = true;
        let policy = self.policy;
        let all = self.egress.of_place.values().flatten().chain(&self.egress.wide);
        let rules = all.filter_map(|statement| if let Statement::Rule(at) = *statement { Some(at) } else { None });
        let mut rules: Vec<usize> = rules.collect();
        rules.sort_unstable();
        rules.dedup();
        let leading: Vec<usize> = rules.iter().copied().filter(|at| policy.rules[*at].via.is_some()).collect();
        for &at in &leading {
            let places = self.gateway_places(&policy.rules[at]);
            self.add(Direction::Ingress, places, Statement::LedOut(at));
        }
        self.leading = leading;
        if self.leading.is_empty() {
            return;
        }
        for at in rules.into_iter().filter(|at| policy.rules[*at].action == Action::Deny) {
            let near = self.leading_out(&policy.rules[at]);
            let places: Vec<Option<u32>> = near.into_iter().flat_map(|rule| self.gateway_places(rule)).collect();
            if !places.is_empty() {
                self.add(Direction::Ingress, places, Statement::LedOutDenied(at));
            }
        }
    }

    fn gateway_places(&self, rule: &Rule) -> Vec<Option<u32>> {
        let gateways = rule.via.iter().flat_map(|via| &via.gateway.pods);
        gateways.map(|pods| pods.namespace_name().map(|name| self.flows.space.place(name))).collect()
    }

    /// Returns the rules that may lead pods of a deny out through gateways, by their labels.
    fn leading_out(&self, deny: &Rule) -> Vec<&'p Rule> {
        if !deny.conditions.is_none() {
            return Vec::new();
        }
        let policy = self.policy;
        let meets = |rule: &&Rule| {
            let mut pods = rule.source.pods();
            pods.any(|(_, one)| deny.source.pods().any(|(_, other)| one.selector.overlaps(&other.selector)))
        };
        self.leading.iter().map(|at| &policy.rules[*at]).filter(meets).collect()
    }

    /// Returns the flows, at the pods of gateways, from the pods of a deny to hosts that it fully denies and that a
    /// rule leads to there.
    pub(super) fn led_out_denied(&mut self, deny: &Rule) -> Set {
        let mut sets = Vec::new();
        for rule in self.leading_out(deny) {
            let Some(via) = &rule.via else { continue };
            let mut asked = Vec::new();
            for member in &rule.destination.members {
                let What::Host(host) = &member.what else { continue };
                for port in member.ports.entries() {
                    asked.push(self.denied_names(deny, host, port));
                }
            }
            let asked = self.flows.diagrams.union(asked);
            let pods = self.gateway_pods(&via.gateway, Side::Destination, true);
            let ports = via.exit_ports().into_iter().map(|port| self.tcp_port(port)).collect();
            let d = &mut self.flows.diagrams;
            let ports = d.union(ports);
            let there = d.and(pods, ports);
            sets.push(d.and(there, asked));
        }
        let from = self.source(&deny.source, Direction::Ingress);
        let d = &mut self.flows.diagrams;
        let there = d.union(sets);
        d.and(from, there)
    }

    /// Returns the flows that ask for a host which a deny denies on a port, at all addresses of the host.
    fn denied_names(&mut self, deny: &Rule, host: &Host, port: &PortMatch) -> Set {
        let PortTest::Range(first, _) = port.port else { return Set::NONE };
        let mut sets = Vec::new();
        let mut denied = AddressSet::default();
        for member in deny.destination.members.iter().filter(|one| one.ports.matches(Some(first), port.protocol, &[])) {
            match &member.what {
                What::Host(other) => {
                    sets.push(self.flows.asks_for_host(Name::Tls, other));
                    denied.blocks.extend(other.addresses().blocks);
                }
                What::Addresses(set) => denied.blocks.extend(set.blocks.iter().cloned()),
                What::Pods(_) => {}
            }
        }
        let asked = self.flows.asks_for_host(Name::Tls, host);
        let at = if host.at.is_empty() { self.policy.internet.clone() } else { host.addresses() };
        if at.is_inside(&denied) {
            return asked;
        }
        let d = &mut self.flows.diagrams;
        let named = d.union(sets);
        d.and(asked, named)
    }

    /// Returns, at the pods of the gateway of a rule with `via` on egress, the flows that the rule concerns, and those
    /// of them that it lets in.
    pub(super) fn led_out(&mut self, rule: &Rule) -> (Set, Set) {
        let Some(via) = &rule.via else { return (Set::NONE, Set::NONE) };
        let (mut concerned, mut fitting) = (Vec::new(), Vec::new());
        for member in &rule.destination.members {
            let What::Host(host) = &member.what else { continue };
            let by_tls = self.flows.asks_for_host(Name::Tls, host);
            concerned.push(by_tls);
            for entry in member.ports.entries() {
                let mut met = self.met(&rule.conditions, entry.app, false);
                if entry.app.is_some_and(AppProtocol::has_requests) {
                    let by_http = self.flows.asks_for_host(Name::Host, host);
                    met = self.flows.diagrams.and(met, by_http);
                }
                fitting.push(self.flows.diagrams.and(by_tls, met));
            }
        }
        let ports = via.exit_ports().into_iter().map(|port| self.tcp_port(port)).collect();
        let pods = self.gateway_pods(&via.gateway, Side::Destination, true);
        let from = self.source(&rule.source, Direction::Ingress);
        let d = &mut self.flows.diagrams;
        let [ports, concerned, fitting] = [ports, concerned, fitting].map(|sets: Vec<Set>| d.union(sets));
        let there = d.and(pods, ports);
        let concerned = d.and(there, concerned);
        let fitting = d.and(concerned, fitting);
        (concerned, d.and(from, fitting))
    }

    /// Returns the flows at the pods of a namespace that rules which lead out through gateways concern, and the flows
    /// of these that they let in.
    pub(super) fn all_led_out(&mut self, place: u32) -> (Set, Set) {
        let (mut concerned, mut fitting) = (Vec::new(), Vec::new());
        for statement in self.statements(Direction::Ingress, place) {
            let Statement::LedOut(at) = statement else { continue };
            let sets = self.led_out(&self.policy.rules[at]);
            concerned.push(self.flows.with_place(sets.0, true, place));
            fitting.push(self.flows.with_place(sets.1, true, place));
        }
        let d = &mut self.flows.diagrams;
        (d.union(concerned), d.union(fitting))
    }
}
