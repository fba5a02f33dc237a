//! Rule ends as sets: the flows that rules and grants match, and the flows of the pods that they govern.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Meaning;
use super::gateway::OfPort;
use super::kept::Kept;
use crate::flows::{Name, Set, Side};
use crate::model::addresses::AddressSet;
use crate::model::conditions::{ClaimName, Conditions, Jwt};
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::gateways::Gateway;
use crate::model::ports::{AppProtocol, Ports};
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::{Grant, GrantReason};

/// The sets that were made, by endpoint, because many rules share an endpoint.
#[derive(Default)]
pub(super) struct Ends {
    governed: FxHashMap<(Kept<Endpoint>, Direction), Set>,
    sources: FxHashMap<(Kept<Endpoint>, Direction), Set>,
    destinations: FxHashMap<(Kept<Endpoint>, Kept<Conditions>, bool, Direction), Set>,
    /// The connections that some gateway passes on unread, by the judged direction.
    pub(super) passed_through: FxHashMap<Direction, Set>,
    /// The flows on the ports of each gateway.
    pub(super) of_gateways: FxHashMap<Kept<Gateway>, Arc<[OfPort]>>,
    /// The flows into pods that proxies can read, for pods of any namespace.
    pub(super) read: Option<Set>,
    /// The conditions of a grant: none.
    pub(super) unconditional: Arc<Conditions>,
}

