//! The space of flows: its variables in the order in which diagrams test them, and the values of each.
//!
//! ```text
//! place, place │ protocol │ port │ port names │ names asked for │ addresses │ host │ request │ labels │ accounts │
//! namespace labels
//! ```
//!
//! Ports and hosts distinguish rules at small cost and are tested first; labels overlap and are tested late. The names
//! that a request asks for come before addresses: a gateway refuses for each of its hosts all addresses but a few. If two
//! labels are otherwise equal, the label of the judged pods is tested first: its rules exclude different peers for each
//! pod. A value that no rule names is [`OTHER`]. A value that the flow lacks (a label that a pod does not have, the
//! method of an unknown request) is [`ABSENT`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::diagram::{Scale, Var};
use super::order::order;
use super::side::Side;
use super::terms::{Keys, Terms, TokenClaim};
use crate::model::addresses::{AddressSet, Range};
use crate::model::hosts::{Host, HostName};
use crate::model::labels::Labels;
use crate::model::paths::same_spelling;
use crate::model::ports::Protocol;

/// The value for something that the flow lacks.
pub const ABSENT: u32 = 0;
/// Any value that no rule names.
pub const OTHER: u32 = u32::MAX;
/// The place of everything that is no pod.
pub const OUTSIDE: u32 = 0;
/// The name that is sent and empty: TLS without a name.
pub(super) const NAMELESS: u32 = 1;
/// An empty segment of a path.
pub(super) const EMPTY: u32 = 1;

/// Values that are compared by name. They are sorted, so that they have the same numbers in every run.
#[derive(Clone, Debug, Default)]
pub(super) struct Table<T>(Vec<T>);

impl<T: Ord> Table<T> {
    fn new(values: impl IntoIterator<Item = T>) -> Table<T> {
        let mut list: Vec<T> = values.into_iter().collect();
        list.sort();
        list.dedup();
        Table(list)
    }

    /// Returns the number of a value; [`OTHER`] where it is not in play.
    pub(super) fn number<Q: Ord + ?Sized>(&self, value: &Q) -> u32
    where
        T: std::borrow::Borrow<Q>,
    {
        self.0.binary_search_by(|one| one.borrow().cmp(value)).map_or(OTHER, |at| at as u32 + 2)
    }

