//! `via` on ingress as sets: the flows that a gateway lets in, and those that it passes on to the workload.

use std::sync::Arc;

use super::Meaning;
use super::kept::Kept;
use crate::flows::{Name, Set, Side};
use crate::model::endpoint::What;
use crate::model::gateways::{Gateway, GatewayPort, Via};
use crate::model::hosts::HostName;
use crate::model::ports::{AppProtocol, PortMatch, Ports, Protocol};
use crate::model::rules::{Direction, Rule};
use crate::policy::Grant;

/// The flows on a port of a gateway, at the gateway's pods.
pub(super) struct OfPort {
    /// The flows that it passes on unread; their host is the TLS name.
    unread: Set,
    /// The flows that it may read and does not pass on unread; their host is the HTTP host.
    read: Set,
}

impl Meaning<'_> {
    /// Returns the flows that a rule with `via` on ingress matches at its workload: from the gateway, for one of the
    /// rule's public hosts, and for one of its clients, as far as these are known.
    pub(super) fn passed_on(&mut self, rule: &Rule, judged: Direction) -> Set {
        let Some(via) = &rule.via else { return Set::NONE };
        let gateway = self.gateway_pods(&via.gateway, Side::Source, judged == Direction::Egress);
        let client = self.flows.client(&Self::addresses_of(&rule.source));
        let asked = match via.at.is_empty() {
            true => Set::ALL,
            false => {
                // Behind the gateway the TLS name that the client asked for cannot be seen.
                let entries = rule.destination.members.iter().flat_map(|member| member.ports.entries());
                let tls = entries.filter(|entry| entry.app == Some(AppProtocol::Tls));
                let mut sets: Vec<Set> = tls.map(|entry| self.flows.port(entry)).collect();
                sets.push(self.asks_http(&via.at));
                self.flows.diagrams.union(sets)
            }
        };
        let destination = self.destination(&rule.destination, &rule.conditions, false, judged);
        let d = &mut self.flows.diagrams;
        let passed = d.and(client, asked);
        let passed = d.and(gateway, passed);
        d.and(passed, destination)
    }

    /// Returns, at the pods of the gateway of a rule with `via` on ingress, the flows that the rule concerns, and those
    /// of them that it lets in.
    pub fn published(&mut self, rule: &Rule) -> (Set, Set) {
        let Some(via) = &rule.via else { return (Set::NONE, Set::NONE) };
        let gateway = self.gateway_pods(&via.gateway, Side::Destination, true);
        let clients = self.source(&rule.source, Direction::Ingress);
        let (concerned, fitting) = match via.at.is_empty() {
            true => {
                let ports = via.ports.iter().map(|port| self.tcp_port(*port)).collect();
                let ports = self.flows.diagrams.union(ports);
                (ports, ports)
            }
            false => self.published_hosts(rule, via),
        };
        let d = &mut self.flows.diagrams;
        let concerned = d.and(gateway, concerned);
        let fitting = d.and(concerned, fitting);
        (concerned, d.and(fitting, clients))
    }

    fn published_hosts(&mut self, rule: &Rule, via: &Via) -> (Set, Set) {
        let tls = |entry: &PortMatch| entry.app == Some(AppProtocol::Tls);
        let takes_tls = rule.destination.members.iter().any(|member| member.ports.entries().iter().any(tls));
        let (mut concerned, mut fitting) = (Vec::new(), Vec::new());
        let met_by_tls = match takes_tls {
            true => self.met(&rule.conditions, Some(AppProtocol::Tls), false),
            false => Set::NONE,
        };
        let met = self.met(&rule.conditions, Some(AppProtocol::Http), false);
        let (by_tls, by_http) = (self.asks_tls(&via.at), self.asks_http(&via.at));
        for of_port in self.of_ports(&via.gateway).iter() {
            let d = &mut self.flows.diagrams;
            let by_sni = d.and(of_port.unread, by_tls);
            let by_host = d.and(of_port.read, by_http);
            concerned.extend([by_sni, by_host]);
            fitting.push(d.and(by_sni, met_by_tls));
            fitting.push(d.and(by_host, met));
        }
        let d = &mut self.flows.diagrams;
        (d.union(concerned), d.union(fitting))
    }

    /// Returns the flows on each TCP port of a gateway.
    fn of_ports(&mut self, gateway: &Arc<Gateway>) -> Arc<[OfPort]> {
        let key = Kept(Arc::clone(gateway));
        if let Some(known) = self.ends.of_gateways.get(&key) {
            return Arc::clone(known);
        }
        let mut all = Vec::new();
        let mut seen: Vec<u16> = Vec::new();
        for port in gateway.ports.iter().filter(|port| port.protocol == Protocol::Tcp) {
            if seen.contains(&port.target) {
                continue;
            }
            seen.push(port.target);
            let number = self.tcp_port(port.target);
            let unread = self.known_by_tls(|name| is_unread(port, name));
            let read = self.known_by_http(|name| is_read(port, name));
            let d = &mut self.flows.diagrams;
            let (unread, read) = (d.and(number, unread), d.and(number, read));
            all.push(OfPort { unread, read: d.minus(read, unread) });
        }
        let all: Arc<[OfPort]> = all.into();
        self.ends.of_gateways.insert(key, Arc::clone(&all));
        all
    }

    /// Returns the flows that a grant opens as a gateway's part of a rule.
    pub(super) fn gateway_half(&mut self, grant: &Grant) -> Set {
        let policy = self.policy;
        let own = grant.direction == Direction::Ingress;
        let mut to_pods = Vec::new();
        let mut elsewhere = Set::NONE;
        for rule in grant.because.iter().filter_map(|at| policy.rule(*at)) {
            // At the gateway, the way out is judged by the rule itself.
            if self.ways && own && rule.egress {
                continue;
            }
            elsewhere = Set::ALL;
            to_pods.push(if rule.ingress && own {
                self.published(rule).1
            } else if rule.egress {
                let mut sets = Vec::new();
                for member in &rule.destination.members {
                    if let What::Host(host) = &member.what {
                        sets.push(self.flows.asks_for_host(Name::Tls, host));
                    }
                }
                let asked = self.flows.diagrams.union(sets);
                self.asked_or(Name::Tls, asked, Set::ALL)
            } else {
                Set::ALL
            });
        }
        let outside = self.flows.outside(own, elsewhere);
        let d = &mut self.flows.diagrams;
        let to_pods = d.union(to_pods);
        let pods = self.flows.any_pod(own);
        let d = &mut self.flows.diagrams;
        let to_pods = d.and(pods, to_pods);
        d.or(outside, to_pods)
    }

    /// Returns the connections that some gateway passes on unread, by their TLS name.
    pub(super) fn passed_through(&mut self, judged: Direction) -> Set {
        if let Some(known) = self.ends.passed_through.get(&judged) {
            return *known;
        }
        let policy = self.policy;
        let mut sets = Vec::new();
        for gateway in &policy.gateways {
            let pods = self.gateway_pods(gateway, Side::Destination, judged == Direction::Ingress);
            for port in &gateway.ports {
                let number = self.flows.number(port.target);
                let unread = self.known_by_tls(|name| is_unread(port, name));
                let there = self.flows.diagrams.and(number, unread);
                sets.push(self.flows.diagrams.and(pods, there));
            }
        }
        let all = self.flows.diagrams.union(sets);
        self.ends.passed_through.insert(judged, all);
        all
    }

    /// Returns the flows from outside to gateways with proxies in front.
    pub(super) fn behind_proxies(&mut self, direction: Direction, place: u32) -> Set {
        let policy = self.policy;
        let mut sets = Vec::new();
        for gateway in policy.gateways.iter().filter(|one| direction == Direction::Ingress && one.proxies > 0) {
            let pods = self.gateway_pods(gateway, Side::Destination, true);
            sets.push(self.flows.with_place(pods, true, place));
        }
        let to = self.flows.diagrams.union(sets);
        let from = self.flows.outside(false, Set::ALL);
        self.flows.diagrams.and(to, from)
    }

    /// Returns the flows that fit the ports of gateways: a port for HTTP gets requests without TLS, one that terminates
    /// TLS gets requests inside TLS, and one that passes TLS on gets only TLS.
    pub(super) fn as_read(&mut self, judged: Direction) -> Set {
        let policy = self.policy;
        let requests = self.flows.with_request();
        let opaque = self.flows.diagrams.complement(requests);
        let (by_tls, no_tls) = (self.flows.asks_for(Name::Tls, |_| true), self.flows.shows_no(Name::Tls));
        let mut others = Vec::new();
        for gateway in &policy.gateways {
            let pods = self.gateway_pods(gateway, Side::Destination, judged == Direction::Ingress);
            for port in &gateway.ports {
                let number = self.flows.number(port.target);
                let unread = self.flows.asks_for(Name::Tls, |name| is_unread(port, name));
                let d = &mut self.flows.diagrams;
                let read = match (port.app, port.servers.is_empty()) {
                    (Some(AppProtocol::Tls), true) => d.minus(by_tls, requests),
                    (Some(AppProtocol::Http | AppProtocol::Grpc), true) => d.and(requests, no_tls),
                    (None, true) if port.unknown => continue,
                    (None, true) => d.and(opaque, no_tls),
                    _ => {
                        let passed = d.minus(unread, requests);
                        let ended = if port.has_requests() { d.minus(requests, unread) } else { Set::NONE };
                        d.or(passed, ended)
                    }
                };
                let there = d.and(pods, number);
                others.push(d.minus(there, read));
            }
        }
        let others = self.flows.diagrams.union(others);
        self.flows.diagrams.complement(others)
    }

    /// Returns the flows that ask for one of some hosts by the HTTP host, or if it is unknown by the TLS name.
    fn asks_http(&mut self, hosts: &[HostName]) -> Set {
        let by_tls = self.flows.asks_for_names(Name::Tls, hosts);
        let by_http = self.flows.asks_for_names(Name::Host, hosts);
        self.asked_or(Name::Host, by_http, by_tls)
    }

    /// Returns the flows that ask for one of some hosts by the TLS name, or if it is unknown by the HTTP host.
    fn asks_tls(&mut self, hosts: &[HostName]) -> Set {
        let by_tls = self.flows.asks_for_names(Name::Tls, hosts);
        let by_http = self.flows.asks_for_names(Name::Host, hosts);
        self.asked_or(Name::Tls, by_tls, by_http)
    }

    /// Returns the flows whose host, as [`Meaning::asks_http`] looks for it, passes a test.
    fn known_by_http(&mut self, test: impl Fn(&str) -> bool) -> Set {
        let by_tls = self.flows.asks_for(Name::Tls, &test);
        let by_http = self.flows.asks_for(Name::Host, &test);
        self.asked_or(Name::Host, by_http, by_tls)
    }

    /// Returns the flows whose host, as [`Meaning::asks_tls`] looks for it, passes a test.
    fn known_by_tls(&mut self, test: impl Fn(&str) -> bool) -> Set {
        let by_tls = self.flows.asks_for(Name::Tls, &test);
        let by_http = self.flows.asks_for(Name::Host, &test);
        self.asked_or(Name::Tls, by_tls, by_http)
    }

    pub(super) fn gateway_pods(&mut self, gateway: &Gateway, side: Side, own: bool) -> Set {
        let sets = gateway.pods.iter().map(|pods| self.flows.pods(side, own, pods)).collect();
        self.flows.diagrams.union(sets)
    }

    pub(super) fn tcp_port(&mut self, port: u16) -> Set {
        self.flows.ports(&Ports::Some(vec![PortMatch::range(port, port, Protocol::Tcp)]))
    }
}

/// Returns whether a port passes on connections for a name unread.
fn is_unread(port: &GatewayPort, name: &str) -> bool {
    port.names(&HostName { wildcard: false, name: name.into() }).sni
}

/// Returns whether a port may read requests for a name.
fn is_read(port: &GatewayPort, name: &str) -> bool {
    port.has_requests() || port.names(&HostName { wildcard: false, name: name.into() }).unknown
}
