//! Parties: what a host says of a pod, an address or a host outside, and which members of the policy hold it. This is
//! found once, when the party is interned; a decision only looks it up.
//!
//! ```text
//! {"namespace": "garden", "labels": {"app": "web"}, "account": "web"}     a pod
//! {"host": "zenquotes.io"}     {"address": "203.0.113.7"}     "203.0.113.7"
//! ```

use std::net::IpAddr;

use super::bytes::Bytes;
use super::has_room;
use super::json::Json;
use super::layout::{NONE, header, kind, member, protocol, test};
use super::ranges::{Ranges, merged, network, of_address, to_bytes};
use super::strings::Found;
use super::table::{Lists, Member, Tables};

/// The label by which a namespace has its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// How far an endpoint holds a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// Not at all.
    No,
    /// Some of the addresses where the host may be, and not all.
    Partly,
    /// In whole.
    Yes,
}

/// A member of the policy that holds a party by what it says, and not by the addresses of a host.
#[derive(Clone, Copy, Debug)]
pub struct Held<'t> {
    /// The member.
    pub member: u32,
    /// Its lists.
    pub lists: Lists<'t>,
}

/// What a party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pod.
    Pod,
    /// An address that is no pod's.
    Address,
    /// A host outside.
    Host,
}

/// A port name of a pod.
#[derive(Clone, Copy, Debug)]
pub struct PortName {
    /// The name, as a string of the policy.
    pub name: u32,
    /// The port.
    pub port: u16,
    /// Its protocol.
    pub protocol: u32,
}

/// A party.
#[derive(Clone, Debug)]
pub struct Party<'t> {
    /// What it is.
    pub kind: Kind,
    /// Whether it is one Pod, and not any pod of a workload: such a Pod reaches itself.
    pub single: bool,
    /// Whether it is a pod with a sidecar.
    pub sidecar: bool,
    /// The members that hold it, sorted. Of a host these are those of its name.
    pub held: Vec<Held<'t>>,
    /// A pod's port names.
    pub ports: Vec<PortName>,
    /// A host's name, in lower case.
    pub name: String,
    /// The addresses where a host may be; `None` for those of the internet.
    places: Option<Vec<u8>>,
    /// The first rule that isolates it on its way out, and on its way in.
    pub isolated: [u32; 2],
    /// How many rules it is a source of, and a destination of, nearly. Any rule may be about a host.
    pub rules: [usize; 2],
    /// Whether there was memory for all of it.
    pub is_whole: bool,
}

impl<'t> Party<'t> {
    fn new(kind: Kind) -> Party<'t> {
        Party {
            kind,
            single: false,
            sidecar: false,
            held: Vec::new(),
            ports: Vec::new(),
            name: String::new(),
            places: None,
            isolated: [NONE; 2],
            rules: [0; 2],
            is_whole: true,
        }
    }

    /// Returns how far a member holds the party; where a deny names it, a host's addresses count too.
    pub fn held_by(&self, tables: &Tables<'_>, member: u32, deny: bool) -> Match {
        let found = match self.held.len() {
            0..=8 => self.held.iter().any(|held| held.member == member),
            _ => self.held.binary_search_by_key(&member, |held| held.member).is_ok(),
        };
        match self.kind {
            _ if found => Match::Yes,
            Kind::Host => self.placed_in(tables.member(member), deny, tables),
            _ => Match::No,
        }
    }

    /// Returns how far a host is at the addresses of a member.
    fn placed_in(&self, mut member: Member<'_>, deny: bool, tables: &Tables<'_>) -> Match {
        // An allow of a host lets its own name through, whatever else is at its addresses.
        if !(deny || member.kind == kind::ADDRESSES) {
            return Match::No;
        }
        let (mine, theirs) = (self.places(tables), member.places());
        match () {
            () if !mine.overlaps(&theirs) => Match::No,
            () if mine.is_inside(&|each| each(theirs)) => Match::Yes,
            () => Match::Partly,
        }
    }

    /// Returns the addresses where a host may be.
    pub fn places<'p>(&'p self, tables: &Tables<'p>) -> Ranges<'p> {
        match &self.places {
            Some(places) => Ranges::take(&mut Bytes(places)),
            None if self.kind == Kind::Host => tables.internet(),
            None => Ranges::none(),
        }
    }

    fn hold(&mut self, member: Member<'t>) {
        match self.held.try_reserve(1) {
            Ok(()) => self.held.push(Held { member: member.number, lists: member.lists() }),
            Err(_) => self.is_whole = false,
        }
    }

    fn finish(mut self) -> Party<'t> {
        self.held.sort_unstable_by_key(|held| held.member);
        self.held.dedup_by_key(|held| held.member);
        for held in &self.held {
            for (end, list) in [member::SOURCES, member::DESTINATIONS].into_iter().enumerate() {
                self.isolated[end] = self.isolated[end].min(held.lists.isolates(list));
                self.rules[end] += held.lists.list(list).length();
            }
        }
        if self.kind == Kind::Host {
            self.rules = [usize::MAX; 2];
        }
        self
    }
}