    /// Returns the value of a number.
    pub(super) fn value(&self, number: u32) -> Option<&T> {
        self.0.get(number.checked_sub(2)? as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the numbers of all values.
    pub(super) fn numbers(&self) -> std::ops::Range<u32> {
        2..2 + self.len() as u32
    }

    /// Returns every value with its number.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u32, &T)> {
        self.0.iter().enumerate().map(|(at, value)| (at as u32 + 2, value))
    }
}

/// The variables of flows and the values in play.
#[derive(Clone, Debug)]
pub struct Space {
    pub(super) namespaces: Table<SmolStr>,
    /// The labels of each namespace; `None` if they are unknown.
    pub(super) known: Vec<Option<Labels>>,
    pub(super) closed: bool,
    pub(super) namespace_keys: Table<SmolStr>,
    pub(super) namespace_values: Vec<Table<SmolStr>>,
    pub(super) keys: Table<SmolStr>,
    pub(super) values: Vec<Table<SmolStr>>,
    pub(super) accounts: Table<SmolStr>,
    pub(super) port_names: Table<SmolStr>,
    pub(super) points: Vec<IpAddr>,
    pub(super) hosts: Table<HostName>,
    pub(super) places: Vec<(Host, AddressSet)>,
    pub(super) methods: Table<SmolStr>,
    pub(super) segments: Table<SmolStr>,
    pub(super) depth: usize,
    pub(super) issuers: Table<SmolStr>,
    pub(super) subjects: Table<SmolStr>,
    pub(super) claims: Table<TokenClaim>,
    pub(super) headers: Table<SmolStr>,
    pub(super) header_values: Vec<Table<SmolStr>>,
    /// The order of the pod labels: first by twice the key's number plus the side, then the inverse.
    label_places: Vec<u32>,
    label_at: Vec<u32>,
    first: Firsts,
}

/// The first variable of each group.
#[derive(Clone, Debug, Default)]
struct Firsts {
    port_names: u32,
    asked: u32,
    addresses: u32,
    segments: u32,
    headers: u32,
    claims: u32,
    sidecar: u32,
    labels: u32,
    accounts: u32,
    namespace_labels: u32,
    count: u32,
}

/// The property of a flow that a variable stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature<'s> {
    /// The namespace of the judged side, or of the other one; [`OUTSIDE`] for no pod.
    Place {
        /// Whether it is the judged side.
        own: bool,
    },
    /// `tcp`, `udp`, `sctp` or `icmp`.
    Protocol,
    /// The destination's port; 0 for ICMP.
    Port,
    /// Whether the destination pod calls the port by a name.
    PortName(&'s SmolStr),
    /// The address of an end that is no pod.
    Address(Side),
    /// The name of a destination outside.
    Host,
    /// The client whose request a gateway passes on; 0 if it is unknown.
    Client,
    /// The HTTP method.
    Method,
    /// A segment of the path, from 0.
    Segment(usize),
    /// The HTTP host of the request.
    RequestHost,
    /// The name that TLS asks for (SNI).
    TlsName,
    /// The issuer of the token.
    Issuer,
    /// The subject of the token.
    Subject,
    /// Whether the token has a claim with a value.
    Claim(&'s TokenClaim),
    /// The value of a header of the request.
    Header(&'s SmolStr),
    /// Whether the source pod has a sidecar.
    Sidecar,
    /// A label of a pod.
    Label(Side, &'s SmolStr),
    /// The service account of a pod.
    Account(Side),
    /// A label of a pod's namespace.
    NamespaceLabel(Side, &'s SmolStr),
}

const PROTOCOL: Var = Var(2);
const PORT: Var = Var(3);
const PORT_NAMES: u32 = 4;

impl Space {
    /// Makes the space that distinguishes all values of these terms.
    pub fn new(terms: Terms) -> Space {
        let first_addresses = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let mut points: Vec<IpAddr> = terms.points.into_iter().chain(first_addresses).collect();
        points.sort();
        points.dedup();
        let mut namespaces: Vec<(SmolStr, Option<Labels>)> = terms.namespaces.into_iter().collect();
        namespaces.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let (namespaces, known): (Vec<SmolStr>, _) = namespaces.into_iter().unzip();
        let (namespace_keys, namespace_values) = tables(terms.namespace_labels);
        let (keys, values) = tables(terms.labels);
        let (headers, header_values) = tables(terms.headers);
        // During the ordering, the label of the judged side has the smaller number.
        let turned = u32::from(terms.judged == Some(Side::Destination));
        let label = |(key, receives): &(SmolStr, bool)| 2 * (keys.number(key) - 2) + (u32::from(*receives) ^ turned);
        let together = terms.together.iter().map(|(list, times)| (list.iter().map(label).collect(), *times));
        let ordered = order(2 * keys.len(), &together.collect());
        let label_places: Vec<u32> = (0..ordered.len()).map(|label| ordered[label ^ turned as usize]).collect();
        let mut label_at = vec![0; label_places.len()];
        for (label, place) in (0..).zip(&label_places) {
            label_at[*place as usize] = label;
        }
        let mut space = Space {
            namespaces: Table::new(namespaces),
            known,
            closed: terms.closed,
            namespace_keys,
            namespace_values,
            keys,
            values,
            accounts: Table::new(terms.accounts),
            port_names: Table::new(terms.port_names),
            points,
            hosts: Table::new(terms.hosts),
            places: terms.places,
            methods: Table::new(terms.methods),
            segments: segments(terms.segments),
            depth: terms.depth,
            issuers: Table::new(terms.issuers),
            subjects: Table::new(terms.subjects),
            claims: Table::new(terms.claims),
            headers,
            header_values,
            label_places,
            label_at,
            first: Firsts::default(),
        };
        let port_names = PORT_NAMES;
        let asked = port_names + space.port_names.len() as u32;
        let addresses = asked + 2;
        let segments = addresses + 5;
        let headers = segments + space.depth as u32 + 2;
        let claims = headers + space.headers.len() as u32;
        let sidecar = claims + space.claims.len() as u32;
        let labels = sidecar + 1;
        let accounts = labels + 2 * space.keys.len() as u32;
        let namespace_labels = accounts + 2;
        let count = namespace_labels + 2 * space.namespace_keys.len() as u32;
        space.first = Firsts {
            port_names,
            asked,
            addresses,
            segments,
            headers,
            claims,
            sidecar,
            labels,
            accounts,
            namespace_labels,
            count,
        };
        space
    }

    /// Returns the scale of each variable.
    pub fn scales(&self) -> Vec<Scale> {
        let addresses = [Feature::Address(Side::Source), Feature::Address(Side::Destination), Feature::Client];
        let numbers: Vec<Var> = addresses.into_iter().chain([Feature::Port]).map(|feature| self.var(feature)).collect();
        let scale = |at| if numbers.contains(&Var(at)) { Scale::Numbers } else { Scale::Names };
        (0..self.first.count).map(scale).collect()
    }

    /// Returns the variable of a feature. The name in it must be in play.
    pub fn var(&self, feature: Feature<'_>) -> Var {
        let first = &self.first;
        let side = |side: Side| u32::from(side == Side::Destination);
        let token = first.segments + self.depth as u32;
        Var(match feature {
            Feature::Place { own: true } => 0,
            Feature::Place { own: false } => 1,
            Feature::Protocol => return PROTOCOL,
            Feature::Port => return PORT,
            Feature::PortName(name) => first.port_names + self.port_names.number(name) - 2,
            Feature::Address(Side::Source) => first.addresses,
            Feature::Address(Side::Destination) => first.addresses + 1,
            Feature::Host => first.addresses + 2,
            Feature::Client => first.addresses + 3,
            Feature::Method => first.addresses + 4,
            Feature::Segment(at) => first.segments + at as u32,
            Feature::RequestHost => first.asked,
            Feature::TlsName => first.asked + 1,
            Feature::Issuer => token,
            Feature::Subject => token + 1,
            Feature::Header(name) => first.headers + self.headers.number(name) - 2,
            Feature::Claim(claim) => first.claims + self.claims.number(claim) - 2,
            Feature::Sidecar => first.sidecar,
            Feature::Label(one, key) => {
                let label = 2 * (self.keys.number(key) - 2) + side(one);
                first.labels + self.label_places[label as usize]
            }
            Feature::Account(one) => first.accounts + side(one),
            Feature::NamespaceLabel(one, key) => {
                first.namespace_labels + 2 * (self.namespace_keys.number(key) - 2) + side(one)
            }
        })
    }

    /// Returns every variable.
    pub fn vars(&self) -> impl Iterator<Item = Var> + use<> {
        (0..self.first.count).map(Var)
    }

    /// Returns the feature of a variable.
    pub fn feature(&self, var: Var) -> Feature<'_> {
        let first = &self.first;
        let at = var.0;
        let side = |at: u32| if at.is_multiple_of(2) { Side::Source } else { Side::Destination };
        match at {
            0 | 1 => Feature::Place { own: at == 0 },
            2 => Feature::Protocol,
            3 => Feature::Port,
            _ if at < first.asked => Feature::PortName(&self.port_names.0[(at - first.port_names) as usize]),
            _ if at == first.asked => Feature::RequestHost,
            _ if at < first.addresses => Feature::TlsName,
            _ if at < first.segments => match at - first.addresses {
                0 => Feature::Address(Side::Source),
                1 => Feature::Address(Side::Destination),
                2 => Feature::Host,
                3 => Feature::Client,
                _ => Feature::Method,
            },
            _ if at < first.headers => match (at - first.segments) as usize {
                segment if segment < self.depth => Feature::Segment(segment),
                other if other == self.depth => Feature::Issuer,
                _ => Feature::Subject,
            },
            _ if at < first.claims => Feature::Header(&self.headers.0[(at - first.headers) as usize]),
            _ if at < first.sidecar => Feature::Claim(&self.claims.0[(at - first.claims) as usize]),
            _ if at == first.sidecar => Feature::Sidecar,
            _ if at < first.accounts => {
                let label = self.label_at[(at - first.labels) as usize];
                Feature::Label(side(label), &self.keys.0[(label / 2) as usize])
            }
            _ if at < first.namespace_labels => Feature::Account(side(at - first.accounts)),
            _ => Feature::NamespaceLabel(
                side(at - first.namespace_labels),
                &self.namespace_keys.0[((at - first.namespace_labels) / 2) as usize],
            ),
        }
    }

    /// Returns the number of a protocol.
    pub fn protocol(protocol: Protocol) -> u32 {
        match protocol {
            Protocol::Tcp => 0,
            Protocol::Udp => 1,
            Protocol::Sctp => 2,
            Protocol::Icmp => 3,
        }
    }

    /// Returns the place of a namespace's pods: the namespace's number, or [`OTHER`] if no rule names it.
    pub fn place(&self, namespace: &str) -> u32 {
        self.namespaces.number(namespace)
    }

    /// Returns every place where a pod can be. With an inventory, only its namespaces exist.
    pub fn pod_places(&self) -> impl Iterator<Item = u32> + use<'_> {
        let other = (!self.closed).then_some(OTHER);
        self.namespaces.numbered().map(|(number, _)| number).chain(other)
    }

    /// Returns the namespace of a place; `None` for outside and for a namespace that no rule names.
    pub fn namespace(&self, place: u32) -> Option<&SmolStr> {
        self.namespaces.value(place)
    }

    /// Returns the labels of a namespace, where they are known.
    pub fn namespace_labels(&self, place: u32) -> Option<&Labels> {
        self.known.get(place.checked_sub(2)? as usize)?.as_ref()
    }

    /// Returns the values in play of a label.
    pub(super) fn values_of(&self, key: &str) -> &Table<SmolStr> {
        &self.values[(self.keys.number(key) - 2) as usize]
    }

    /// Returns the values in play of a namespace's label.
    pub(super) fn namespace_values_of(&self, key: &str) -> &Table<SmolStr> {
        &self.namespace_values[(self.namespace_keys.number(key) - 2) as usize]
    }

    /// Returns the number of the range that an address lies in.
    pub fn address(&self, address: IpAddr) -> u32 {
        self.points.partition_point(|point| *point <= address) as u32 - 1
    }

    /// Returns the numbers of the ranges that a set of addresses reaches into.
    pub fn numbers_in(&self, set: &AddressSet) -> impl Iterator<Item = u32> + use<> {
        self.ranges(set).into_iter().flat_map(|(first, last)| first..=last)
    }

    /// Returns the addresses of a host, as far as some policy gives them.
    pub fn places_of(&self, name: &str) -> AddressSet {
        let means = self.places.iter().filter(|(host, _)| host.matches(name));
        AddressSet { blocks: means.flat_map(|(_, at)| at.blocks.iter().cloned()).collect() }
    }

    /// Returns the number of a method.
    pub fn method(&self, method: &str) -> u32 {
        self.methods.number(method)
    }

    /// Returns the number of an issuer.
    pub fn issuer(&self, url: &str) -> u32 {
        self.issuers.number(url)
    }

    /// Returns the number of a token's subject.
    pub fn subject(&self, subject: &str) -> u32 {
        self.subjects.number(subject)
    }

    /// Returns the values in play of a header.
    pub(super) fn header_values_of(&self, name: &str) -> &Table<SmolStr> {
        &self.header_values[(self.headers.number(name) - 2) as usize]
    }

    /// Returns the number of a value of a header that is in play.
    pub fn header(&self, name: &str, value: &str) -> u32 {
        self.header_values_of(name).number(value)
    }

    /// Returns the number of a service account.
    pub fn account(&self, account: &str) -> u32 {
        self.accounts.number(account)
    }

    /// Returns the number of a value of a pod's label whose key is in play.
    pub fn label(&self, key: &str, value: &str) -> u32 {
        self.values_of(key).number(value)
    }

    /// Returns the number of a value of a namespace's label whose key is in play.
    pub fn namespace_label(&self, key: &str, value: &str) -> u32 {
        self.namespace_values_of(key).number(value)
    }

    /// Returns the first address of a numbered range.
    pub fn first_address(&self, number: u32) -> Option<IpAddr> {
        self.points.get(number as usize).copied()
    }

    /// Returns a set of addresses as ranges of numbers, sorted and apart.
    pub(super) fn ranges(&self, set: &AddressSet) -> Vec<(u32, u32)> {
        set.ranges()
            .into_iter()
            .map(|range| {
                let last = match range {
                    Range::V4(_, last) => IpAddr::V4(last.into()),
                    Range::V6(_, last) => IpAddr::V6(last.into()),
                };
                (self.address(range.first()), self.address(last))
            })
            .collect()
    }

    /// Returns a set of addresses as [`Space::ranges`] does. A range up to the very last address has no end, because no
    /// number follows it.
    pub(super) fn open_ranges(&self, set: &AddressSet) -> Vec<(u32, u32)> {
        let mut ranges = self.ranges(set);
        if let Some((_, last)) = ranges.last_mut().filter(|(_, last)| *last as usize + 1 == self.points.len()) {
            *last = u32::MAX;
        }
        ranges
    }

    /// Returns the number of a host: of its name, else of the closest wildcard that contains it.
    pub fn host(&self, name: &str) -> u32 {
        if name.is_empty() {
            return NAMELESS;
        }
        let exact = HostName { wildcard: false, name: name.into() };
        let number = self.hosts.number(&exact);
        if number != OTHER {
            return number;
        }
        let parents = name.match_indices('.').map(|(dot, _)| HostName { wildcard: true, name: name[dot + 1..].into() });
        parents.map(|parent| self.hosts.number(&parent)).find(|number| *number != OTHER).unwrap_or(OTHER)
    }

    /// Returns, for each host in play, its number and an example name. A wildcard stands for the hosts that no closer
    /// one in play contains; its example has the label `?`, which no policy can write.
    pub(super) fn each_host(&self) -> impl Iterator<Item = (u32, SmolStr)> + use<'_> {
        self.hosts.numbered().map(|(number, host)| match host.wildcard {
            true => (number, smol_str::format_smolstr!("?.{}", host.name)),
            false => (number, host.name.clone()),
        })
    }

    /// Returns a host's number as a name to show; an invented name if only a wildcard contains it.
    pub fn host_shown(&self, number: u32) -> SmolStr {
        let name = match self.hosts.value(number) {
            Some(host) if !host.wildcard => return host.name.clone(),
            None if number == NAMELESS => return SmolStr::default(),
            Some(host) => &host.name,
            None => "example",
        };
        let mut label = "another".to_owned();
        while self.host(&format!("{label}.{name}")) != number {
            label.push('x');
        }
        smol_str::format_smolstr!("{label}.{name}")
    }

    /// Returns the numbers of a path's segments; all [`ABSENT`] for a path that no pattern can match.
    pub fn path(&self, path: &str) -> Vec<u32> {
        let mut numbers = vec![ABSENT; self.depth];
        if let Some(rest) = path.strip_prefix('/') {
            for (number, segment) in numbers.iter_mut().zip(rest.split('/')) {
                *number = self.segment(segment);
            }
        }
        numbers
    }

    /// Returns the number of a segment: of its text, else of its other spellings.
    pub(super) fn segment(&self, text: &str) -> u32 {
        if text.is_empty() {
            return EMPTY;
        }
        let exact = self.segments.number(text);
        if exact != OTHER {
            return exact;
        }
        let spelled = self.segments.numbered().find(|(_, one)| is_spelling_of(one, text));
        spelled.map_or(OTHER, |(number, _)| number)
    }

    /// Returns the numbers of all spellings of a segment.
    pub(super) fn spellings(&self, text: &str) -> Vec<u32> {
        if text.is_empty() {
            return vec![EMPTY];
        }
        let all = self.segments.numbered().filter(|(_, one)| same_spelling(one, text) || is_spelling_of(one, text));
        all.map(|(number, _)| number).collect()
    }
}

/// The prefix of the segment that stands for all spellings that no policy writes.
pub(super) const OTHERWISE: char = '\0';

/// Returns whether a segment in play stands for the other spellings of a text.
fn is_spelling_of(segment: &str, text: &str) -> bool {
    segment.strip_prefix(OTHERWISE).is_some_and(|of| same_spelling(of, text))
}

/// The most spellings of a segment that are looked up among those in play.
const MOST_SPELLINGS: usize = 64;

/// Returns the segments in play, and for each that has several spellings one that stands for those not in play.
fn segments(written: std::collections::BTreeSet<SmolStr>) -> Table<SmolStr> {
    let mut all: Vec<SmolStr> = Vec::new();
    for text in written.iter().filter(|text| !text.is_empty()) {
        let all_written = |all: Vec<String>| all.iter().all(|one| written.contains(one.as_str()));
        let has_others = !crate::model::paths::spellings(text, MOST_SPELLINGS).is_some_and(all_written);
        let known = |one: &SmolStr| is_spelling_of(one, text);
        if has_others && !all.iter().any(known) {
            all.push(smol_str::format_smolstr!("{OTHERWISE}{text}"));
        }
        all.push(text.clone());
    }
    Table::new(all)
}

fn tables(keys: Keys) -> (Table<SmolStr>, Vec<Table<SmolStr>>) {
    let mut sorted: Vec<(SmolStr, FxHashSet<SmolStr>)> = keys.into_iter().collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let (names, values): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
    (Table::new(names), values.into_iter().map(Table::new).collect())
}
