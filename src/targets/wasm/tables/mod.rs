//! A policy as the tables that the kernel reads.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443
//!     two members: the pods of garden, and the host; each knows the rules that it is a source or a destination of
//!     a rule: its flags, its two members, and the port
//!     two strings that lead to the members: the namespace's name, and the host's
//! ```
//!
//! What is equal stands once. Strings, members, rules and grants, of which there may be very many, are bytes; all else
//! is records of words.

mod members;
mod strings;
mod words;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use smol_str::SmolStr;

use super::kernel::layout::{self, app, grant, header, kind, member, ports, protocol, rule, test};
use super::kernel::ranges::to_bytes;
use crate::model::addresses::{AddressSet, Range};
use crate::model::conditions::{ClaimName, Conditions, Jwt, PathPattern, Segment};
use crate::model::endpoint::{Endpoint, What};
use crate::model::gateways::{Gateway, Via};
use crate::model::hosts::HostName;
use crate::model::labels::{Account, Labels, PodSelector, Requirement, Test};
use crate::model::paths::{PathNormalization, plainest};
use crate::model::ports::{AppProtocol, PortMatch, PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction};
use crate::policy::{GrantReason, Policy};
use members::{Content, Members, Net};
use strings::Strings;
use words::{Places, Records, Word, count};

/// The tables of a policy: words, and the bytes behind them.
pub struct Written {
    /// The words.
    pub words: Vec<u32>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Writes the tables of a policy. `audit` makes a module that tells what it would deny and denies nothing.
pub fn write(policy: &Policy, audit: bool) -> Written {
    let mut writer = Writer::default();
    writer.strings.add("");
    let rules = writer.rules(policy);
    let grants = writer.grants(policy);
    let gateways: Vec<Word> = policy.gateways.iter().map(|gateway| writer.gateway_record(gateway)).collect();
    let namespaces = writer.namespaces(policy);
    let how = PathNormalization::ALL.iter().position(|how| *how == policy.settings.path_normalization);
    let flags = u32::from(audit) | (how.unwrap_or_default() as u32) << 8;
    writer.finish(flags, &rules, &grants, &gateways, &namespaces, &ranges(&policy.internet))
}

/// A rule or a grant: its flags, and what it refers to.
type Row<const N: usize> = (u32, [Word; N]);

/// The members of an endpoint, each with its ports.
type Union = SmallVec<[(u32, Word); 1]>;

#[derive(Default)]
struct Writer {
    strings: Strings,
    records: Records,
    members: Members,
    selectors: FxHashMap<PodSelector, u32>,
}

impl Writer {
    /// Puts all together.
    fn finish(
        mut self,
        flags: u32,
        rules: &[Row<3>],
        grants: &[Row<2>],
        gateways: &[Word],
        namespaces: &[(Word, Word)],
        internet: &[u8],
    ) -> Written {
        let member_count = self.members.count();
        let sorted = self.strings.sorted();
        let members = self.members.write(&sorted.numbers, &mut self.records);
        let (records, end) = self.records.places(header::LENGTH as u32);
        let places = Places { texts: sorted.numbers.clone(), members: members.numbers.clone(), records };
        let mut words = vec![0; header::LENGTH];
        words.extend(self.records.words().map(|word| places.of(word)));

        // A port with its protocol needs three bytes.
        let width = if end.max(members.bytes.len() as u32) >> 24 == 0 { 3 } else { 4 };
        let mut bytes = Vec::with_capacity(members.bytes.len() + rules.len() * 16);
        let blocks = sorted.write(&members.lengths, members.anchored, &mut bytes);
        let mut place = |bytes: &Vec<u8>, at: usize, count: usize| {
            words[at] = bytes.len() as u32;
            words[at + 1] = count as u32;
        };
        place(&bytes, header::MEMBERS, members.bytes.len());
        bytes.extend_from_slice(&members.bytes);
        place(&bytes, header::RULES, rules.len());
        rows(rules, width, &places, &mut bytes);
        place(&bytes, header::GRANTS, grants.len());
        rows(grants, width, &places, &mut bytes);
        let nets = members.write_nets(width, &mut bytes);
        words[header::INTERNET] = bytes.len() as u32;
        bytes.extend_from_slice(internet);
        // Numbers of a width are read four bytes at a time.
        bytes.extend([0; 4]);

        let resolved = |list: &[Word]| list.iter().map(|word| places.of(*word)).collect::<Vec<_>>();
        let mut namespaces: Vec<[u32; 2]> =
            namespaces.iter().map(|(name, labels)| [places.of(*name), places.of(*labels)]).collect();
        namespaces.sort_unstable();
        for (at, list) in [
            (header::STRINGS, blocks),
            (header::SHAPES, resolved(&members.shapes)),
            (header::UNANCHORED, resolved(&members.unanchored)),
            (header::NETS, nets),
            (header::GATEWAYS, resolved(gateways)),
            (header::NAMESPACES, namespaces.into_flattened()),
        ] {
            words[at] = words.len() as u32;
            words[at + 1] = list.len() as u32;
            words.extend(list);
        }
        words[header::STRING_COUNT] = sorted.count() as u32;
        words[header::MEMBER_COUNT] = member_count as u32;
        words[header::WIDTH] = width as u32;
        words[header::FLAGS] = flags;
        words[header::MAGIC] = layout::MAGIC;
        words[header::ABI] = layout::ABI;
        words[header::WORDS] = words.len() as u32;
        words[header::BYTES] = bytes.len() as u32;
        Written { words, bytes }
    }