/// Reads a party; `None` if the value says something else than a party.
pub fn read<'t>(tables: &Tables<'t>, value: &Json) -> Option<Party<'t>> {
    match value {
        Json::Text(text) => match text.parse() {
            Ok(address) => Some(at_address(tables, address)),
            Err(_) => named_host(tables, text, None),
        },
        Json::Object(entries) => {
            let only = |keys: &[&str]| entries.iter().all(|(key, _)| keys.contains(&key.as_str()));
            if let Some(address) = value.get("address") {
                let address = address.text()?.parse().ok()?;
                return only(&["address"]).then(|| at_address(tables, address));
            }
            if let Some(host) = value.get("host") {
                return if only(&["host", "at"]) { named_host(tables, host.text()?, value.get("at")) } else { None };
            }
            let keys = ["namespace", "namespaceLabels", "name", "labels", "account", "ports", "sidecar"];
            if only(&keys) { pod(tables, value) } else { None }
        }
        _ => None,
    }
}

/// Makes the party of an address.
pub fn at_address<'t>(tables: &Tables<'t>, address: IpAddr) -> Party<'t> {
    // A socket for both families shows IPv4 addresses as `::ffff:203.0.113.7`.
    let address = address.to_canonical();
    let mut party = Party::new(Kind::Address);
    let (v6, number) = of_address(address);
    tables.around(v6, number, |member| {
        if tables.places(member).contains(address) {
            party.hold(tables.member(member));
        }
    });
    party.finish()
}

/// Makes the party of a host at some addresses; without them at those that the policy gives it, else anywhere outside.
fn named_host<'t>(tables: &Tables<'t>, name: &str, at: Option<&Json>) -> Option<Party<'t>> {
    let name = name.to_ascii_lowercase();
    let bare = name.strip_suffix('.').unwrap_or(&name);
    if !is_host(bare) {
        return None;
    }
    let mut party = Party::new(Kind::Host);
    let ends = std::iter::once(bare).chain(bare.match_indices('.').filter_map(|(at, _)| bare.get(at + 1..)));
    let mut placed: [Vec<(u128, u128)>; 2] = Default::default();
    for found in ends.filter_map(|end| tables.find(end.as_bytes())) {
        tables.anchored(found.members, |mut member| {
            if is_named(tables, member, name.as_bytes()) {
                party.hold(member);
                party.is_whole &= member.places().add_to(&mut placed).is_some();
            }
        });
    }
    match at {
        Some(Json::List(nets)) => {
            placed = Default::default();
            for net in nets {
                let (v6, range) = parse_net(net.text()?)?;
                placed[usize::from(v6)].push(range);
            }
        }
        Some(_) => return None,
        None => {}
    }
    let count: usize = placed.iter().map(Vec::len).sum();
    if at.is_some() || count > 0 {
        // Two lists and the bytes of them are made of the ranges, and a list may double.
        if !has_room(5 * count * size_of::<(u128, u128)>()) {
            party.is_whole = false;
            return Some(party);
        }
        let [v4, v6] = placed.map(merged);
        party.places = Some(to_bytes(&v4, &v6));
    }
    party.name = name;
    Some(party.finish())
}

