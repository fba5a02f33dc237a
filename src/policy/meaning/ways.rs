//! Ways through a gateway (a flow to the gateway and one from it): whether some of them pass, and whether all do.
//!
//! ```text
//! assert never 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at "garden.example.com"
//!     203.0.113.8 -> a pod of edge, tcp 8443, for host garden.example.com       one leg
//!     that pod of edge -> garden/{app=web}, tcp 8080, of client 203.0.113.8     and the other, with the same request
//! ```
//!
//! A way passes if both of its legs do. All ways of a claim pass if all of its legs do. For one way to pass, its two
//! legs must have the same request, client and gateway pod.

use rustc_hash::FxHashSet;

use super::Meaning;
use crate::flows::diagram::Values;
use crate::flows::{Feature, Name, OUTSIDE, Set, Side, TooLarge};
use crate::model::endpoint::What;
use crate::model::gateways::Via;
use crate::model::ports::{AppProtocol, PortMatch, PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::{Flow, Party, Request, eval};

/// Whether some way passes.
#[derive(Debug)]
pub enum Passes {
    /// None does.
    None,
    /// This one does, leg by leg.
    Way(Box<[Flow; 2]>),
    /// Both legs of a request pass, but perhaps through different pods of the gateway, because a rule treats these
    /// differently.
    Unclear,
}

/// The flows of a leg, as they are judged in a direction.
#[derive(Clone, Copy)]
struct Leg {
    flows: Set,
    judged: Direction,
}

impl<'p> Meaning<'p> {
    /// Returns a leg of the ways that a rule with `via` allows which the policy denies; `None` if all of them pass.
    pub fn denied_leg(&mut self, way: &Rule) -> Result<Option<Flow>, TooLarge> {
        let legs = self.legs(way)?;
        let straight = self.straight(way);
        for leg in legs.into_iter().chain(straight) {
            for (source, destination) in self.pairs() {
                let asked = self.between_ends(leg, source, destination);
                if asked == Set::NONE {
                    continue;
                }
                let passing = self.carried_between(source, destination);
                let denied = self.flows.diagrams.minus(asked, passing);
                if self.flows.checked(denied)? != Set::NONE {
                    let example = self.believable(denied, source, destination);
                    return Ok(example.map(|example| self.flow(&example)));
                }
            }
        }
        self.flows.checked(None)
    }

    /// Returns whether a rule with `via` allows any way that can exist.
    pub fn is_possible_way(&mut self, way: &Rule) -> Result<bool, TooLarge> {
        let pairs = self.pairs();
        let mut all = true;
        for leg in self.legs(way)? {
            all &= pairs.iter().any(|(from, to)| self.between_ends(leg, *from, *to) != Set::NONE);
        }
        self.flows.checked(all)
    }

    /// Returns one of the ways that a rule with `via` allows which passes by the policy.
    pub fn allowed_way(&mut self, way: &Rule) -> Result<Passes, TooLarge> {
        let Some(via) = &way.via else { return Ok(Passes::None) };
        let [first, second] = self.legs(way)?;
        let straight = self.straight(way);
        let places: Vec<u32> = self.flows.space.pod_places().collect();
        let mut unclear = false;
        for &gateway in &places {
            for &end in &places {
                let (source, destination) = if way.ingress { (OUTSIDE, end) } else { (end, OUTSIDE) };
                let (mut first, second) =
                    (self.allowed(first, source, gateway), self.allowed(second, gateway, destination));
                if let Some(straight) = straight {
                    // A host that is denied to a pod is denied through a gateway, too.
                    let of_host = self.allowed(straight, source, OUTSIDE);
                    let destinations = self.flows.of_destinations();
                    let of_host = self.flows.diagrams.for_some(&destinations, of_host);
                    first = self.flows.diagrams.and(first, of_host);
                }
                self.flows.checked(())?;
                if first == Set::NONE || second == Set::NONE {
                    continue;
                }
                let found = match way.ingress {
                    true => self.way_in(way, via, (first, second), gateway, end)?,
                    false => self.way_out(way, (first, second), gateway, end)?,
                };
                match found {
                    Passes::None => {}
                    Passes::Unclear => unclear = true,
                    Passes::Way(_) => return Ok(found),
                }
            }
        }
        self.flows.checked(if unclear { Passes::Unclear } else { Passes::None })
    }

    /// Looks for a request that a gateway lets in, and passes on to the pods of a namespace, for one client.
    fn way_in(
        &mut self,
        way: &Rule,
        via: &Via,
        (first, second): (Set, Set),
        gateway: u32,
        end: u32,
    ) -> Result<Passes, TooLarge> {
        let space = &self.flows.space;
        let (at, client) = (space.var(Feature::Address(Side::Source)), space.var(Feature::Client));
        let clients: Vec<u32> = space.numbers_in(&Self::addresses_of(&way.source)).collect();
        let mut others = self.flows.but_requests();
        others.retain(|var| *var != at);
        let first = self.flows.diagrams.for_some(&others, first);
        let (mut seen, mut result) = (FxHashSet::default(), Passes::None);
        for number in clients {
            let d = &mut self.flows.diagrams;
            let of_client = Values::One(number + 1);
            let parts = (d.restricted(first, at, &Values::One(number)), d.restricted(second, client, &of_client));
            if !seen.insert(parts) {
                continue;
            }
            let both = d.and(parts.0, parts.1);
            let of_client = d.of_values(client, &of_client);
            let both = d.and(both, of_client);
            if self.flows.checked(both)? == Set::NONE {
                continue;
            }
            let Some(example) = self.believable(both, gateway, end) else { continue };
            let second = self.flow(&example);
            let Some(address) = second.request.client else { continue };
            let ports = via.gateway.ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.target);
            let mut ports = ports.filter(|port| via.at.is_empty() == via.ports.contains(port));
            let comes = |port| Flow {
                source: Party::Address(address),
                destination: second.source.clone(),
                port: Some(port),
                protocol: Protocol::Tcp,
                request: Request { client: None, ..second.request.clone() },
            };
            match ports.find(|port| eval(self.policy, &comes(*port)).allowed()) {
                Some(port) => return Ok(Passes::Way(Box::new([comes(port), second]))),
                None => result = Passes::Unclear,
            }
        }
        Ok(result)
    }

    /// Looks for a request that pods of a namespace may send to a gateway, and the gateway to its host.
    fn way_out(&mut self, way: &Rule, (first, second): (Set, Set), gateway: u32, end: u32) -> Result<Passes, TooLarge> {
        let others = self.flows.but_requests();
        let second = self.flows.diagrams.for_some(&others, second);
        let both = self.flows.diagrams.and(first, second);
        if self.flows.checked(both)? == Set::NONE {
            return Ok(Passes::None);
        }
        let Some(example) = self.believable(both, end, gateway) else { return Ok(Passes::None) };
        let first = self.flow(&example);
        for member in &way.destination.members {
            let What::Host(host) = &member.what else { continue };
            let at = if host.at.is_empty() { self.policy.internet.clone() } else { host.addresses() };
            for entry in member.ports.entries() {
                let PortTest::Range(port, _) = entry.port else { continue };
                let second = Flow {
                    source: first.destination.clone(),
                    destination: Party::Host { name: host.name.name.clone(), at: at.clone() },
                    port: Some(port),
                    protocol: entry.protocol,
                    request: first.request.clone(),
                };
                let asks = first.request.tls.as_ref().or(first.request.host.as_ref());
                if asks.is_none_or(|name| host.matches(name)) && eval(self.policy, &second).allowed() {
                    return Ok(Passes::Way(Box::new([first, second])));
                }
            }
        }
        Ok(Passes::Unclear)
    }

    /// Returns whether some legs of the ways that a rule with `via` allows are flows of another rule: those that it
    /// matches, or those of pods that it isolates.
    pub fn ways_speak_of(&mut self, way: &Rule, rule: &Rule) -> Result<bool, TooLarge> {
        let gateway = |rule: &Rule| rule.via.as_ref().map(|via| via.gateway.span);
        let mut met = Set::NONE;
        for judged in Direction::BOTH {
            let [first, second] = [self.first_leg(way, judged), self.second_leg(way, judged)];
            let mut legs = self.flows.diagrams.or(first, second);
            if !way.ingress && judged == Direction::Egress && gateway(way) == gateway(rule) {
                // On egress, the pods that may use the gateway are judged by the host, without the gateway between.
                let straight = self.matched(way, judged);
                legs = self.flows.diagrams.or(legs, straight);
            }
            let mut of_rule = match (rule.governs(judged), rule.action) {
                (false, _) => Set::NONE,
                (true, Action::Isolate) => self.governed(rule, judged),
                (true, _) => self.matched(rule, judged),
            };
            if judged == Direction::Ingress && rule.ingress && rule.via.is_some() {
                let published = self.published(rule).1;
                of_rule = self.flows.diagrams.or(of_rule, published);
            }
            let both = self.flows.diagrams.and(legs, of_rule);
            met = self.flows.diagrams.or(met, both);
        }
        let carried = self.carried();
        let met = self.flows.diagrams.and(met, carried);
        self.flows.checked(met != Set::NONE)
    }

    /// Returns the flows of a way out from its pods to its hosts, as they are judged without the gateway between them.
    fn straight(&mut self, way: &Rule) -> Option<Leg> {
        if way.ingress {
            return None;
        }
        let whole = self.flows.whole_requests();
        let flows = self.matched(way, Direction::Egress);
        Some(Leg { flows: self.flows.diagrams.and(flows, whole), judged: Direction::Egress })
    }

    /// Returns the legs of the ways that a rule with `via` allows, in their order.
    fn legs(&mut self, way: &Rule) -> Result<[Leg; 2], TooLarge> {
        if self.flows.checked(()).is_err() {
            self.start_again();
        }
        let at_first = if way.ingress { Direction::Ingress } else { Direction::Egress };
        let mut first = self.first_leg(way, at_first);
        let mut second = self.second_leg(way, Direction::Egress);
        // A proxy reads the whole request, or nothing of it.
        let whole = self.flows.whole_requests();
        first = self.flows.diagrams.and(first, whole);
        second = self.flows.diagrams.and(second, whole);
        if way.ingress {
            let read = self.as_read(at_first);
            let client = self.flows.space.var(Feature::Client);
            let d = &mut self.flows.diagrams;
            let unknown = d.numbers(client, [(0, 0)], Set::ALL);
            first = d.and(first, read);
            first = d.and(first, unknown);
            second = d.minus(second, unknown);
        }
        let legs = [Leg { flows: first, judged: at_first }, Leg { flows: second, judged: Direction::Egress }];
        self.flows.checked(legs)
    }

    /// Returns the flows to the pods of the gateway.
    fn first_leg(&mut self, way: &Rule, judged: Direction) -> Set {
        let Some(via) = &way.via else { return Set::NONE };
        if way.ingress {
            return if judged == Direction::Ingress { self.published(way).1 } else { Set::NONE };
        }
        let (mut ports, mut asked) = (Vec::new(), Vec::new());
        for port in via.exit_ports() {
            ports.push(self.flows.port(&PortMatch::range(port, port, Protocol::Tcp)));
        }
        for member in &way.destination.members {
            for entry in member.ports.entries() {
                let asks = self.asks_on(&member.what, entry.app);
                let met = self.met(&way.conditions, entry.app, false);
                asked.push(self.flows.diagrams.and(asks, met));
            }
        }
        let from = self.source(&way.source, judged);
        let to = self.gateway_pods(&via.gateway, Side::Destination, judged == Direction::Ingress);
        let d = &mut self.flows.diagrams;
        let (ports, asked) = (d.union(ports), d.union(asked));
        let request = d.and(ports, asked);
        let ends = d.and(from, to);
        d.and(ends, request)
    }

    /// Returns the flows from the pods of the gateway.
    fn second_leg(&mut self, way: &Rule, judged: Direction) -> Set {
        let Some(via) = &way.via else { return Set::NONE };
        if way.ingress {
            return self.passed_on(way, judged);
        }
        let from = self.gateway_pods(&via.gateway, Side::Source, judged == Direction::Egress);
        let mut sets = Vec::new();
        for member in &way.destination.members {
            let to = self.what(&member.what, false, judged);
            for entry in member.ports.entries() {
                let asks = self.asks_on(&member.what, entry.app);
                let met = self.requests(&Ports::Some(vec![entry.clone()]), &way.conditions, false, judged);
                let d = &mut self.flows.diagrams;
                let request = d.and(asks, met);
                sets.push(d.and(to, request));
            }
        }
        let d = &mut self.flows.diagrams;
        let to = d.union(sets);
        d.and(from, to)
    }

    /// Returns the flows that ask for a host by the name that its port shows; on a port without names, the flows that
    /// show none.
    fn asks_on(&mut self, what: &What, app: Option<AppProtocol>) -> Set {
        let What::Host(host) = what else { return Set::NONE };
        match app {
            Some(AppProtocol::Tls) => self.flows.asks_for(Name::Tls, |name| host.matches(name)),
            Some(_) => self.flows.asks_for(Name::Host, |name| host.matches(name)),
            None => {
                let (tls, http) = (self.flows.shows_no(Name::Tls), self.flows.shows_no(Name::Host));
                self.flows.diagrams.and(tls, http)
            }
        }
    }

    /// Returns every pair of places, except outside to outside.
    fn pairs(&self) -> Vec<(u32, u32)> {
        let places: Vec<u32> = [OUTSIDE].into_iter().chain(self.flows.space.pod_places()).collect();
        let all = places.iter().flat_map(|from| places.iter().map(|to| (*from, *to)));
        all.filter(|pair| *pair != (OUTSIDE, OUTSIDE)).collect()
    }

    /// Returns the flows of a leg between two places that can exist.
    fn between_ends(&mut self, leg: Leg, source: u32, destination: u32) -> Set {
        let (own, other) = match leg.judged {
            Direction::Egress => (source, destination),
            Direction::Ingress => (destination, source),
        };
        let set = self.flows.with_place(leg.flows, true, own);
        let set = self.flows.with_place(set, false, other);
        self.possible(set, source, destination)
    }

    /// Returns the flows of a leg between two places that can exist and that pass.
    fn allowed(&mut self, leg: Leg, source: u32, destination: u32) -> Set {
        match self.between_ends(leg, source, destination) {
            Set::NONE => Set::NONE,
            set => {
                let passing = self.carried_between(source, destination);
                self.flows.diagrams.and(set, passing)
            }
        }
    }

    /// Returns the flows that both ends let through between two places.
    fn carried_between(&mut self, source: u32, destination: u32) -> Set {
        let sent = self.judged(Direction::Egress, source);
        let received = self.judged(Direction::Ingress, destination);
        let sent = self.flows.with_place(sent, false, destination);
        let received = self.flows.with_place(received, false, source);
        self.flows.diagrams.and(sent, received)
    }
}