    fn name(&mut self, name: &HostName) -> [Word; 2] {
        [Word::Plain(name.wildcard.into()), self.strings.word(&name.name.to_ascii_lowercase())]
    }

    fn names(&mut self, list: &[HostName]) -> Vec<Word> {
        let mut words = vec![count(list)];
        list.iter().for_each(|name| words.extend(self.name(name)));
        words
    }

    fn texts(&mut self, list: &[SmolStr]) -> Vec<Word> {
        let mut words = vec![count(list)];
        words.extend(list.iter().map(|text| self.strings.word(text)));
        words
    }

    fn rules(&mut self, policy: &Policy) -> Vec<Row<3>> {
        let mut all = Vec::with_capacity(policy.rules.len());
        for (at, one) in (0..).zip(&policy.rules) {
            let (source, destination) = (self.union(&one.source), self.union(&one.destination));
            let conditions = self.conditions(&one.conditions);
            let via = one.via.as_ref().map_or(Word::Plain(0), |via| self.via(via));
            let mut flags = 0;
            for (set, flag) in [
                (one.action == Action::Deny, rule::DENY),
                (one.egress, rule::EGRESS),
                (one.ingress, rule::INGRESS),
                (one.action == Action::Isolate, rule::ISOLATE),
                (source.len() != 1, rule::SOURCES),
                (destination.len() != 1, rule::DESTINATIONS),
            ] {
                flags |= if set { flag } else { 0 };
            }
            // Of several members each has its own ports.
            let ports = if let [(_, ports)] = *destination { ports } else { Word::Plain(ports::ALL) };
            let (how, ports) = match ports {
                _ if (conditions, via) != (Word::Plain(0), Word::Plain(0)) => {
                    (rule::MORE, self.records.add(vec![ports, conditions, via]))
                }
                Word::Plain(ports::ALL) => (rule::ALL, Word::Plain(0)),
                Word::Plain(one) => (rule::ONE, Word::Plain(one & !ports::ONE)),
                list => (rule::LIST, list),
            };
            let ends = [&source, &destination].map(|union| self.end(union));
            all.push((flags | how << rule::PORTS, [ends[0], ends[1], ports]));
            for (end, (direction, subject)) in Direction::BOTH.into_iter().zip([&source, &destination]).enumerate() {
                if one.action != Action::Deny && one.governs(direction) {
                    subject.iter().for_each(|(member, _)| self.members.isolate(*member, end, at));
                }
            }
            if one.action == Action::Isolate {
                continue;
            }
            let of = |union: &Union| union.iter().map(|(member, _)| *member).collect::<Vec<_>>();
            self.list(at, member::SOURCES, of(&source));
            self.list(at, member::DESTINATIONS, of(&destination));
            if let Some(via) = one.via.as_ref().filter(|_| one.ingress) {
                let through: Vec<u32> = via.gateway.pods.iter().map(|pods| self.pods(pods)).collect();
                self.list(at, member::SOURCES, through.clone());
                self.list(at, member::WAYS_IN, through);
            }
        }
        all
    }

    /// Adds a number to a list of some members.
    fn list(&mut self, number: u32, list: u32, members: Vec<u32>) {
        members.into_iter().for_each(|member| self.members.list(member, list, number));
    }

    fn grants(&mut self, policy: &Policy) -> Vec<Row<2>> {
        let mut all = Vec::with_capacity(policy.grants.len());
        for (at, one) in (0..).zip(&policy.grants) {
            let mut flags = match one.reason {
                GrantReason::Istiod => grant::ISTIOD,
                GrantReason::Gateway => grant::GATEWAY,
                GrantReason::Dns | GrantReason::Keys => grant::PLAIN,
            };
            let (source, destination) = (self.union(&one.source), self.union(&one.destination));
            let mut to = self.union_record(&destination);
            // Only a gateway asks which rules are the cause, and those of DNS may be thousands.
            if one.reason == GrantReason::Gateway {
                let mut record = vec![to, count(&one.because)];
                record.extend(one.because.iter().map(|rule| Word::Plain(rule.index() as u32)));
                to = self.records.add(record);
            }
            let subject = if one.direction == Direction::Ingress { &destination } else { &source };
            let members = subject.iter().map(|(member, _)| *member).collect();
            self.list(at, member::GRANTS, members);
            flags |= if one.direction == Direction::Ingress { grant::INGRESS } else { 0 };
            flags |= if source.len() == 1 { 0 } else { grant::SOURCES };
            all.push((flags, [self.end(&source), to]));
        }
        all
    }

