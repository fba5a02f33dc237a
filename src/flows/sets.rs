//! Sets of flows from the values of the model: pods, addresses, hosts, ports, and the parts of a request.
//!
//! ```text
//! garden/{app=web} as the judged source   place = garden, label app of the source = web
//! internet:443     as its destination     place = outside, protocol = tcp, port = 443, address in …
//! ```

use std::ops::Range;

use super::diagram::{Diagrams, Set, TooLarge, Var};
use super::side::Side;
use super::space::{ABSENT, Feature, NAMELESS, OTHER, OUTSIDE, Space};
use crate::model::addresses::AddressSet;
use crate::model::conditions::{PathPattern, Segment};
use crate::model::hosts::{Host, HostName};
use crate::model::labels::{Account, Labels, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};
use crate::model::ports::{PortMatch, PortTest, Ports, Protocol};

/// The number of a fact that is true.
pub const TRUE: u32 = 1;

/// A space with the sets that are made in it. One side of every flow is the judged one: diagrams test its place first.
pub struct Flows {
    /// The variables and the values in play.
    pub space: Space,
    /// The sets.
    pub diagrams: Diagrams,
}

/// Which name of a request is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// The HTTP host.
    Host,
    /// The name that TLS asks for.
    Tls,
}

impl Flows {
    /// Makes an empty collection of sets. `budget` bounds the steps of all operations.
    pub fn new(space: Space, budget: u64) -> Flows {
        let diagrams = Diagrams::new(space.scales(), budget);
        Flows { space, diagrams }
    }

    /// Returns a result, unless sets became too large.
    pub fn checked<T>(&self, result: T) -> Result<T, TooLarge> {
        self.diagrams.checked(result)
    }

    /// Returns the flows whose side is one of some pods; `own` says whether it is the judged side.
    pub fn pods(&mut self, side: Side, own: bool, pods: &PodSelector) -> Set {
        let with = |flows: &mut Flows, rest: Set| {
            let rest = flows.account(side, &pods.account, rest);
            flows.labels(&pods.labels, rest, |space, key| space.var(Feature::Label(side, key)), false)
        };
        let known = with(self, Set::ALL);
        let place = self.space.var(Feature::Place { own });
        // Most selectors name one namespace and ask for nothing else of it.
        if let ([only], Some(name)) = (pods.namespace.list(), pods.namespace_name())
            && only.key == NAMESPACE_NAME
        {
            let number = self.space.place(name);
            let here = self.in_namespace(number, pods, known, known);
            return self.diagrams.names(place, Set::NONE, [(number, here)]);
        }
        let named: Vec<&Requirement> =
            pods.namespace.list().iter().filter(|requirement| requirement.key == NAMESPACE_NAME).collect();
        let others: Vec<Requirement> =
            pods.namespace.list().iter().filter(|requirement| requirement.key != NAMESPACE_NAME).cloned().collect();
        let name_fits = |name: Option<&str>| {
            named.iter().all(|requirement| match (&requirement.test, name) {
                // Every namespace has the label of its name. A namespace that no rule names has a name that is none of
                // the values.
                (Test::Exists, _) => true,
                (Test::DoesNotExist, _) => false,
                (test, Some(name)) => test.matches(Some(name)),
                (test, None) => matches!(test, Test::NotIn(_)),
            })
        };
        let open = match Requirements::new(others) {
            Some(requirements) if !requirements.is_any() => {
                let labels = self.labels(
                    &requirements,
                    Set::ALL,
                    |space, key| space.var(Feature::NamespaceLabel(side, key)),
                    true,
                );
                with(self, labels)
            }
            Some(_) => known,
            None => Set::NONE,
        };
        let default = if name_fits(None) { open } else { Set::NONE };
        let mut edges = vec![(OUTSIDE, Set::NONE)];
        match pods.namespace_name() {
            // Most selectors name one namespace, and there may be thousands.
            Some(name) => {
                let number = self.space.place(name);
                edges.push((number, self.in_namespace(number, pods, known, open)));
            }
            None => {
                let fitting = self.space.namespaces.numbered().filter(|(_, name)| name_fits(Some(name)));
                let fitting: Vec<u32> = fitting.map(|(number, _)| number).collect();
                let mut fitting = fitting.into_iter().peekable();
                for number in self.space.namespaces.numbers() {
                    let fits = fitting.next_if_eq(&number).is_some();
                    let child = if fits { self.in_namespace(number, pods, known, open) } else { Set::NONE };
                    edges.push((number, child));
                }
            }
        }
        self.diagrams.names(place, default, edges)
    }

