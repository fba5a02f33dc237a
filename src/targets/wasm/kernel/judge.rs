//! The decision on one flow, at both ends.
//!
//! Each rule that may concern the flow is looked at once: those of the source's members, or those of the destination's,
//! whichever are fewer. Nothing is allocated.

use super::layout::{NONE, app, grant, kind, member, ports as list, protocol, rule};
use super::party::{Kind, Match, Party};
use super::ranges::Ranges;
use super::request::{Request, meets};
use super::table::{Endpoint, Rule, Tables};
use super::{Cause, End};

/// A flow, with the tables that judge it.
pub struct Judge<'k, 't> {
    /// The tables.
    pub tables: &'k Tables<'t>,
    /// Who sends.
    pub source: &'k Party<'t>,
    /// To whom.
    pub destination: &'k Party<'t>,
    /// On which port; `None` for ICMP.
    pub port: Option<u16>,
    /// With which protocol.
    pub protocol: u32,
    /// The request.
    pub request: &'k Request<'t>,
    /// Whether source and destination are one.
    pub same: bool,
}

/// An entry of a list of ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    protocol: u32,
    pub(super) app: u32,
    /// The name, or else the first and the last port.
    named: Option<u32>,
    range: (u16, u16),
}

/// The rules of one end that match, the first of each kind.
#[derive(Clone, Copy)]
struct Found {
    denied: u32,
    allowed: u32,
    partly_denied: u32,
    partly_allowed: u32,
}

impl Found {
    const NOTHING: Found = Found { denied: NONE, allowed: NONE, partly_denied: NONE, partly_allowed: NONE };

    fn add(&mut self, at: u32, denies: bool, how_far: Match) {
        let first = match (denies, how_far) {
            (_, Match::No) => return,
            (true, Match::Yes) => &mut self.denied,
            (true, Match::Partly) => &mut self.partly_denied,
            (false, Match::Yes) => &mut self.allowed,
            (false, Match::Partly) => &mut self.partly_allowed,
        };
        *first = (*first).min(at);
    }
}

const EGRESS: usize = 0;
const INGRESS: usize = 1;

impl Judge<'_, '_> {
    /// Decides the flow: the egress end, then the ingress end.
    pub fn ends(&self) -> [End; 2] {
        let pods = [self.source, self.destination].map(|party| party.kind == Kind::Pod);
        if self.same && self.source.single && pods == [true, true] {
            return [End { cause: Cause::Itself, by: NONE }; 2];
        }
        if pods == [false, false] {
            return [End { cause: Cause::NoPod, by: NONE }; 2];
        }
        let passed = self.is_passed_through();
        let mut found = [Found::NOTHING; 2];
        self.candidates(|at, rule| {
            let how_far = self.how_far_matches(&rule, passed);
            if how_far > Match::No {
                for direction in [EGRESS, INGRESS] {
                    if pods[direction] && self.governs(&rule, direction) {
                        found[direction].add(at, rule.denies(), how_far);
                    }
                }
            }
        });
        [EGRESS, INGRESS].map(|direction| match pods[direction] {
            true => self.end(found[direction], direction, passed),
            false => End { cause: Cause::NoPod, by: NONE },
        })
    }

    fn end(&self, found: Found, direction: usize, passed: bool) -> End {
        let (mut published, mut let_in) = (NONE, NONE);
        if direction == INGRESS {
            self.ways_in(|at, fits| {
                published = published.min(at);
                let_in = if fits { let_in.min(at) } else { let_in };
            });
        }
        let party = if direction == EGRESS { self.source } else { self.destination };
        let isolated = party.isolated[direction];
        if found.denied != NONE {
            return End { cause: Cause::Denied, by: found.denied };
        }
        if found.partly_denied != NONE && self.is_covered(true, direction, passed) {
            return End { cause: Cause::Denied, by: found.partly_denied };
        }
        let allowed = found.allowed.min(let_in);
        if allowed != NONE {
            return End { cause: Cause::Allowed, by: allowed };
        }
        if found.partly_allowed != NONE && self.is_covered(false, direction, passed) {
            return End { cause: Cause::Allowed, by: found.partly_allowed };
        }
        if isolated == NONE {
            // The gateway serves its other hosts as before, and this host only to clients that a rule names.
            return match published {
                NONE => End { cause: Cause::NotIsolated, by: NONE },
                first => End { cause: Cause::NoneMatches, by: first },
            };
        }
        match self.granted(party, direction) {
            NONE => End { cause: Cause::NoneMatches, by: isolated },
            first => End { cause: Cause::Granted, by: first },
        }
    }