/// Returns whether a text is the name of one host: labels of RFC 1123, the last of which is no number. `198.51.100.07`
/// and `0xc6336407` are addresses to some resolvers, and so to nobody a host.
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = match last.strip_prefix("0x") {
        Some(rest) => rest.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    name.len() <= 253 && name.split('.').all(is_label) && !is_number
}

/// Returns whether a member is a host of that name.
fn is_named(tables: &Tables<'_>, mut member: Member<'_>, name: &[u8]) -> bool {
    if member.kind != kind::HOST {
        return false;
    }
    let (wildcard, wanted) = (member.shape.word(), member.rest.number());
    let except = member.shape.counted(2).as_chunks::<2>().0;
    let fits = |wildcard: u32, wanted: u32| name_fits(tables, [wildcard, wanted], name).is_some();
    fits(wildcard, wanted) && !except.iter().any(|[wildcard, wanted]| fits(*wildcard, *wanted))
}

/// Returns whether a member is a host of that name, which is in lower case.
pub fn member_is_named(tables: &Tables<'_>, member: u32, name: &str) -> bool {
    is_named(tables, tables.member(member), name.as_bytes())
}

/// Returns whether a name, in lower case, is a wanted one, or below it where that is a wildcard: the length of the
/// wanted one, if it is.
pub fn name_fits(tables: &Tables<'_>, [wildcard, wanted]: [u32; 2], name: &[u8]) -> Option<usize> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    if wildcard == 0 {
        return tables.is(wanted, name).then_some(name.len());
    }
    let below = name.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'.');
    let mut ends = below.filter_map(|(at, _)| name.get(at + 1..));
    ends.find(|end| tables.is(wanted, end)).map(<[u8]>::len)
}

fn parse_net(text: &str) -> Option<(bool, (u128, u128))> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let (v6, number) = of_address(address.parse().ok()?);
    let most = if v6 { 128 } else { 32 };
    let length = length.unwrap_or(most);
    (length <= most).then(|| (v6, network(v6, number, length)))
}

/// Labels by the numbers of their keys and values; keys that the policy does not have are left out.
type Labels = Vec<(u32, Option<Found>)>;

fn labels(tables: &Tables<'_>, value: Option<&Json>) -> Option<Labels> {
    let entries = match value {
        None => return Some(Vec::new()),
        Some(Json::Object(entries)) => entries,
        Some(_) => return None,
    };
    let mut found = Labels::new();
    for (key, value) in entries {
        let value = value.text()?;
        let key = tables.number(key.as_bytes());
        if key != NONE {
            set(&mut found, key, tables.find(value.as_bytes()));
        }
    }
    Some(found)
}

fn set(labels: &mut Labels, key: u32, value: Option<Found>) {
    labels.retain(|(have, _)| *have != key);
    labels.push((key, value));
}

/// Who a pod is: the labels of its namespace, its own, and its account.
struct Identity {
    namespace: Labels,
    own: Labels,
    account: Option<Found>,
}

