//! A policy as the tables that the kernel reads.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443
//!     two members: the pods of garden, and the host; each knows the rules that it is a source or a destination of
//!     a rule: its flags, and the offsets of its two endpoints, which name their members and ports
//!     two anchors, by which a party finds its members: the namespace's name, and the host's
//! ```
//!
//! Equal values are stored once, so the tables of a hundred thousand rules over some hundred selectors are mostly
//! rules.

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::kernel::layout::{self, NONE, anchor, app, grant, header, kind, member, protocol, rule, test};
use super::kernel::ranges::to_words;
use crate::model::addresses::{AddressSet, Range};
use crate::model::conditions::{ClaimName, Conditions, Jwt, PathPattern, Segment};
use crate::model::endpoint::{Endpoint, What};
use crate::model::gateways::{Gateway, Via};
use crate::model::hosts::HostName;
use crate::model::labels::{Account, Labels, PodSelector, Requirement, Test};
use crate::model::paths::{PathNormalization, plainest};
use crate::model::ports::{AppProtocol, PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction};
use crate::policy::{GrantReason, Policy};

/// The tables of a policy: words, and the text after them.
pub struct Written {
    /// The words.
    pub words: Vec<u32>,
    /// The text.
    pub text: Vec<u8>,
}

/// Writes the tables of a policy. With `audit` the module denies nothing, and reports what it would deny.
pub fn write(policy: &Policy, audit: bool) -> Written {
    let mut writer = Writer { words: vec![0; header::LENGTH], ..Writer::default() };
    writer.string("");
    let rules = writer.rules(policy);
    let grants = writer.grants(policy);
    let gateways: Vec<u32> = policy.gateways.iter().map(|gateway| writer.gateway(gateway)).collect();
    let namespaces = writer.namespaces(policy);
    let internet = writer.record(ranges(&policy.internet));
    writer.section(header::RULES, &rules, rule::LENGTH);
    writer.section(header::GRANTS, &grants, 1);
    writer.section(header::GATEWAYS, &gateways, 1);
    writer.section(header::NAMESPACES, &namespaces, 1);
    writer.members();
    writer.anchors();
    writer.strings();
    let how = PathNormalization::ALL.iter().position(|how| *how == policy.settings.path_normalization);
    writer.words[header::FLAGS] = u32::from(audit) | (how.unwrap_or_default() as u32) << 8;
    writer.words[header::INTERNET] = internet;
    writer.words[header::MAGIC] = layout::MAGIC;
    writer.words[header::ABI] = layout::ABI;
    writer.words[header::WORDS] = writer.words.len() as u32;
    writer.words[header::TEXT] = writer.text.len() as u32;
    Written { words: writer.words, text: writer.text }
}

/// A member while the tables are written.
#[derive(Default)]
struct Member {
    record: u32,
    /// The lists of the directory: sources, destinations, grants, ways in.
    lists: [Vec<u32>; 4],
    /// The first rules that isolate it.
    isolated: [Option<u32>; 2],
    anchors: Anchors,
    is_placed: bool,
}

/// The anchors of a member: it contains only parties that have one of these anchors.
#[derive(Default)]
struct Anchors {
    /// Kinds to choose from; the hashes of each.
    choices: Vec<Vec<u64>>,
    /// Hashes that all are needed.
    all: Vec<u64>,
}

#[derive(Default)]
struct Writer {
    words: Vec<u32>,
    text: Vec<u8>,
    /// The ends of strings in the text.
    ends: Vec<u32>,
    strings: FxHashMap<SmolStr, u32>,
    records: FxHashMap<Vec<u32>, u32>,
    members: Vec<Member>,
    numbers: FxHashMap<u32, u32>,
    /// The lengths of prefixes in anchors, of IPv4 and of IPv6.
    lengths: [Vec<u32>; 2],
}

impl Writer {
    fn string(&mut self, text: &str) -> u32 {
        if let Some(number) = self.strings.get(text) {
            return *number;
        }
        let number = self.ends.len() as u32;
        self.text.extend_from_slice(text.as_bytes());
        self.ends.push(self.text.len() as u32);
        self.strings.insert(text.into(), number);
        number
    }

    /// Writes a record, once for all that are equal, and returns its offset.
    fn record(&mut self, record: Vec<u32>) -> u32 {
        if let Some(offset) = self.records.get(&record) {
            return *offset;
        }
        let offset = self.words.len() as u32;
        self.words.extend_from_slice(&record);
        self.records.insert(record, offset);
        offset
    }