    /// Returns what a selector asks of pods in a namespace whose name fits: `known` if the namespace's labels are known
    /// and match, `open` if its labels are not known.
    fn in_namespace(&self, number: u32, pods: &PodSelector, known: Set, open: Set) -> Set {
        match self.space.namespace_labels(number) {
            Some(labels) if pods.namespace.matches(labels) => known,
            Some(_) => Set::NONE,
            None => open,
        }
    }

    fn account(&mut self, side: Side, account: &Account, rest: Set) -> Set {
        let var = self.space.var(Feature::Account(side));
        match account {
            Account::Is(name) => {
                let number = self.space.accounts.number(name);
                self.diagrams.names(var, Set::NONE, [(number, rest)])
            }
            Account::Not(names) => {
                let mut numbers: Vec<u32> = names.iter().map(|name| self.space.accounts.number(name)).collect();
                numbers.sort_unstable();
                self.diagrams.names(var, rest, numbers.into_iter().map(|number| (number, Set::NONE)))
            }
        }
    }

    fn labels(
        &mut self,
        requirements: &Requirements,
        rest: Set,
        var: impl Fn(&Space, &smol_str::SmolStr) -> Var,
        of_namespace: bool,
    ) -> Set {
        let mut sorted: Vec<(Var, &Requirement)> =
            requirements.list().iter().map(|requirement| (var(&self.space, &requirement.key), requirement)).collect();
        sorted.sort_by_key(|(var, _)| *var);
        let mut all = rest;
        for (var, Requirement { key, test }) in sorted.into_iter().rev() {
            let table = if of_namespace { self.space.namespace_values_of(key) } else { self.space.values_of(key) };
            let numbers =
                |values: &[smol_str::SmolStr]| -> Vec<u32> { values.iter().map(|value| table.number(value)).collect() };
            // A key that the selector tests twice (`k, k != v`) needs two nodes of one variable.
            let again = self.diagrams.first_test(all) == Some(var);
            let inside = if again { Set::ALL } else { all };
            let (default, edges): (Set, Vec<(u32, Set)>) = match test {
                Test::In(values) => (Set::NONE, numbers(values).into_iter().map(|number| (number, inside)).collect()),
                Test::NotIn(values) => {
                    (inside, numbers(values).into_iter().map(|number| (number, Set::NONE)).collect())
                }
                Test::Exists => (inside, vec![(ABSENT, Set::NONE)]),
                Test::DoesNotExist => (Set::NONE, vec![(ABSENT, inside)]),
            };
            let one = self.diagrams.names(var, default, edges);
            all = if again { self.diagrams.and(one, all) } else { one };
        }
        all
    }

    /// Returns the flows whose side is a pod with exactly these labels and this account, or with any account if it is
    /// `None`.
    pub fn pods_like(&mut self, side: Side, labels: &Labels, account: Option<&str>) -> Set {
        let mut set = match account {
            Some(account) => {
                let (value, in_play) = (self.space.accounts.number(account), self.space.accounts.numbers());
                self.exactly(self.space.var(Feature::Account(side)), value, in_play, Set::ALL)
            }
            None => Set::ALL,
        };
        let keys = self.space.keys.numbered().map(|(_, key)| key.clone());
        let mut keys: Vec<_> = keys.map(|key| (self.space.var(Feature::Label(side, &key)), key)).collect();
        keys.sort_unstable();
        for (var, key) in keys.into_iter().rev() {
            let table = self.space.values_of(&key);
            let value = labels.get(&key).map_or(ABSENT, |value| table.number(value.as_str()));
            let in_play = table.numbers();
            set = self.exactly(var, value, in_play, set);
        }
        set
    }

    /// Returns the flows whose variable has a value and that are in the rest. For [`OTHER`], the variable has none of
    /// the values in play.
    fn exactly(&mut self, var: Var, value: u32, in_play: Range<u32>, rest: Set) -> Set {
        if value != OTHER {
            return self.diagrams.names(var, Set::NONE, [(value, rest)]);
        }
        let known = [ABSENT].into_iter().chain(in_play).map(|number| (number, Set::NONE));
        self.diagrams.names(var, rest, known)
    }