    /// Hands on each rule that may concern the flow; one may come twice.
    fn candidates(&self, mut each: impl FnMut(u32, Rule<'_>)) {
        let by_source = self.source.rules[0] <= self.destination.rules[1];
        let (party, list) = match by_source {
            true => (self.source, member::SOURCES),
            false => (self.destination, member::DESTINATIONS),
        };
        for held in &party.held {
            for at in held.lists.list(list) {
                let rule = self.tables.rule(at);
                if rule.flags & rule::ISOLATE == 0 {
                    each(at, rule);
                }
            }
        }
    }

    /// Hands on each rule that leads clients in through the destination, and whether it lets this one in.
    fn ways_in(&self, mut each: impl FnMut(u32, bool)) {
        for held in &self.destination.held {
            for at in held.lists.list(member::WAYS_IN) {
                if let Some(fits) = self.publishes(&self.tables.rule(at)) {
                    each(at, fits);
                }
            }
        }
    }

    /// Returns whether a rule that matches the flow governs one end of it.
    fn governs(&self, rule: &Rule<'_>, direction: usize) -> bool {
        let flag = [rule::EGRESS, rule::INGRESS][direction];
        let holds = || direction == INGRESS || self.how_far(rule.source, self.source, false, false) == Match::Yes;
        rule.flags & flag != 0 && (!rule.is_way_in() || holds())
    }

    fn how_far_matches(&self, rule: &Rule<'_>, passed: bool) -> Match {
        let deny = rule.denies();
        let how_far = if rule.is_way_in() {
            match self.passes_on(rule) {
                true => self.how_far(rule.destination, self.destination, true, false),
                false => Match::No,
            }
        } else {
            match self.how_far(rule.source, self.source, false, deny) {
                Match::No => Match::No,
                source => source.min(self.how_far(rule.destination, self.destination, true, deny)),
            }
        };
        if how_far == Match::No || rule.conditions == 0 {
            return how_far;
        }
        let is_tls = passed || self.read_as(rule.destination) == app::TLS;
        let meets = meets(self.tables, rule.conditions, self.request, self.destination, is_tls, deny);
        if meets { how_far } else { Match::No }
    }

    /// Returns how far an endpoint holds a party; as a destination, on the flow's port.
    pub(super) fn how_far(&self, endpoint: Endpoint<'_>, party: &Party<'_>, destination: bool, deny: bool) -> Match {
        let members = endpoint.members().filter(|(_, ports)| !destination || self.port_fits(*ports));
        let held = |member| party.held_by(self.tables, member, deny);
        let best = members.clone().map(|(member, _)| held(member)).max().unwrap_or(Match::No);
        // Members that each contain some of a host's addresses, such as IPv4 and IPv6, may together contain all.
        let all =
            |each: &mut dyn FnMut(Ranges<'_>)| members.clone().for_each(|(member, _)| self.place(member, deny, each));
        match best {
            Match::Partly if party.places(self.tables).is_inside(&all) => Match::Yes,
            best => best,
        }
    }

    /// Hands on the addresses that a member contains, whatever host is there.
    fn place(&self, member: u32, deny: bool, each: &mut dyn FnMut(Ranges<'_>)) {
        let mut member = self.tables.member(member);
        if deny || member.kind == kind::ADDRESSES {
            each(member.places());
        }
    }

    /// Returns whether the rules that each contain some of the addresses where a host may be contain all together.
    fn is_covered(&self, deny: bool, direction: usize, passed: bool) -> bool {
        let outward = self.destination.kind == Kind::Host;
        let host = if outward { self.destination } else { self.source };
        let all = |each: &mut dyn FnMut(Ranges<'_>)| {
            self.candidates(|_, rule| {
                let partly = || self.how_far_matches(&rule, passed) == Match::Partly;
                if rule.denies() != deny || !self.governs(&rule, direction) || !partly() {
                    return;
                }
                let endpoint = if outward { rule.destination } else { rule.source };
                for (member, ports) in endpoint.members() {
                    if !outward || self.port_fits(ports) {
                        self.place(member, deny, each);
                    }
                }
            });
        };
        host.kind == Kind::Host && host.places(self.tables).is_inside(&all)
    }

    /// Returns the entries of a list of ports; none stand for every port.
    pub(super) fn entries(&self, ports: u32) -> impl Iterator<Item = Entry> + use<'_> {
        let is_one = ports != list::ALL && ports & list::ONE != 0;
        let one = is_one.then_some(Entry {
            protocol: ports >> 16 & 3,
            app: ports >> 18 & 3,
            named: None,
            range: (ports as u16, ports as u16),
        });
        let list = if is_one || ports == list::ALL { &[] } else { self.tables.record(ports).counted(2) };
        one.into_iter().chain(list.as_chunks::<2>().0.iter().map(|[how, which]| Entry {
            protocol: how & 0xff,
            app: how >> 8 & 0xff,
            named: (how >> 16 != 0).then_some(*which),
            range: (*which as u16, (*which >> 16) as u16),
        }))
    }

    pub(super) fn entry_fits(&self, entry: &Entry) -> bool {
        entry.protocol == self.protocol
            && match (entry.named, self.port) {
                (Some(name), _) => self
                    .destination
                    .ports
                    .iter()
                    .any(|port| port.name == name && Some(port.port) == self.port && port.protocol == self.protocol),
                (None, Some(port)) => (entry.range.0..=entry.range.1).contains(&port),
                (None, None) => self.protocol == protocol::ICMP,
            }
    }

    fn port_fits(&self, ports: u32) -> bool {
        ports == list::ALL || self.entries(ports).any(|entry| self.entry_fits(&entry))
    }

    /// Returns how a rule's destination reads the flow's port.
    fn read_as(&self, endpoint: Endpoint<'_>) -> u32 {
        let held = |member| self.destination.held_by(self.tables, member, false);
        let holding = endpoint.members().filter(|(member, _)| held(*member) > Match::No);
        let mut entries = holding.flat_map(|(_, ports)| self.entries(ports));
        entries.find(|entry| self.entry_fits(entry)).map_or(app::NONE, |entry| entry.app)
    }

    /// Returns the first grant that opens one end of the flow.
    fn granted(&self, party: &Party<'_>, direction: usize) -> u32 {
        let mut first = NONE;
        for held in &party.held {
            for at in held.lists.list(member::GRANTS) {
                if at < first && self.grants(at, direction) {
                    first = at;
                }
            }
        }
        first
    }

    fn grants(&self, at: u32, direction: usize) -> bool {
        let grant = self.tables.grant(at);
        if usize::from(grant.flags & grant::INGRESS != 0) != direction
            || self.how_far(grant.source, self.source, false, false) != Match::Yes
            || self.how_far(grant.destination, self.destination, true, false) != Match::Yes
        {
            return false;
        }
        match grant.flags & grant::REASON {
            grant::ISTIOD => self.source.sidecar && self.source.kind == Kind::Pod,
            grant::GATEWAY => grant.because.iter().any(|at| {
                let rule = self.tables.rule(*at);
                match self.destination.kind {
                    Kind::Pod if rule.flags & rule::INGRESS != 0 && direction == INGRESS => {
                        self.publishes(&rule) == Some(true)
                    }
                    Kind::Pod if rule.flags & rule::EGRESS != 0 => self.asks_for_destination(&rule),
                    _ => true,
                }
            }),
            _ => true,
        }
    }
}