    fn section(&mut self, at: usize, words: &[u32], size: usize) {
        self.words[at] = self.words.len() as u32;
        self.words[at + 1] = (words.len() / size) as u32;
        self.words.extend_from_slice(words);
    }

    fn name(&mut self, name: &HostName) -> [u32; 2] {
        [u32::from(name.wildcard), self.string(&name.name.to_ascii_lowercase())]
    }

    fn names(&mut self, list: &[HostName]) -> Vec<u32> {
        let mut words = vec![list.len() as u32];
        list.iter().for_each(|name| words.extend(self.name(name)));
        words
    }

    fn texts(&mut self, list: &[SmolStr]) -> Vec<u32> {
        let mut words = vec![list.len() as u32];
        words.extend(list.iter().map(|text| self.string(text)));
        words
    }

    fn rules(&mut self, policy: &Policy) -> Vec<u32> {
        let mut all = Vec::with_capacity(policy.rules.len() * rule::LENGTH);
        for (at, one) in (0..).zip(&policy.rules) {
            let (source, destination) = (self.endpoint(&one.source), self.endpoint(&one.destination));
            let conditions = self.conditions(&one.conditions);
            let via = one.via.as_ref().map_or(0, |via| self.via(via));
            let more = if (conditions, via) == (0, 0) { 0 } else { self.record(vec![conditions, via]) };
            let mut flags = 0;
            for (set, flag) in
                [(one.action == Action::Deny, rule::DENY), (one.egress, rule::EGRESS), (one.ingress, rule::INGRESS)]
            {
                flags |= if set { flag } else { 0 };
            }
            all.extend([flags, source, destination, more]);
            for (direction, place) in Direction::BOTH.into_iter().zip(0..) {
                if one.action != Action::Deny && one.governs(direction) {
                    for number in self.members_of(one.subject(direction)) {
                        self.members[number].isolated[place].get_or_insert(at);
                    }
                }
            }
            if one.action == Action::Isolate {
                continue;
            }
            let through: Vec<usize> = match &one.via {
                Some(via) if one.ingress => via.gateway.pods.iter().map(|pods| self.pods(pods)).collect(),
                _ => Vec::new(),
            };
            let sources: Vec<usize> = self.members_of(&one.source).into_iter().chain(through.clone()).collect();
            let lists = [sources, self.members_of(&one.destination), Vec::new(), through];
            self.list(at, lists);
        }
        all
    }

    /// Adds a number to lists of members.
    fn list(&mut self, at: u32, lists: [Vec<usize>; 4]) {
        for (place, members) in lists.into_iter().enumerate() {
            for number in members {
                let list = &mut self.members[number].lists[place];
                if list.last() != Some(&at) {
                    list.push(at);
                }
            }
        }
    }

    fn grants(&mut self, policy: &Policy) -> Vec<u32> {
        let mut all = Vec::with_capacity(policy.grants.len());
        for (at, one) in (0..).zip(&policy.grants) {
            let reason = match one.reason {
                GrantReason::Istiod => grant::ISTIOD,
                GrantReason::Gateway => grant::GATEWAY,
                GrantReason::Dns | GrantReason::Keys => grant::PLAIN,
            };
            let (source, destination) = (self.endpoint(&one.source), self.endpoint(&one.destination));
            let mut record = vec![reason, u32::from(one.direction == Direction::Ingress), source, destination];
            // Only a gateway asks which rules are the cause, and those of DNS may be thousands.
            if reason == grant::GATEWAY {
                record.push(one.because.len() as u32);
                record.extend(one.because.iter().map(|rule| rule.index() as u32));
            }
            all.push(self.record(record));
            let subject = self.members_of(one.subject());
            self.list(at, [Vec::new(), Vec::new(), subject, Vec::new()]);
        }
        all
    }

    fn namespaces(&mut self, policy: &Policy) -> Vec<u32> {
        let known = policy.inventory.namespaces.iter().filter(|(_, namespace)| namespace.declared);
        let mut all: Vec<[u32; 2]> = Vec::new();
        for (name, namespace) in known {
            let labels = self.labels(&namespace.labels);
            all.push([self.string(name), self.record(labels)]);
        }
        all.sort_unstable();
        all.into_iter().flatten().collect()
    }

