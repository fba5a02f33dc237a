//! The values in play: all values that some rule names. Every other value counts as one "another value".
//!
//! ```text
//! allow garden/{app=web} -> garden/{app=api}:8080/http where method GET
//!     namespaces: garden     label app: web, api     methods: GET     a pod with app=cart is one of "another app"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::side::Side;
use crate::model::addresses::{AddressSet, Range};
use crate::model::conditions::{Conditions, PathPattern, Segment};
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::gateways::{Gateway, Via};
use crate::model::hosts::{Host, HostName};
use crate::model::labels::{Account, Labels, NAMESPACE_NAME, PodSelector, Requirements, Test};
use crate::model::ports::PortTest;

/// A claim of a token: its names, each inside the one before, and a value.
pub type TokenClaim = (Vec<SmolStr>, SmolStr);

/// Keys with their values.
pub(super) type Keys = FxHashMap<SmolStr, FxHashSet<SmolStr>>;

/// The most labels of one rule that count for the order: a longer list says little about which labels belong together.
const MOST_TOGETHER: usize = 64;

/// The values in play, while they are gathered from endpoints, conditions and gateways. Sets can be compared only if
/// they are made from one such collection.
#[derive(Debug, Default)]
pub struct Terms {
    pub(super) namespaces: FxHashMap<SmolStr, Option<Labels>>,
    pub(super) closed: bool,
    pub(super) namespace_labels: Keys,
    pub(super) labels: Keys,
    pub(super) accounts: FxHashSet<SmolStr>,
    pub(super) port_names: BTreeSet<SmolStr>,
    /// The first address of each range, and the one after its end.
    pub(super) points: FxHashSet<IpAddr>,
    pub(super) hosts: FxHashSet<HostName>,
    pub(super) places: Vec<(Host, AddressSet)>,
    pub(super) methods: BTreeSet<SmolStr>,
    pub(super) segments: BTreeSet<SmolStr>,
    pub(super) depth: usize,
    pub(super) issuers: BTreeSet<SmolStr>,
    pub(super) subjects: BTreeSet<SmolStr>,
    /// The claims: the names that lead to each of them, and its value.
    pub(super) claims: BTreeSet<TokenClaim>,
    pub(super) headers: Keys,
    /// The side of the judged pods, if it is the same in all sets.
    pub(super) judged: Option<Side>,
    /// The labels of pods that one rule tests together, each with its side, and the number of such rules.
    pub(super) together: BTreeMap<Vec<(SmolStr, bool)>, u32>,
}

impl Terms {
    /// Makes a collection about a cluster. `namespaces` are the known ones, each with its labels if these are known
    /// too; `closed` says that no others exist.
    pub fn new(namespaces: impl IntoIterator<Item = (SmolStr, Option<Labels>)>, closed: bool) -> Terms {
        Terms { namespaces: namespaces.into_iter().collect(), closed, ..Terms::default() }
    }

    /// Records the side that the judged pods have in all sets.
    pub fn judge(&mut self, side: Side) {
        self.judged = Some(side);
    }

    /// Adds a namespace with its labels, where they are known.
    pub fn namespace(&mut self, name: &SmolStr, labels: Option<Labels>) {
        self.namespaces.insert(name.clone(), labels);
    }

