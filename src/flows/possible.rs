//! The flows that can exist. A set may contain others (an ICMP flow with a port); they are never shown as a
//! counterexample.
//!
//! ```text
//! icmp has no port             only TCP carries a request        the path /a has no third segment without a second
//! a host without `at` is in the internet                         what is no pod gives its ports no names
//! ```

use super::diagram::Set;
use super::sets::Flows;
use super::side::Side;
use super::space::{ABSENT, Feature, OUTSIDE, Space};
use crate::model::addresses::AddressSet;
use crate::model::ports::Protocol;

impl Flows {
    /// Returns the flows that can exist, whatever their ends are.
    pub fn carried(&mut self) -> Set {
        let no_request = self.without_request();
        let request = self.request();
        let port = self.space.var(Feature::Port);
        let with_port = |flows: &mut Flows, rest| flows.diagrams.numbers(port, [(1, 65535)], rest);
        let tcp = with_port(self, request);
        let udp = with_port(self, no_request);
        let mut icmp = no_request;
        for name in self.port_names().into_iter().rev() {
            let var = self.space.var(Feature::PortName(&name));
            icmp = self.diagrams.names(var, Set::NONE, [(ABSENT, icmp)]);
        }
        let icmp = self.diagrams.numbers(port, [(0, 0)], icmp);
        let of = [(Protocol::Tcp, tcp), (Protocol::Udp, udp), (Protocol::Sctp, udp), (Protocol::Icmp, icmp)];
        let protocol = self.space.var(Feature::Protocol);
        self.diagrams.names(protocol, Set::NONE, of.map(|(protocol, rest)| (Space::protocol(protocol), rest)))
    }

    /// Returns the flows whose request is fully known to a proxy: it has a method, a path and a host.
    pub fn whole_requests(&mut self) -> Set {
        let without = self.one_of(Feature::Method, [ABSENT]);
        let mut known = vec![Feature::RequestHost];
        known.extend((self.space.depth > 0).then_some(Feature::Segment(0)));
        let mut requests = self.diagrams.complement(without);
        for feature in known {
            let unknown = self.one_of(feature, [ABSENT]);
            requests = self.diagrams.minus(requests, unknown);
        }
        let none = self.without(&[Feature::RequestHost]);
        let others = self.diagrams.and(without, none);
        self.diagrams.or(requests, others)
    }

    /// Returns the flows that can exist between two places. `internet` has the addresses of hosts without known
    /// addresses.
    pub fn between(&mut self, source: u32, destination: u32, internet: &AddressSet) -> Set {
        let ends = match destination {
            OUTSIDE => {
                let mut set = self.placed(internet);
                for name in self.port_names() {
                    let var = self.space.var(Feature::PortName(&name));
                    let unnamed = self.diagrams.names(var, Set::NONE, [(ABSENT, Set::ALL)]);
                    set = self.diagrams.and(unnamed, set);
                }
                set
            }
            _ => self.one_of(Feature::Host, [ABSENT]),
        };
        match source == destination && self.space.namespace(source).is_some() {
            true => {
                let same = self.same_namespace(source);
                self.diagrams.and(ends, same)
            }
            false => ends,
        }
    }

    /// Returns the flows that can exist if a pod at a place is the judged side, whatever they carry. `internet` has the
    /// addresses of hosts without known addresses, and `pods` the addresses that only pods have.
    pub fn around(&mut self, judged: Side, place: u32, internet: &AddressSet, pods: &AddressSet) -> Set {
        let outside = match judged {
            Side::Source => self.between(place, OUTSIDE, internet),
            Side::Destination => self.between(OUTSIDE, place, internet),
        };
        // Numbers beyond the last range stand for no address.
        let others = AddressSet::everything().subtract(pods);
        let others = self.at(judged.opposite(), &others);
        let outside = self.diagrams.and(outside, others);
        let others = self.one_of(Feature::Host, [ABSENT]);
        let own = self.between(place, place, internet);
        let default = if self.space.closed { Set::NONE } else { others };
        let mut edges = vec![(OUTSIDE, outside)];
        edges.extend(self.space.namespaces.numbers().map(|at| (at, if at == place { own } else { others })));
        self.diagrams.names(self.space.var(Feature::Place { own: false }), default, edges)
    }

    pub(super) fn port_names(&self) -> Vec<smol_str::SmolStr> {
        self.space.port_names.numbered().map(|(_, name)| name.clone()).collect()
    }

    fn without_request(&mut self) -> Set {
        self.without(&[Feature::TlsName, Feature::RequestHost])
    }