    fn labels(&mut self, labels: &Labels) -> Vec<u32> {
        let mut words = vec![labels.len() as u32];
        labels.iter().for_each(|(key, value)| words.extend([self.string(key), self.string(value)]));
        words
    }

    fn endpoint(&mut self, endpoint: &Endpoint) -> u32 {
        let mut words = vec![endpoint.members.len() as u32];
        for one in &endpoint.members {
            let number = self.member(&one.what) as u32;
            words.extend([number, self.ports(&one.ports)]);
        }
        self.record(words)
    }

    fn members_of(&mut self, endpoint: &Endpoint) -> Vec<usize> {
        endpoint.members.iter().map(|one| self.member(&one.what)).collect()
    }

    fn ports(&mut self, ports: &Ports) -> u32 {
        let Ports::Some(list) = ports else { return self.record(vec![layout::ALL_PORTS]) };
        let mut words = vec![list.len() as u32];
        for one in list {
            let how = protocol_number(one.protocol) | app_number(one.app) << 8;
            words.extend(match &one.port {
                PortTest::Range(first, last) => [how, u32::from(*first) | u32::from(*last) << 16],
                PortTest::Named(name) => [how | 1 << 16, self.string(name)],
            });
        }
        self.record(words)
    }

    fn member(&mut self, what: &What) -> usize {
        match what {
            What::Pods(pods) => self.pods(&pods.selector),
            What::Addresses(set) => {
                let mut words = vec![kind::ADDRESSES];
                words.extend(ranges(set));
                self.placed(words, set, Vec::new())
            }
            What::Host(host) => {
                let mut words = vec![kind::HOST];
                words.extend(self.name(&host.name));
                words.extend(self.names(&host.except));
                words.extend(ranges(&host.addresses()));
                let own = layout::hash(anchor::HOST, host.name.name.to_ascii_lowercase().as_bytes());
                self.placed(words, &host.addresses(), vec![own])
            }
        }
    }

    /// Returns the number of the member of a record, which is new where `anchors` is called.
    fn numbered(&mut self, words: Vec<u32>, member: impl FnOnce(&mut Writer) -> Member) -> usize {
        let record = self.record(words);
        if let Some(number) = self.numbers.get(&record) {
            return *number as usize;
        }
        let new = member(self);
        let number = self.members.len();
        self.members.push(Member { record, ..new });
        self.numbers.insert(record, number as u32);
        number
    }

    fn placed(&mut self, words: Vec<u32>, set: &AddressSet, mut all: Vec<u64>) -> usize {
        self.numbered(words, |writer| {
            for block in &set.blocks {
                let (v6, length) = (block.net.addr().is_ipv6(), u32::from(block.net.prefix_len()));
                let (of, first) = match block.net.network() {
                    std::net::IpAddr::V4(address) => (anchor::V4, u32::from(address).into()),
                    std::net::IpAddr::V6(address) => (anchor::V6, u128::from(address)),
                };
                all.push(layout::hash_net(of, length, first));
                let lengths = &mut writer.lengths[usize::from(v6)];
                if !lengths.contains(&length) {
                    lengths.push(length);
                }
            }
            let is_placed = !set.blocks.is_empty();
            Member { anchors: Anchors { choices: Vec::new(), all }, is_placed, ..Member::default() }
        })
    }

    fn pods(&mut self, selector: &PodSelector) -> usize {
        let (namespace, labels) = (selector.namespace.list(), selector.labels.list());
        let mut words = vec![kind::PODS, namespace.len() as u32, labels.len() as u32];
        for one in namespace.iter().chain(labels) {
            words.extend(self.requirement(one));
        }
        words.extend(match &selector.account {
            Account::Is(name) => vec![1, 1, self.string(name)],
            Account::Not(names) => [vec![0], self.texts(names)].concat(),
        });
        self.numbered(words, |writer| {
            let mut choices = Vec::new();
            for (kind, list) in [(anchor::NAMESPACE, namespace), (anchor::LABEL, labels)] {
                for one in list {
                    if let Test::In(values) = &one.test {
                        let key = writer.string(&one.key);
                        let hashes = values.iter().map(|value| layout::hash_pair(kind, key, writer.string(value)));
                        choices.push(hashes.collect());
                    }
                }
            }
            if let Account::Is(name) = &selector.account {
                choices.push(vec![layout::hash_pair(anchor::ACCOUNT, writer.string(name), 0)]);
            }
            Member { anchors: Anchors { choices, all: Vec::new() }, ..Member::default() }
        })
    }