    fn namespaces(&mut self, policy: &Policy) -> Vec<(Word, Word)> {
        let known = policy.inventory.namespaces.iter().filter(|(_, namespace)| namespace.declared);
        let mut all = Vec::new();
        for (name, namespace) in known {
            let labels = self.labels(&namespace.labels);
            all.push((self.strings.word(name), self.records.add(labels)));
        }
        all
    }

    fn labels(&mut self, labels: &Labels) -> Vec<Word> {
        let mut words = vec![Word::Plain(labels.len() as u32)];
        labels.iter().for_each(|(key, value)| words.extend([self.strings.word(key), self.strings.word(value)]));
        words
    }

    fn union(&mut self, endpoint: &Endpoint) -> Union {
        endpoint.members.iter().map(|one| (self.member(&one.what), self.ports(&one.ports))).collect()
    }

    /// Returns what a rule says of an endpoint: its member, or the record of several.
    fn end(&mut self, union: &Union) -> Word {
        if let [(member, _)] = **union { Word::Member(member) } else { self.union_record(union) }
    }

    fn union_record(&mut self, union: &Union) -> Word {
        let mut words = vec![count(union)];
        union.iter().for_each(|(member, ports)| words.extend([Word::Member(*member), *ports]));
        self.records.add(words)
    }

    fn ports(&mut self, ports: &Ports) -> Word {
        let Ports::Some(list) = ports else { return Word::Plain(ports::ALL) };
        if let [PortMatch { port: PortTest::Range(first, last), protocol, app, .. }] = list.as_slice()
            && first == last
            && *protocol != Protocol::Icmp
        {
            let how = protocol_number(*protocol) << 16 | app_number(*app) << 18;
            return Word::Plain(ports::ONE | how | u32::from(*first));
        }
        let mut words = vec![count(list)];
        for one in list {
            let how = protocol_number(one.protocol) | app_number(one.app) << 8;
            words.extend(match &one.port {
                PortTest::Range(first, last) => [how, u32::from(*first) | u32::from(*last) << 16].map(Word::Plain),
                PortTest::Named(name) => [Word::Plain(how | 1 << 16), self.strings.word(name)],
            });
        }
        self.records.add(words)
    }

    fn member(&mut self, what: &What) -> u32 {
        match what {
            What::Pods(pods) => self.pods(&pods.selector),
            What::Addresses(set) => {
                let content =
                    Content { shape: vec![Word::Plain(kind::ADDRESSES)], values: Vec::new(), places: ranges(set) };
                self.members.add(content, || nets(set))
            }
            What::Host(host) => {
                let [wildcard, _] = self.name(&host.name);
                let mut shape = vec![Word::Plain(kind::HOST), wildcard];
                shape.extend(self.names(&host.except));
                let values = vec![self.strings.add(&host.name.name.to_ascii_lowercase())];
                let set = host.addresses();
                self.members.add(Content { shape, values, places: ranges(&set) }, || nets(&set))
            }
        }
    }

    fn pods(&mut self, selector: &PodSelector) -> u32 {
        if let Some(member) = self.selectors.get(selector) {
            return *member;
        }
        let (namespace, labels) = (selector.namespace.list(), selector.labels.list());
        // What stands at a member is known later.
        let mut shape = vec![Word::Plain(kind::PODS), Word::Plain(0), Word::Plain(0), count(namespace), count(labels)];
        let mut values = Vec::new();
        for one in namespace.iter().chain(labels) {
            shape.extend(self.requirement(one, &mut values));
        }
        let (is_one, accounts) = match &selector.account {
            Account::Is(name) => (1, std::slice::from_ref(name)),
            Account::Not(names) => (0, names.as_slice()),
        };
        shape.extend([Word::Plain(is_one), count(accounts)]);
        values.extend(accounts.iter().map(|name| self.strings.add(name)));
        let member = self.members.add(Content { shape, values, places: Vec::new() }, Vec::new);
        self.selectors.insert(selector.clone(), member);
        member
    }

    fn requirement(&mut self, one: &Requirement, all: &mut Vec<u32>) -> [Word; 2] {
        let (test, values) = match &one.test {
            Test::In(values) => (test::IN, values.as_slice()),
            Test::NotIn(values) => (test::NOT_IN, values.as_slice()),
            Test::Exists => (test::EXISTS, &[][..]),
            Test::DoesNotExist => (test::ABSENT, &[][..]),
        };
        all.extend(values.iter().map(|value| self.strings.add(value)));
        [self.strings.word(&one.key), Word::Plain(test | (values.len() as u32) << 2)]
    }

