//! Requests that arrive at a workload through a gateway, so that both legs of a way in are compared together.
//!
//! ```text
//! 203.0.113.8 -> a pod of edge, for garden.example              a layer lets it in there
//! a pod of edge -> garden/web, of client 203.0.113.8            so this comes, and the layer must not let it in
//! ```
//!
//! A workload need not check the clients that its gateway checks. If the workload's layer lets in other clients, this
//! is only a mistake if the gateway lets them in too.

use super::{Meaning, Statement};
use crate::flows::diagram::Values;
use crate::flows::{Feature, Name, OUTSIDE, Passing, Set, Side, Var};
use crate::model::ports::{AppProtocol, Ports, Protocol};
use crate::model::rules::Direction;

impl Meaning<'_> {
    /// Records that a layer lets in the flows of `within` that pass it, at the pods of a gateway in a namespace.
    pub fn let_in(&mut self, gateway: usize, place: u32, layer: Passing, within: Set) {
        let Some(of) = self.policy.gateways.get(gateway) else { return };
        let pods = self.gateway_pods(of, Side::Destination, true);
        let pods = self.flows.with_place(pods, true, place);
        let requests = self.flows.with_request();
        // On other ports the gateway does not listen, and rules with `via` do not concern them.
        let ports = of.ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.target);
        let ports = ports.map(|port| self.tcp_port(port)).collect();
        let d = &mut self.flows.diagrams;
        let ports = d.union(ports);
        let here = [pods, ports, requests].into_iter().fold(within, |set, other| d.and(set, other));
        let through = layer.set(d);
        let here = d.and(here, through);
        let from_outside = self.flows.with_place(here, false, OUTSIDE);
        let address = self.flows.space.var(Feature::Address(Side::Source));
        let mut others = self.flows.but_requests();
        others.retain(|var| *var != address);
        // Behind the gateway the TLS name that the client asked for cannot be seen.
        others.push(self.flows.space.var(Feature::TlsName));
        let taken = self.flows.diagrams.for_some(&others, from_outside);
        let passed_on = self.as_clients(taken, address);
        self.arriving.push((gateway, passed_on));
    }

    /// Returns requests with their source address moved to the client's address. Only the host is tested before it.
    fn as_clients(&mut self, requests: Set, address: Var) -> Set {
        let client = self.flows.space.var(Feature::Client);
        let d = &mut self.flows.diagrams;
        let Some(first) = d.first_test(requests).filter(|first| *first <= address) else {
            return d.numbers(client, [(1, u32::MAX)], requests);
        };
        let mut sets = Vec::new();
        for (values, rest) in d.branches(requests) {
            let d = &mut self.flows.diagrams;
            sets.push(match values {
                Values::Between(from, to) => d.numbers(client, [(from.saturating_add(1), to.saturating_add(1))], rest),
                hosts => {
                    let hosts = d.of_values(first, &hosts);
                    let of_clients = self.as_clients(rest, address);
                    self.flows.diagrams.and(hosts, of_clients)
                }
            });
        }
        self.flows.diagrams.union(sets)
    }

    /// Returns the flows into the pods of a namespace that arrive through a gateway which lets their clients in. Only
    /// flows to hosts of rules with `via` on ports with readable requests count: on other ports the client is unknown.
    pub(super) fn that_arrive(&mut self, place: u32, flows: Set) -> Set {
        let policy = self.policy;
        let mut sets = Vec::new();
        for statement in self.statements(Direction::Ingress, place) {
            let Statement::Rule(at) = statement else { continue };
            let rule = &policy.rules[at];
            let Some(via) = rule.via.as_ref().filter(|via| rule.ingress && !via.at.is_empty()) else { continue };
            let governed = self.governed(rule, Direction::Ingress);
            let governed = self.flows.with_place(governed, true, place);
            let entries = rule.destination.members.iter().flat_map(|member| member.ports.entries());
            let read = entries.filter(|entry| entry.app.is_some_and(AppProtocol::has_requests));
            let ports = Ports::Some(read.cloned().collect());
            let (ports, asked) = (self.flows.ports(&ports), self.flows.asks_for_names(Name::Host, &via.at));
            let d = &mut self.flows.diagrams;
            sets.push([governed, ports, asked].into_iter().fold(flows, |set, other| d.and(set, other)));
        }
        let asked = self.flows.diagrams.union(sets);
        let mut sets = Vec::new();
        for (gateway, passed_on) in self.arriving.clone() {
            let Some(gateway) = policy.gateways.get(gateway) else { continue };
            let from = self.gateway_pods(gateway, Side::Source, false);
            let d = &mut self.flows.diagrams;
            let come = d.and(asked, from);
            sets.push(d.and(come, passed_on));
        }
        self.flows.diagrams.union(sets)
    }
}
