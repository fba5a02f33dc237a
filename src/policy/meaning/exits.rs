//! `via` on egress as sets, at the gateway through which rules lead out: who asks there for which host, and how.
//!
//! ```text
//! use std/istio (egress-gateway)
//! allow egress garden/* -> api.example:80/http via egress-gateway where method GET
//!     at the gateway, on its port for such ways, what asks for api.example by the name of mutual TLS
//!         is let in from the pods of garden, if it is a GET for api.example
//! ```
//!
//! The policy itself calls the way to a gateway a grant, since the flow that its rules judge is the one from the pod to
//! the host. Where objects are compared with the rules, the gateway is where that flow is judged.

use super::{Meaning, Statement};
use crate::flows::{Name, Set, Side};
use crate::model::endpoint::What;
use crate::model::ports::AppProtocol;
use crate::model::rules::{Direction, Rule};

impl Meaning<'_> {
    /// From now on a rule with `via` on the way out lets no flow straight to its hosts, and is judged at its gateway.
    pub fn judge_ways(&mut self) {
        self.ways = true;
        let mut found = Vec::new();
        let all = self.egress.of_place.values().flatten().chain(&self.egress.wide);
        for statement in all {
            if let Statement::Rule(at) = *statement
                && let rule = &self.policy.rules[at]
                && rule.via.is_some()
            {
                found.push(at);
            }
        }
        found.sort_unstable();
        found.dedup();
        for at in found {
            let gateways = self.policy.rules[at].via.iter().flat_map(|via| &via.gateway.pods);
            let places: Vec<Option<u32>> =
                gateways.map(|pods| pods.namespace_name().map(|name| self.flows.space.place(name))).collect();
            self.add(Direction::Ingress, places, Statement::LedOut(at));
        }
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

    /// Returns the flows at the pods of a place that rules which lead out through gateways concern, and those that they
    /// let in.
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