    /// Returns the flows without claims, headers, token, path, method and client, which ask for none of some names. The
    /// list goes from the last variable to the first.
    fn without(&mut self, asked: &[Feature<'_>]) -> Set {
        let mut set = Set::ALL;
        let claims: Vec<_> = self.space.claims.numbered().map(|(_, claim)| claim.clone()).collect();
        for claim in claims.iter().rev() {
            set = self.absent(Feature::Claim(claim), set);
        }
        let headers: Vec<_> = self.space.headers.numbered().map(|(_, name)| name.clone()).collect();
        for name in headers.iter().rev() {
            set = self.absent(Feature::Header(name), set);
        }
        for feature in [Feature::Subject, Feature::Issuer] {
            set = self.absent(feature, set);
        }
        for segment in (0..self.space.depth).rev() {
            set = self.absent(Feature::Segment(segment), set);
        }
        set = self.absent(Feature::Method, set);
        set = self.diagrams.numbers(self.space.var(Feature::Client), [(0, 0)], set);
        for feature in asked {
            set = self.absent(*feature, set);
        }
        set
    }

    fn absent(&mut self, feature: Feature<'_>, rest: Set) -> Set {
        let var = self.space.var(feature);
        self.diagrams.names(var, Set::NONE, [(ABSENT, rest)])
    }

    /// Returns the requests that can exist: claims need a token, and a path has no segment after its end.
    fn request(&mut self) -> Set {
        let claims: Vec<_> = self.space.claims.numbered().map(|(_, claim)| claim.clone()).collect();
        let mut none = Set::ALL;
        for claim in claims.iter().rev() {
            none = self.absent(Feature::Claim(claim), none);
        }
        none = self.absent(Feature::Subject, none);
        let issuer = self.space.var(Feature::Issuer);
        let token = self.diagrams.names(issuer, Set::ALL, [(ABSENT, none)]);
        // From the last segment to the first, two sets: `ended` for a path that has ended, `open` for one that goes on.
        let (mut ended, mut open) = (token, token);
        for segment in (0..self.space.depth).rev() {
            let var = self.space.var(Feature::Segment(segment));
            let here = self.diagrams.names(var, Set::NONE, [(ABSENT, ended)]);
            open = self.diagrams.names(var, open, [(ABSENT, ended)]);
            ended = here;
        }
        open
    }

    /// Returns the pairs of a host and an address that the host can have.
    fn placed(&mut self, internet: &AddressSet) -> Set {
        let mut by_place: std::collections::BTreeMap<Vec<(u32, u32)>, Vec<u32>> = std::collections::BTreeMap::new();
        let mut told = Vec::new();
        if !self.space.places.is_empty() {
            for (number, name) in self.space.each_host() {
                let at = self.space.places_of(&name);
                if !at.blocks.is_empty() {
                    by_place.entry(self.space.ranges(&at)).or_default().push(number);
                    told.push(number);
                }
            }
        }
        let host = self.space.var(Feature::Host);
        let address = self.space.var(Feature::Address(Side::Destination));
        let mut sets = vec![self.one_of(Feature::Host, [ABSENT])];
        let unplaced = [ABSENT].into_iter().chain(told).map(|number| (number, Set::NONE));
        let unplaced = self.diagrams.names(host, Set::ALL, unplaced);
        let ranges = self.space.ranges(internet);
        sets.push(self.diagrams.numbers(address, ranges, unplaced));
        for (ranges, hosts) in by_place {
            let hosts = self.one_of(Feature::Host, hosts);
            sets.push(self.diagrams.numbers(address, ranges, hosts));
        }
        self.diagrams.union(sets)
    }

    /// Returns the flows whose two namespaces have the same labels: both ends are in one namespace, whose labels are
    /// unknown.
    fn same_namespace(&mut self, place: u32) -> Set {
        if self.space.namespace_labels(place).is_some() {
            return Set::ALL;
        }
        let keys: Vec<_> = self.space.namespace_keys.numbered().map(|(_, key)| key.clone()).collect();
        let mut set = Set::ALL;
        for key in keys.iter().rev() {
            let [source, destination] =
                [Side::Source, Side::Destination].map(|side| self.space.var(Feature::NamespaceLabel(side, key)));
            let mut numbers: Vec<u32> = vec![ABSENT];
            numbers.extend(self.space.namespace_values_of(key).numbered().map(|(number, _)| number));
            let other = self.diagrams.names(destination, set, numbers.iter().map(|number| (*number, Set::NONE)));
            let mut edges = Vec::new();
            for number in numbers {
                edges.push((number, self.diagrams.names(destination, Set::NONE, [(number, set)])));
            }
            set = self.diagrams.names(source, other, edges);
        }
        set
    }
}