    fn requirement(&mut self, one: &Requirement) -> Vec<u32> {
        let (test, values) = match &one.test {
            Test::In(values) => (test::IN, values.as_slice()),
            Test::NotIn(values) => (test::NOT_IN, values.as_slice()),
            Test::Exists => (test::EXISTS, &[][..]),
            Test::DoesNotExist => (test::ABSENT, &[][..]),
        };
        let mut words = vec![self.string(&one.key), test | (values.len() as u32) << 2];
        words.extend(values.iter().map(|value| self.string(value)));
        words
    }

    fn via(&mut self, via: &Via) -> u32 {
        let mut words = vec![self.gateway(&via.gateway)];
        words.extend(self.names(&via.at));
        words.push(via.ports.len() as u32);
        words.extend(via.ports.iter().map(|port| u32::from(*port)));
        self.record(words)
    }

    fn gateway(&mut self, gateway: &Gateway) -> u32 {
        let mut words = vec![gateway.pods.len() as u32];
        words.extend(gateway.pods.iter().map(|pods| self.pods(pods) as u32));
        words.push(gateway.ports.len() as u32);
        for port in &gateway.ports {
            let (unknown, requests) = (u32::from(port.unknown), u32::from(port.has_requests()));
            let how = [u32::from(port.target), protocol_number(port.protocol), app_number(port.app)];
            words.extend(how.into_iter().chain([unknown, requests, port.servers.len() as u32]));
            for server in &port.servers {
                let name = server.host.as_ref().map(|host| self.name(host));
                let [wildcard, text] = name.unwrap_or_default();
                words.extend([app_number(server.app), u32::from(name.is_some()), wildcard, text]);
            }
        }
        self.record(words)
    }

    fn conditions(&mut self, conditions: &Conditions) -> u32 {
        if conditions.is_none() {
            return 0;
        }
        let mut words = self.texts(&conditions.methods);
        for list in [&conditions.paths, &conditions.not_paths] {
            words.push(list.len() as u32);
            words.extend(list.iter().map(|pattern| self.path(pattern)));
        }
        words.extend(self.names(&conditions.hosts));
        words.push(conditions.headers.len() as u32);
        for header in &conditions.headers {
            words.push(self.string(&header.name));
            words.extend(self.texts(&header.values));
        }
        match &conditions.jwt {
            None => words.push(0),
            Some(jwt) => words.extend(self.token(jwt)),
        }
        self.record(words)
    }

    fn path(&mut self, pattern: &PathPattern) -> u32 {
        let mut words = vec![u32::from(pattern.below), pattern.segments.len() as u32];
        for segment in &pattern.segments {
            words.extend(match segment {
                Segment::Any => [layout::ANY_SEGMENT; 2],
                Segment::Literal(text) => [self.string(text), self.string(&plainest(text))],
            });
        }
        self.record(words)
    }

    fn token(&mut self, jwt: &Jwt) -> Vec<u32> {
        let mut words = vec![1];
        words.extend(self.texts(&jwt.subjects));
        let audiences = Some(&jwt.issuer.audiences).filter(|list| !list.is_empty());
        words.push(1 + u32::from(audiences.is_some()) + jwt.claims.len() as u32);
        words.extend(self.claim(&ClaimName::plain("iss"), std::slice::from_ref(&jwt.issuer.url)));
        if let Some(audiences) = audiences {
            words.extend(self.claim(&ClaimName::plain("aud"), audiences));
        }
        for (name, values) in &jwt.claims {
            words.extend(self.claim(name, values));
        }
        words
    }

    fn claim(&mut self, name: &ClaimName, values: &[SmolStr]) -> Vec<u32> {
        let mut words = vec![u32::from(name.is_split())];
        words.extend(self.texts(&name.0));
        words.extend(self.texts(values));
        words
    }