impl Meaning<'_> {
    /// Returns the flows that a rule matches, judged in a direction.
    pub fn matched(&mut self, rule: &Rule, judged: Direction) -> Set {
        if rule.via.is_some() && rule.ingress {
            return self.passed_on(rule, judged);
        }
        let deny = rule.action == Action::Deny;
        let source = self.source(&rule.source, judged);
        let destination = self.destination(&rule.destination, &rule.conditions, deny, judged);
        self.flows.diagrams.and(source, destination)
    }

    /// Returns the flows of the pods that a rule governs in a direction.
    pub fn governed(&mut self, rule: &Rule, direction: Direction) -> Set {
        // If the source is pods only, their outgoing flows are the flows from the source.
        if direction == Direction::Egress && rule.source.is_workloads() {
            return self.source(&rule.source, direction);
        }
        let key = (Kept(Arc::clone(rule.subject(direction))), direction);
        if let Some(known) = self.ends.governed.get(&key) {
            return *known;
        }
        let sets = self.governed_in_parts(rule, direction);
        let set = self.flows.diagrams.union(sets);
        self.ends.governed.insert(key, set);
        set
    }

    /// Returns the flows from an endpoint.
    pub(super) fn source(&mut self, endpoint: &Arc<Endpoint>, judged: Direction) -> Set {
        let key = (Kept(Arc::clone(endpoint)), judged);
        if let Some(known) = self.ends.sources.get(&key) {
            return *known;
        }
        let sets = endpoint.members.iter().map(|member| self.source_member(member, judged)).collect();
        let set = self.flows.diagrams.union(sets);
        self.ends.sources.insert(key, set);
        set
    }

    /// Returns the flows to an endpoint on its ports that meet some conditions. A deny of a host also matches every
    /// host at its addresses, and a deny of a path every spelling of it.
    pub(super) fn destination(
        &mut self,
        endpoint: &Arc<Endpoint>,
        conditions: &Arc<Conditions>,
        deny: bool,
        judged: Direction,
    ) -> Set {
        let key = (Kept(Arc::clone(endpoint)), Kept(Arc::clone(conditions)), deny, judged);
        if let Some(known) = self.ends.destinations.get(&key) {
            return *known;
        }
        let members = endpoint.members.iter();
        let sets = members.map(|member| self.destination_member(member, conditions, deny, judged)).collect();
        let set = self.flows.diagrams.union(sets);
        self.ends.destinations.insert(key, set);
        set
    }

    fn source_member(&mut self, member: &Member, judged: Direction) -> Set {
        let own = judged == Direction::Egress;
        match &member.what {
            What::Pods(pods) => self.flows.pods(Side::Source, own, &pods.selector),
            What::Addresses(set) => {
                let at = self.flows.at(Side::Source, set);
                self.flows.outside(own, at)
            }
            What::Host(host) => {
                let at = self.flows.at(Side::Source, &host.addresses());
                self.flows.outside(own, at)
            }
        }
    }

    fn destination_member(&mut self, member: &Member, conditions: &Conditions, deny: bool, judged: Direction) -> Set {
        let what = self.what(&member.what, deny, judged);
        let request = self.requests(&member.ports, conditions, deny, judged);
        self.flows.diagrams.and(what, request)
    }

    /// Returns the flows that a rule matches, judged in a direction: one set for each pair of members of its two sides.
    pub(super) fn matched_in_parts(&mut self, rule: &Rule, judged: Direction) -> Vec<Set> {
        if rule.via.is_some() && rule.ingress {
            return vec![self.passed_on(rule, judged)];
        }
        let deny = rule.action == Action::Deny;
        let to = rule.destination.members.iter();
        let to: Vec<Set> = to.map(|one| self.destination_member(one, &rule.conditions, deny, judged)).collect();
        let mut parts = Vec::new();
        for member in &rule.source.members {
            let from = self.source_member(member, judged);
            parts.extend(to.iter().map(|to| self.flows.diagrams.and(from, *to)));
        }
        parts
    }

    /// Returns the flows of the pods that a rule governs in a direction: one set for each member.
    pub(super) fn governed_in_parts(&mut self, rule: &Rule, direction: Direction) -> Vec<Set> {
        let side = if direction == Direction::Egress { Side::Source } else { Side::Destination };
        let pods = rule.subject(direction).pods().map(|(_, pods)| &pods.selector);
        pods.map(|pods| self.flows.pods(side, true, pods)).collect()
    }

    /// Returns the flows to a member, on any port.
    pub(super) fn what(&mut self, what: &What, deny: bool, judged: Direction) -> Set {
        let own = judged == Direction::Ingress;
        match what {
            What::Pods(pods) => self.flows.pods(Side::Destination, own, &pods.selector),
            What::Addresses(set) => {
                let at = self.flows.at(Side::Destination, set);
                self.flows.outside(own, at)
            }
            What::Host(host) => {
                let by_name = self.flows.to_host(host);
                let mut at = self.flows.at(Side::Destination, &host.addresses());
                if !deny {
                    let nameless = self.flows.to_no_host();
                    at = self.flows.diagrams.and(at, nameless);
                }
                let either = self.flows.diagrams.or(by_name, at);
                self.flows.outside(own, either)
            }
        }
    }

    /// Returns the flows on some ports that meet conditions. The protocol of the port decides which name is compared:
    /// the TLS name or the HTTP host.
    pub(super) fn requests(&mut self, ports: &Ports, conditions: &Conditions, deny: bool, judged: Direction) -> Set {
        if conditions.is_none() {
            return self.flows.ports(ports);
        }
        let mut sets = Vec::new();
        for entry in ports.entries() {
            let port = self.flows.port(entry);
            let met = self.met(conditions, entry.app, deny);
            sets.push(self.flows.diagrams.and(port, met));
        }
        if *ports == Ports::All {
            sets.push(self.met(conditions, None, deny));
        }
        let read = self.flows.diagrams.union(sets);
        if conditions.hosts.is_empty() || self.policy.gateways.is_empty() {
            return read;
        }
        // A connection that a gateway passes on unread shows only its TLS name, whatever protocol the rule gives its
        // port.
        let unread = self.passed_through(judged);
        let ports = self.flows.ports(ports);
        let met = self.met(conditions, Some(AppProtocol::Tls), deny);
        let d = &mut self.flows.diagrams;
        let by_tls = d.and(ports, met);
        let by_tls = d.and(unread, by_tls);
        let otherwise = d.minus(read, unread);
        d.or(by_tls, otherwise)
    }

    /// Returns the flows that meet conditions on a port with some protocol.
    pub(super) fn met(&mut self, conditions: &Conditions, read: Option<AppProtocol>, deny: bool) -> Set {
        // All conditions are named here, so that the compiler reports a new one.
        let Conditions { methods, paths, not_paths, hosts, headers, jwt } = conditions;
        let mut set = Set::ALL;
        if !methods.is_empty() {
            let methods = self.flows.methods(methods);
            set = self.flows.diagrams.and(set, methods);
        }
        if !paths.is_empty() {
            // Paths that a rule refuses are compared in every spelling, paths that it lets through as they are written.
            let [paths, not] = [(paths, deny), (not_paths, !deny)].map(|(paths, spelled)| {
                let paths = paths.iter().map(|path| self.flows.path(path, spelled)).collect();
                self.flows.diagrams.union(paths)
            });
            let paths = self.flows.diagrams.minus(paths, not);
            set = self.flows.diagrams.and(set, paths);
        }
        for header in headers {
            let one = self.flows.header(&header.name, &header.values);
            set = self.flows.diagrams.and(set, one);
        }
        if !hosts.is_empty() {
            let mut named = self.flows.to_names(hosts);
            for name in if read == Some(AppProtocol::Tls) { [Name::Host, Name::Tls].as_slice() } else { &[Name::Host] }
            {
                let asked = self.flows.asks_for_names(*name, hosts);
                named = self.asked_or(*name, asked, named);
            }
            set = self.flows.diagrams.and(set, named);
        }
        if let Some(jwt) = jwt {
            let token = self.token(jwt);
            set = self.flows.diagrams.and(set, token);
        }
        set
    }

    /// Returns the flows that are `asked` for by a name; if this name is unknown, those of `otherwise`.
    pub(super) fn asked_or(&mut self, name: Name, asked: Set, otherwise: Set) -> Set {
        let unknown = self.flows.shows_no(name);
        let d = &mut self.flows.diagrams;
        let otherwise = d.and(unknown, otherwise);
        d.or(asked, otherwise)
    }

    fn token(&mut self, jwt: &Jwt) -> Set {
        let mut set = self.flows.issuer(&jwt.issuer.url);
        if !jwt.subjects.is_empty() {
            let subjects = self.flows.subjects(&jwt.subjects);
            set = self.flows.diagrams.and(set, subjects);
        }
        let audiences = (&ClaimName::plain("aud"), &jwt.issuer.audiences);
        let audiences = Some(audiences).filter(|(_, wanted)| !wanted.is_empty());
        for (name, values) in audiences.into_iter().chain(jwt.claims.iter().map(|(name, values)| (name, values))) {
            let values = values.iter().map(|value| self.flows.claim(&name.0, value)).collect();
            let one = self.flows.diagrams.union(values);
            set = self.flows.diagrams.and(set, one);
        }
        set
    }

    /// Returns the flows that a grant opens.
    pub fn granted(&mut self, grant: &Grant) -> Set {
        let judged = grant.direction;
        let source = self.source(&grant.source, judged);
        let conditions = self.ends.unconditional.clone();
        let destination = self.destination(&grant.destination, &conditions, false, judged);
        let all = self.flows.diagrams.and(source, destination);
        match grant.reason {
            GrantReason::Dns | GrantReason::Keys => all,
            GrantReason::Istiod => {
                let from_sidecar = self.flows.from_sidecar();
                self.flows.diagrams.and(all, from_sidecar)
            }
            GrantReason::Gateway => {
                let half = self.gateway_half(grant);
                self.flows.diagrams.and(all, half)
            }
        }
    }

    /// Returns the addresses that an endpoint contains.
    pub(super) fn addresses_of(endpoint: &Endpoint) -> AddressSet {
        let blocks = endpoint.members.iter().flat_map(|member| match &member.what {
            What::Addresses(set) => set.blocks.clone(),
            What::Host(host) => host.addresses().blocks,
            What::Pods(_) => Vec::new(),
        });
        AddressSet { blocks: blocks.collect() }
    }
}