fn pod<'t>(tables: &Tables<'t>, value: &Json) -> Option<Party<'t>> {
    let name = tables.find(value.get("namespace")?.text()?.as_bytes());
    let known = name.and_then(|name| tables.namespace(name.number));
    let mut namespace = match (value.get("namespaceLabels"), known) {
        (None, Some(known)) => {
            known.as_chunks::<2>().0.iter().map(|[key, value]| (*key, tables.found(*value))).collect()
        }
        (given, _) => labels(tables, given)?,
    };
    let key = tables.number(NAMESPACE_NAME.as_bytes());
    if key != NONE {
        set(&mut namespace, key, name);
    }
    let own = labels(tables, value.get("labels"))?;
    let account = match value.get("account") {
        None => "",
        Some(account) => account.text()?,
    };
    let mut party = Party::new(Kind::Pod);
    party.single = match value.get("name") {
        None => false,
        Some(name) => name.text().map(|_| true)?,
    };
    party.sidecar = match value.get("sidecar") {
        None => false,
        Some(Json::Word(sidecar)) => *sidecar,
        Some(_) => return None,
    };
    match value.get("ports") {
        None => {}
        Some(Json::List(ports)) => {
            for one in ports {
                party.ports.extend(port_name(tables, one)?);
            }
        }
        Some(_) => return None,
    }
    let who = Identity { namespace, own, account: tables.find(account.as_bytes()) };
    let values = who.namespace.iter().chain(&who.own).map(|(_, value)| *value);
    for found in values.chain([who.account]).flatten() {
        tables.anchored(found.members, |member| {
            if selects(member, found.number, &who) {
                party.hold(member);
            }
        });
    }
    for &member in tables.section(header::UNANCHORED) {
        let member = tables.member(member);
        if selects(member, NONE, &who) {
            party.hold(member);
        }
    }
    Some(party.finish())
}

/// Reads a port of a pod; an inner `None` is one without a name, or with a name that the policy does not have.
fn port_name(tables: &Tables<'_>, value: &Json) -> Option<Option<PortName>> {
    let Json::Object(entries) = value else { return None };
    if !entries.iter().all(|(key, _)| ["name", "port", "protocol"].contains(&key.as_str())) {
        return None;
    }
    let Some(Json::Number(Some(port))) = value.get("port") else { return None };
    let port = u16::try_from(*port).ok()?;
    let protocol = match value.get("protocol") {
        None => protocol::TCP,
        Some(word) => protocol_of(word.text()?)?,
    };
    let Some(name) = value.get("name") else { return Some(None) };
    let name = tables.number(name.text()?.as_bytes());
    Some((name != NONE).then_some(PortName { name, port, protocol }))
}

/// Returns the protocol of a word, in either case.
pub fn protocol_of(word: &str) -> Option<u32> {
    let words = [("tcp", protocol::TCP), ("udp", protocol::UDP), ("sctp", protocol::SCTP), ("icmp", protocol::ICMP)];
    words.into_iter().find(|(have, _)| have.eq_ignore_ascii_case(word)).map(|(_, number)| number)
}

/// Returns whether a member, found by a string, selects a pod.
fn selects(mut member: Member<'_>, anchor: u32, who: &Identity) -> bool {
    if member.kind != kind::PODS {
        return false;
    }
    let shape = &mut member.shape;
    let (_, implied, of_namespace, of_pod) = (shape.word(), shape.word(), shape.word(), shape.word());
    let mut values = member.rest;
    // A value is a byte at least, and one of them is not there.
    let most = values.0.len() as u32 + 1;
    let mut count = 0;
    // One of the values is the string itself, and does not stand there again.
    let mut next = || {
        count += 1;
        if count == implied { anchor } else { values.number() }
    };
    for at in 0..of_namespace.saturating_add(of_pod) {
        if shape.is_empty() {
            return false;
        }
        let labels = if at < of_namespace { &who.namespace } else { &who.own };
        let (key, word) = (shape.word(), shape.word());
        let label = labels.iter().find(|(have, _)| *have == key);
        let value = label.map(|(_, value)| value.map_or(NONE, |value| value.number));
        let mut is_among = false;
        for _ in 0..(word >> 2).min(most) {
            is_among |= Some(next()) == value;
        }
        let meets = match word & 3 {
            test::IN => is_among,
            test::NOT_IN => !is_among,
            test::EXISTS => value.is_some(),
            _ => value.is_none(),
        };
        if !meets {
            return false;
        }
    }
    let (is_one, accounts) = (shape.word() != 0, shape.word());
    let account = who.account.map_or(NONE, |account| account.number);
    let mut is_among = false;
    for _ in 0..accounts.min(most) {
        is_among |= next() == account;
    }
    is_among == is_one
}