    /// Writes the directory of members, and their lists.
    fn members(&mut self) {
        let members = std::mem::take(&mut self.members);
        let mut directory = vec![0; (members.len() + 1) * member::LENGTH];
        let lists = [member::SOURCES, member::DESTINATIONS, member::GRANTS, member::WAYS_IN];
        for (place, word) in lists.into_iter().enumerate() {
            for (entry, one) in directory.chunks_exact_mut(member::LENGTH).zip(&members) {
                entry[word] = self.words.len() as u32;
                self.words.extend_from_slice(&one.lists[place]);
            }
            // The last list ends where that of one member more would begin.
            directory[members.len() * member::LENGTH + word] = self.words.len() as u32;
        }
        for (entry, one) in directory.chunks_exact_mut(member::LENGTH).zip(&members) {
            entry[member::RECORD] = one.record;
            entry[member::ISOLATED_OUT] = one.isolated[0].unwrap_or(NONE);
            entry[member::ISOLATED_IN] = one.isolated[1].unwrap_or(NONE);
        }
        self.section(header::MEMBERS, &directory, member::LENGTH);
        self.members = members;
    }

    /// Writes the anchors: each member is found by its rarest one.
    fn anchors(&mut self) {
        let mut often: FxHashMap<u64, u32> = FxHashMap::default();
        for hash in self.members.iter().flat_map(|one| one.anchors.choices.iter().flatten()) {
            *often.entry(*hash).or_default() += 1;
        }
        let mut found: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        let (mut order, mut unanchored, mut placed) = (Vec::new(), Vec::new(), Vec::new());
        for (number, one) in (0..).zip(&self.members) {
            let rarest =
                one.anchors.choices.iter().min_by_key(|list| {
                    list.iter().map(|hash| often.get(hash).copied().unwrap_or_default()).sum::<u32>()
                });
            if rarest.is_none() && one.anchors.all.is_empty() {
                unanchored.push(number);
            }
            for hash in rarest.into_iter().flatten().chain(&one.anchors.all) {
                let list = found.entry(*hash).or_insert_with(|| {
                    order.push(*hash);
                    Vec::new()
                });
                if list.last() != Some(&number) {
                    list.push(number);
                }
            }
            if one.is_placed {
                placed.push(number);
            }
        }
        let slots = (2 * order.len()).next_power_of_two();
        let mut table = vec![[0_u32; 4]; slots];
        for hash in order {
            let list = found.remove(&hash).unwrap_or_default();
            let start = self.words.len() as u32;
            self.words.extend_from_slice(&list);
            let mut slot = hash as usize & (slots - 1);
            while table[slot][3] != 0 {
                slot = (slot + 1) & (slots - 1);
            }
            table[slot] = [hash as u32, (hash >> 32) as u32, start, list.len() as u32];
        }
        self.section(header::ANCHORS, &table.concat(), 4);
        self.section(header::UNANCHORED, &unanchored, 1);
        self.section(header::PLACED, &placed, 1);
        for (place, list) in std::mem::take(&mut self.lengths).iter().enumerate() {
            self.section(header::PREFIXES + 2 * place, list, 1);
        }
    }

    /// Writes the directory of strings, and the table that finds them.
    fn strings(&mut self) {
        let slots = (2 * self.ends.len()).next_power_of_two();
        let mut table = vec![NONE; slots];
        let mut start = 0;
        for (number, end) in (0..).zip(&self.ends) {
            let text = &self.text[start..*end as usize];
            start = *end as usize;
            let mut slot = layout::hash(0, text) as usize & (slots - 1);
            while table[slot] != NONE {
                slot = (slot + 1) & (slots - 1);
            }
            table[slot] = number;
        }
        self.section(header::STRING_SLOTS, &table, 1);
        let ends: Vec<u32> = std::iter::once(0).chain(self.ends.iter().copied()).collect();
        self.section(header::STRINGS, &ends, 1);
    }
}

fn ranges(set: &AddressSet) -> Vec<u32> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for range in set.ranges() {
        match range {
            Range::V4(first, last) => v4.push((first.into(), last.into())),
            Range::V6(first, last) => v6.push((first, last)),
        }
    }
    to_words(&v4, &v6)
}

fn protocol_number(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Tcp => protocol::TCP,
        Protocol::Udp => protocol::UDP,
        Protocol::Sctp => protocol::SCTP,
        Protocol::Icmp => protocol::ICMP,
    }
}

fn app_number(app: Option<AppProtocol>) -> u32 {
    match app {
        None => app::NONE,
        Some(AppProtocol::Http | AppProtocol::Grpc) => app::HTTP,
        Some(AppProtocol::Tls) => app::TLS,
        Some(AppProtocol::Https) => app::HTTPS,
    }
}