    /// Returns the flows whose side is no pod and meets the rest.
    pub fn outside(&mut self, own: bool, rest: Set) -> Set {
        let place = self.space.var(Feature::Place { own });
        self.diagrams.names(place, Set::NONE, [(OUTSIDE, rest)])
    }

    /// Returns the flows whose judged side, or the other one, is at a place and that are in the set of this place;
    /// `default` is the set of every other place. The places are sorted, and the sets test no place.
    pub fn by_place(&mut self, own: bool, default: Set, places: impl IntoIterator<Item = (u32, Set)>) -> Set {
        self.diagrams.names(self.space.var(Feature::Place { own }), default, places)
    }

    /// Returns the part of a set where the judged side, or the other one, is at a place. The set tests no variable
    /// before this one.
    pub fn with_place(&self, set: Set, own: bool, place: u32) -> Set {
        self.diagrams.at(set, self.space.var(Feature::Place { own }), place)
    }

    /// Returns the flows whose side is a pod.
    pub fn any_pod(&mut self, own: bool) -> Set {
        self.if_pod(own, Set::ALL)
    }

    /// Returns the flows whose side is a pod and meets the rest.
    pub fn if_pod(&mut self, own: bool, rest: Set) -> Set {
        let place = self.space.var(Feature::Place { own });
        self.diagrams.names(place, rest, [(OUTSIDE, Set::NONE)])
    }

    /// Returns the flows whose side has one of some addresses, if it is no pod.
    pub fn at(&mut self, side: Side, addresses: &AddressSet) -> Set {
        let ranges = self.space.open_ranges(addresses);
        let var = self.space.var(Feature::Address(side));
        self.diagrams.numbers(var, ranges, Set::ALL)
    }

    /// Returns the flows to a host.
    pub fn to_host(&mut self, host: &Host) -> Set {
        self.one_host(Feature::Host, host)
    }

    /// Returns the flows to hosts of some names.
    pub fn to_names(&mut self, names: &[HostName]) -> Set {
        self.named(Feature::Host, names)
    }

    /// Returns the flows to an address for which no host is known.
    pub fn to_no_host(&mut self) -> Set {
        self.one_of(Feature::Host, [ABSENT])
    }

    /// Returns the flows on some ports; all flows for an endpoint without ports.
    pub fn ports(&mut self, ports: &Ports) -> Set {
        match ports {
            Ports::All => Set::ALL,
            Ports::Some(list) => {
                let sets = list.iter().map(|entry| self.port(entry)).collect();
                self.diagrams.union(sets)
            }
        }
    }

    /// Returns the flows on the ports of one entry.
    pub fn port(&mut self, entry: &PortMatch) -> Set {
        let number = match &entry.port {
            _ if entry.protocol == Protocol::Icmp => Set::ALL,
            PortTest::Range(first, last) => {
                let range = (u32::from(*first), u32::from(*last));
                self.diagrams.numbers(self.space.var(Feature::Port), [range], Set::ALL)
            }
            PortTest::Named(name) => {
                let var = self.space.var(Feature::PortName(name));
                self.diagrams.names(var, Set::NONE, [(TRUE, Set::ALL)])
            }
        };
        let protocol = self.space.var(Feature::Protocol);
        self.diagrams.names(protocol, Set::NONE, [(Space::protocol(entry.protocol), number)])
    }

    /// Returns the flows of some protocols.
    pub fn protocols(&mut self, protocols: &[Protocol]) -> Set {
        let mut numbers: Vec<u32> = protocols.iter().map(|protocol| Space::protocol(*protocol)).collect();
        numbers.sort_unstable();
        self.one_of(Feature::Protocol, numbers)
    }