    fn via(&mut self, via: &Via) -> Word {
        let mut words = vec![self.gateway_record(&via.gateway)];
        words.extend(self.names(&via.at));
        words.push(count(&via.ports));
        words.extend(via.ports.iter().map(|port| Word::Plain(u32::from(*port))));
        self.records.add(words)
    }

    fn gateway_record(&mut self, gateway: &Gateway) -> Word {
        let mut words = vec![count(&gateway.pods)];
        words.extend(gateway.pods.iter().map(|pods| Word::Member(self.pods(pods))));
        words.push(count(&gateway.ports));
        for port in &gateway.ports {
            let (unknown, requests) = (u32::from(port.unknown), u32::from(port.has_requests()));
            let how = [u32::from(port.target), protocol_number(port.protocol), app_number(port.app), unknown, requests];
            words.extend(how.map(Word::Plain).into_iter().chain([count(&port.servers)]));
            for server in &port.servers {
                let (has_name, [wildcard, name]) = match &server.host {
                    Some(host) => (1, self.name(host)),
                    None => (0, [Word::Plain(0); 2]),
                };
                words.extend([Word::Plain(app_number(server.app)), Word::Plain(has_name), wildcard, name]);
            }
        }
        self.records.add(words)
    }

    fn conditions(&mut self, conditions: &Conditions) -> Word {
        if conditions.is_none() {
            return Word::Plain(0);
        }
        let mut words = self.texts(&conditions.methods);
        for list in [&conditions.paths, &conditions.not_paths] {
            words.push(count(list));
            words.extend(list.iter().map(|pattern| self.path(pattern)));
        }
        words.extend(self.names(&conditions.hosts));
        words.push(count(&conditions.headers));
        for header in &conditions.headers {
            words.push(self.strings.word(&header.name));
            words.extend(self.texts(&header.values));
        }
        match &conditions.jwt {
            None => words.push(Word::Plain(0)),
            Some(jwt) => words.extend(self.token(jwt)),
        }
        self.records.add(words)
    }

    fn path(&mut self, pattern: &PathPattern) -> Word {
        let mut words = vec![Word::Plain(pattern.below.into()), count(&pattern.segments)];
        for segment in &pattern.segments {
            words.extend(match segment {
                Segment::Any => [Word::Plain(layout::ANY_SEGMENT); 2],
                Segment::Literal(text) => [self.strings.word(text), self.strings.word(&plainest(text))],
            });
        }
        self.records.add(words)
    }

    fn token(&mut self, jwt: &Jwt) -> Vec<Word> {
        let mut words = vec![Word::Plain(1)];
        words.extend(self.texts(&jwt.subjects));
        let audiences = Some(&jwt.issuer.audiences).filter(|list| !list.is_empty());
        words.push(Word::Plain(1 + u32::from(audiences.is_some()) + jwt.claims.len() as u32));
        words.extend(self.claim(&ClaimName::plain("iss"), std::slice::from_ref(&jwt.issuer.url)));
        if let Some(audiences) = audiences {
            words.extend(self.claim(&ClaimName::plain("aud"), audiences));
        }
        for (name, values) in &jwt.claims {
            words.extend(self.claim(name, values));
        }
        words
    }

    fn claim(&mut self, name: &ClaimName, values: &[SmolStr]) -> Vec<Word> {
        let mut words = vec![Word::Plain(name.is_split().into())];
        words.extend(self.texts(&name.0));
        words.extend(self.texts(values));
        words
    }
}

/// Writes rules or grants.
fn rows<const N: usize>(rows: &[Row<N>], width: usize, places: &Places, out: &mut Vec<u8>) {
    for (flags, words) in rows {
        out.push(*flags as u8);
        for word in words {
            out.extend_from_slice(&places.of(*word).to_le_bytes()[..width]);
        }
    }
}

/// Returns the networks of a set.
fn nets(set: &AddressSet) -> Vec<Net> {
    let net = |block: &crate::model::addresses::Block| {
        let first = match block.net.network() {
            std::net::IpAddr::V4(address) => u32::from(address).into(),
            std::net::IpAddr::V6(address) => address.into(),
        };
        (block.net.addr().is_ipv6(), u32::from(block.net.prefix_len()), first)
    };
    set.blocks.iter().map(net).collect()
}

fn ranges(set: &AddressSet) -> Vec<u8> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for range in set.ranges() {
        match range {
            Range::V4(first, last) => v4.push((first.into(), last.into())),
            Range::V6(first, last) => v6.push((first, last)),
        }
    }
    to_bytes(&v4, &v6)
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