    /// Records that no other namespaces exist.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Returns whether a namespace is named.
    pub fn names(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// Returns whether a rule selects namespaces by their labels.
    pub fn tells_namespaces_by_labels(&self) -> bool {
        !self.namespace_labels.is_empty()
    }

    /// Adds the values that a rule names: in its endpoints and its conditions.
    pub fn between(&mut self, source: &Endpoint, destination: &Endpoint, conditions: &Conditions) {
        self.endpoint(source);
        self.endpoint(destination);
        self.conditions(conditions);
        let most = |endpoint: &Endpoint| {
            let counts = endpoint.pods().map(|(_, pods)| pods.selector.labels.list().len());
            counts.max().unwrap_or_default()
        };
        // A single label has no other label beside it.
        if most(source) + most(destination) < 2 {
            return;
        }
        let keys = |endpoint: &Endpoint, receives: bool| -> Vec<Vec<(SmolStr, bool)>> {
            let lists = endpoint.pods().map(|(_, pods)| pods.selector.labels.list());
            lists.map(|list| list.iter().map(|requirement| (requirement.key.clone(), receives)).collect()).collect()
        };
        match (keys(source, false).as_mut_slice(), keys(destination, true).as_mut_slice()) {
            ([one], many) | (many, [one]) => many.iter_mut().for_each(|list| {
                list.append(&mut one.clone());
                self.add_together(list);
            }),
            (sources, destinations) => sources.iter_mut().chain(destinations).for_each(|list| self.add_together(list)),
        }
    }

    fn add_together(&mut self, labels: &mut Vec<(SmolStr, bool)>) {
        labels.sort_unstable();
        labels.dedup();
        if labels.len() > 1 && labels.len() <= MOST_TOGETHER {
            *self.together.entry(std::mem::take(labels)).or_default() += 1;
        }
    }

    /// Records the labels of the namespaces in play, as far as they are known.
    pub fn know(&mut self, labels: impl Fn(&SmolStr) -> Option<Labels>) {
        for (name, known) in &mut self.namespaces {
            if known.is_none() {
                *known = labels(name);
            }
        }
    }

    /// Adds the values that an endpoint names.
    pub fn endpoint(&mut self, endpoint: &Endpoint) {
        for Member { what, ports, .. } in &endpoint.members {
            let names = ports.entries().iter().filter_map(|entry| match &entry.port {
                PortTest::Named(name) => Some(name.clone()),
                PortTest::Range(..) => None,
            });
            self.port_names.extend(names);
            match what {
                What::Pods(pods) => self.pods(&pods.selector),
                What::Addresses(set) => self.addresses(set),
                What::Host(host) => {
                    self.hosts.insert(host.name.clone());
                    self.hosts.extend(host.except.iter().cloned());
                    if !host.at.is_empty() {
                        let at = host.addresses();
                        self.addresses(&at);
                        self.places.push((host.clone(), at));
                    }
                }
            }
        }
    }

    /// Adds the values that a selector names.
    pub fn pods(&mut self, pods: &PodSelector) {
        for requirement in pods.namespace.list() {
            match (requirement.key.as_str(), &requirement.test) {
                (NAMESPACE_NAME, Test::In(names) | Test::NotIn(names)) => {
                    for name in names {
                        if !self.namespaces.contains_key(name) {
                            self.namespaces.insert(name.clone(), None);
                        }
                    }
                }
                _ => add(&mut self.namespace_labels, &pods.namespace),
            }
        }
        add(&mut self.labels, &pods.labels);
        match &pods.account {
            Account::Is(name) => drop(self.accounts.insert(name.clone())),
            Account::Not(names) => self.accounts.extend(names.iter().cloned()),
        }
    }

    /// Adds the ends of a set of addresses.
    pub fn addresses(&mut self, set: &AddressSet) {
        for range in set.ranges() {
            self.points.insert(range.first());
            self.points.extend(after(range));
        }
    }

    /// Adds the values that conditions name.
    pub fn conditions(&mut self, conditions: &Conditions) {
        let Conditions { methods, paths, not_paths, hosts, headers, jwt } = conditions;
        methods.iter().for_each(|method| self.method(method.clone()));
        hosts.iter().for_each(|host| self.host(host.clone()));
        for pattern in paths.iter().chain(not_paths) {
            self.path(pattern);
        }
        for header in headers {
            header.values.iter().for_each(|value| self.header(header.name.clone(), value.clone()));
        }
        if let Some(jwt) = jwt {
            self.token(Some(jwt.issuer.url.clone()), None);
            jwt.subjects.iter().for_each(|subject| self.token(None, Some(subject.clone())));
            jwt.issuer.audiences.iter().for_each(|value| self.claim(vec!["aud".into()], value.clone()));
            for (name, values) in &jwt.claims {
                values.iter().for_each(|value| self.claim(name.0.clone(), value.clone()));
            }
        }
    }

    /// Adds a method.
    pub fn method(&mut self, method: SmolStr) {
        self.methods.insert(method);
    }

    /// Adds a host.
    pub fn host(&mut self, host: HostName) {
        self.hosts.insert(host);
    }

    /// Adds a name of ports.
    pub fn port_name(&mut self, name: SmolStr) {
        self.port_names.insert(name);
    }

    /// Adds a value of a header, whose name is in lower case.
    pub fn header(&mut self, name: SmolStr, value: SmolStr) {
        self.headers.entry(name).or_default().insert(value);
    }

    /// Adds the issuer and the subject of a token.
    pub fn token(&mut self, issuer: Option<SmolStr>, subject: Option<SmolStr>) {
        self.issuers.extend(issuer);
        self.subjects.extend(subject);
    }

    /// Adds a value of a claim, by the names that lead to it.
    pub fn claim(&mut self, names: Vec<SmolStr>, value: SmolStr) {
        match names.as_slice() {
            [name] if name == "iss" => self.token(Some(value), None),
            [name] if name == "sub" => self.token(None, Some(value)),
            _ => drop(self.claims.insert((names, value))),
        }
    }

    /// Adds the segments of a path pattern.
    pub fn path(&mut self, pattern: &PathPattern) {
        self.depth = self.depth.max(pattern.segments.len() + 1);
        self.segments.extend(pattern.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(text) => Some(text.clone()),
            Segment::Any => None,
        }));
    }

    /// Adds the values that a gateway names.
    pub fn gateway(&mut self, gateway: &Gateway) {
        for pods in &gateway.pods {
            self.pods(pods);
        }
        let servers = gateway.ports.iter().flat_map(|port| &port.servers);
        self.hosts.extend(servers.filter_map(|server| server.host.clone()));
    }

    /// Adds the values that a `via` names.
    pub fn via(&mut self, via: &Via) {
        self.gateway(&via.gateway);
        self.hosts.extend(via.at.iter().cloned());
    }
}

fn add(keys: &mut Keys, requirements: &Requirements) {
    for requirement in requirements.list().iter().filter(|requirement| requirement.key != NAMESPACE_NAME) {
        if !keys.contains_key(&requirement.key) {
            keys.insert(requirement.key.clone(), FxHashSet::default());
        }
        let (Test::In(listed) | Test::NotIn(listed)) = &requirement.test else { continue };
        if let Some(values) = keys.get_mut(&requirement.key) {
            for value in listed {
                if !values.contains(value) {
                    values.insert(value.clone());
                }
            }
        }
    }
}

/// Returns the address after a range; `None` where the family ends.
fn after(range: Range) -> Option<IpAddr> {
    match range {
        Range::V4(_, last) => Some(IpAddr::V4(last.checked_add(1)?.into())),
        Range::V6(_, last) => Some(IpAddr::V6(last.checked_add(1)?.into())),
    }
}