    /// Returns the flows that can be to a pod whose ports have these names: a name is one of a port exactly if it is
    /// listed.
    pub fn named_ports<'n>(&mut self, ports: impl Iterator<Item = (&'n str, Protocol, u16)> + Clone) -> Set {
        let mut set = Set::ALL;
        for name in self.port_names() {
            let here = ports.clone().filter(|(one, ..)| *one == name);
            let here = here.map(|(_, protocol, port)| PortMatch::range(port, port, protocol)).collect();
            let there = self.ports(&Ports::Some(here));
            let called = self.one_of(Feature::PortName(&name), [TRUE]);
            let d = &mut self.diagrams;
            let (both, neither) = (d.and(called, there), d.or(called, there));
            let neither = d.complement(neither);
            let alike = d.or(both, neither);
            set = d.and(set, alike);
        }
        set
    }

    /// Returns every variable that is not about the request.
    pub fn but_requests(&self) -> Vec<Var> {
        let of_request = |var: &Var| {
            matches!(
                self.space.feature(*var),
                Feature::Method
                    | Feature::Segment(_)
                    | Feature::RequestHost
                    | Feature::TlsName
                    | Feature::Issuer
                    | Feature::Subject
                    | Feature::Claim(_)
                    | Feature::Header(_)
            )
        };
        self.space.vars().filter(|var| !of_request(var)).collect()
    }

    /// Returns the variables of the destination and the port, and none of the source or the request.
    pub fn of_destinations(&self) -> Vec<Var> {
        let of_destination = |var: &Var| match self.space.feature(*var) {
            Feature::Place { own: false } | Feature::Protocol | Feature::Port | Feature::PortName(_) => true,
            Feature::Host | Feature::Address(Side::Destination) | Feature::Client => true,
            Feature::Account(side) | Feature::Label(side, _) | Feature::NamespaceLabel(side, _) => {
                side == Side::Destination
            }
            _ => false,
        };
        self.space.vars().filter(of_destination).collect()
    }

    /// Returns the variables of the token.
    pub fn token_variables(&self) -> Vec<Var> {
        let claims = self.space.claims.numbered().map(|(_, claim)| self.space.var(Feature::Claim(claim)));
        [Feature::Issuer, Feature::Subject].map(|feature| self.space.var(feature)).into_iter().chain(claims).collect()
    }

    /// Returns the flows on a port, of any protocol.
    pub fn number(&mut self, port: u16) -> Set {
        self.diagrams.numbers(self.space.var(Feature::Port), [(port.into(), port.into())], Set::ALL)
    }

    /// Returns the flows of one method of several.
    pub fn methods(&mut self, methods: &[smol_str::SmolStr]) -> Set {
        let mut numbers: Vec<u32> = methods.iter().map(|method| self.space.methods.number(method)).collect();
        numbers.sort_unstable();
        self.one_of(Feature::Method, numbers)
    }

    /// Returns the flows with a known request: those with a method.
    pub fn with_request(&mut self) -> Set {
        let without = self.one_of(Feature::Method, [ABSENT]);
        self.diagrams.complement(without)
    }

    /// Returns the flows whose path a pattern matches; with `spelled`, any spelling of the path counts (`/%61` for
    /// `/a`).
    pub fn path(&mut self, pattern: &PathPattern, spelled: bool) -> Set {
        let var = |flows: &Flows, at| flows.space.var(Feature::Segment(at));
        let end = pattern.segments.len();
        let mut set = Set::ALL;
        if !pattern.below {
            set = self.diagrams.names(var(self, end), Set::NONE, [(ABSENT, set)]);
        } else if end == 0 {
            // Any path, if one is known.
            set = self.diagrams.names(var(self, 0), set, [(ABSENT, Set::NONE)]);
        }
        for (at, segment) in pattern.segments.iter().enumerate().rev() {
            let var = var(self, at);
            set = match segment {
                Segment::Any => {
                    let empty = [(ABSENT, Set::NONE), (super::space::EMPTY, Set::NONE)];
                    self.diagrams.names(var, set, empty)
                }
                Segment::Literal(text) => {
                    let numbers = if spelled { self.space.spellings(text) } else { vec![self.space.segment(text)] };
                    self.diagrams.names(var, Set::NONE, numbers.into_iter().map(|number| (number, set)))
                }
            };
        }
        set
    }

    /// Returns the flows whose request asks, by a name, for a host that a test accepts. The test must give one answer
    /// for all hosts that the values in play do not tell apart. A name that is unknown or empty is not accepted.
    pub fn asks_for(&mut self, name: Name, test: impl Fn(&str) -> bool) -> Set {
        self.hosts(name.feature(), test)
    }

    /// Returns the flows whose request asks, by a name, for a host.
    pub fn asks_for_host(&mut self, name: Name, host: &Host) -> Set {
        self.one_host(name.feature(), host)
    }

    /// Returns the flows whose request asks, by a name, for a host of some names.
    pub fn asks_for_names(&mut self, name: Name, names: &[HostName]) -> Set {
        self.named(name.feature(), names)
    }

    fn one_host(&mut self, feature: Feature<'_>, host: &Host) -> Set {
        let all = self.named(feature, std::slice::from_ref(&host.name));
        let except = self.named(feature, &host.except);
        self.diagrams.minus(all, except)
    }

    /// Returns the flows with one of some hosts. A host that is in play itself has a number; the others need no
    /// look-up.
    fn named(&mut self, feature: Feature<'_>, names: &[HostName]) -> Set {
        let (mut numbers, mut others) = (Vec::new(), Vec::new());
        for name in names {
            match self.space.hosts.number(name) {
                number if name.wildcard || number == OTHER => others.push(name),
                number => numbers.push(number),
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        let exact = self.one_of(feature, numbers);
        if others.is_empty() {
            return exact;
        }
        let others = self.hosts(feature, |host| others.iter().any(|name| name.matches(host)));
        self.diagrams.or(exact, others)
    }

    fn hosts(&mut self, feature: Feature<'_>, test: impl Fn(&str) -> bool) -> Set {
        let var = self.space.var(feature);
        let all = |yes: bool| if yes { Set::ALL } else { Set::NONE };
        let edges: Vec<(u32, Set)> = [(ABSENT, Set::NONE), (NAMELESS, Set::NONE)]
            .into_iter()
            .chain(self.space.each_host().map(|(number, name)| (number, all(test(&name)))))
            .collect();
        self.diagrams.names(var, all(test("?")), edges)
    }

    /// Returns the flows whose request shows no such name.
    pub fn shows_no(&mut self, name: Name) -> Set {
        self.one_of(name.feature(), [ABSENT])
    }

    /// Returns the flows with a valid token of an issuer.
    pub fn issuer(&mut self, url: &str) -> Set {
        let number = self.space.issuers.number(url);
        self.one_of(Feature::Issuer, [number])
    }

    /// Returns the flows whose token has one subject of several.
    pub fn subjects(&mut self, subjects: &[smol_str::SmolStr]) -> Set {
        let mut numbers: Vec<u32> = subjects.iter().map(|subject| self.space.subjects.number(subject)).collect();
        numbers.sort_unstable();
        self.one_of(Feature::Subject, numbers)
    }

    /// Returns the flows whose token has a claim with a value.
    pub fn claim(&mut self, names: &[smol_str::SmolStr], value: &str) -> Set {
        match names {
            [name] if name == "iss" => return self.issuer(value),
            [name] if name == "sub" => return self.subjects(&[value.into()]),
            _ => {}
        }
        let claim = (names.to_vec(), value.into());
        let var = self.space.var(Feature::Claim(&claim));
        self.diagrams.names(var, Set::NONE, [(TRUE, Set::ALL)])
    }

    /// Returns the flows whose request has a header with one value of several.
    pub fn header(&mut self, name: &smol_str::SmolStr, values: &[smol_str::SmolStr]) -> Set {
        let mut numbers: Vec<u32> = values.iter().map(|value| self.space.header(name, value)).collect();
        numbers.sort_unstable();
        self.one_of(Feature::Header(name), numbers)
    }

    /// Returns the flows of a client behind a gateway whose address is one of some addresses, or is unknown.
    pub fn client(&mut self, addresses: &AddressSet) -> Set {
        // 0 is an unknown client.
        let known = self.space.open_ranges(addresses).into_iter();
        let known = known.map(|(first, last)| (first + 1, last.saturating_add(1)));
        let mut ranges: Vec<(u32, u32)> = vec![(0, 0)];
        for (first, last) in known {
            match ranges.last_mut() {
                Some(before) if before.1.checked_add(1) == Some(first) => before.1 = last,
                _ => ranges.push((first, last)),
            }
        }
        self.diagrams.numbers(self.space.var(Feature::Client), ranges, Set::ALL)
    }

    /// Returns the flows whose source is a pod with a sidecar, so that the receiving sidecar knows its identity.
    pub fn from_sidecar(&mut self) -> Set {
        self.one_of(Feature::Sidecar, [TRUE])
    }

    /// Returns the flows whose feature has one of some values, sorted, without repetition.
    pub(super) fn one_of(&mut self, feature: Feature<'_>, numbers: impl IntoIterator<Item = u32>) -> Set {
        let var = self.space.var(feature);
        let known = numbers.into_iter().filter(|number| *number != OTHER);
        self.diagrams.names(var, Set::NONE, known.map(|number| (number, Set::ALL)))
    }
}

impl Name {
    fn feature(self) -> Feature<'static> {
        match self {
            Name::Host => Feature::RequestHost,
            Name::Tls => Feature::TlsName,
        }
    }
}
