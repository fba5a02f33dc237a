//! Parties: what a host says of a pod, an address or a host outside, and which members of the policy hold it. This is
//! found once, when the party is interned; a decision only looks it up.
//!
//! ```text
//! {"namespace": "garden", "labels": {"app": "web"}, "account": "web"}     a pod
//! {"host": "zenquotes.io"}     {"address": "203.0.113.7"}     "203.0.113.7"
//! ```

use std::net::IpAddr;

use super::json::Json;
use super::layout::{NONE, anchor, hash, hash_net, hash_pair, header, kind, member, protocol, test};
use super::ranges::{Ranges, merged, network, of_address, to_words};
use super::table::Tables;

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

/// A member of the policy that holds a party.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The member.
    pub member: u32,
    /// How far, where an allow names it.
    pub allow: Match,
    /// How far, where a deny names it, which means a host's addresses too.
    pub deny: Match,
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
pub struct Party {
    /// What it is.
    pub kind: Kind,
    /// Whether it is one Pod, and not any pod of a workload: such a Pod reaches itself.
    pub single: bool,
    /// Whether it is a pod with a sidecar.
    pub sidecar: bool,
    /// The members that hold it, sorted.
    pub held: Vec<Held>,
    /// A pod's port names.
    pub ports: Vec<PortName>,
    /// A host's name, in lower case.
    pub name: String,
    /// The addresses where a host may be.
    places: Vec<u32>,
    /// The first rule that isolates it on its way out, and on its way in.
    pub isolated: [u32; 2],
    /// The number of rules that it is a source of, and a destination of.
    pub rules: [usize; 2],
}

impl Party {
    fn new(kind: Kind) -> Party {
        Party {
            kind,
            single: false,
            sidecar: false,
            held: Vec::new(),
            ports: Vec::new(),
            name: String::new(),
            places: Vec::new(),
            isolated: [NONE; 2],
            rules: [0; 2],
        }
    }

    /// Returns how far a member holds the party.
    pub fn held_by(&self, member: u32, deny: bool) -> Match {
        let found = match self.held.len() {
            0..=8 => self.held.iter().find(|held| held.member == member),
            _ => self.held.binary_search_by_key(&member, |held| held.member).ok().and_then(|at| self.held.get(at)),
        };
        found.map_or(Match::No, |held| if deny { held.deny } else { held.allow })
    }

    /// Returns the addresses where a host may be.
    pub fn places(&self) -> Ranges<'_> {
        Ranges::take(&mut self.places.as_slice())
    }

    fn finish(mut self, tables: &Tables<'_>) -> Party {
        self.held.sort_unstable_by_key(|held| held.member);
        self.held.dedup_by_key(|held| held.member);
        self.held.retain(|held| held.deny > Match::No);
        for held in &self.held {
            for (first, word) in self.isolated.iter_mut().zip([member::ISOLATED_OUT, member::ISOLATED_IN]) {
                *first = (*first).min(tables.of_member(held.member, word));
            }
            for (all, word) in self.rules.iter_mut().zip([member::SOURCES, member::DESTINATIONS]) {
                *all += tables.list_of_member(held.member, word).len();
            }
        }
        self
    }
}

/// Reads a party; `None` if the value says something else than a party.
pub fn read(tables: &Tables<'_>, value: &Json) -> Option<Party> {
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
pub fn at_address(tables: &Tables<'_>, address: IpAddr) -> Party {
    let mut party = Party::new(Kind::Address);
    let (v6, number) = of_address(address);
    let of = if v6 { anchor::V6 } else { anchor::V4 };
    let prefixes = header::PREFIXES + if v6 { 2 } else { 0 };
    for &length in tables.section(prefixes) {
        let (first, _) = network(v6, number, length);
        for &member in tables.anchored(hash_net(of, length, first)) {
            if tables.places(member).contains(address) {
                party.held.push(Held { member, allow: Match::Yes, deny: Match::Yes });
            }
        }
    }
    party.finish(tables)
}

/// Makes the party of a host at some addresses; without them at those that the policy gives it, else anywhere outside.
fn named_host(tables: &Tables<'_>, name: &str, at: Option<&Json>) -> Option<Party> {
    let name = name.to_ascii_lowercase();
    let bare = name.strip_suffix('.').unwrap_or(&name);
    if bare.is_empty() || bare.contains(['/', ' ', ':']) {
        return None;
    }
    let mut party = Party::new(Kind::Host);
    let ends = std::iter::once(bare).chain(bare.match_indices('.').filter_map(|(at, _)| bare.get(at + 1..)));
    let mut placed: [Vec<(u128, u128)>; 2] = Default::default();
    for end in ends {
        for &member in tables.anchored(hash(anchor::HOST, end.as_bytes())) {
            if is_named(tables, member, name.as_bytes()) {
                party.held.push(Held { member, allow: Match::Yes, deny: Match::Yes });
                tables.places(member).add_to(&mut placed);
            }
        }
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
        None if placed.iter().all(Vec::is_empty) => tables.internet().add_to(&mut placed),
        None => {}
    }
    let [v4, v6] = placed.map(merged);
    party.places = to_words(&v4, &v6);
    party.name = name;
    let known: Vec<u32> = party.held.iter().map(|held| held.member).collect();
    let mut found = Vec::new();
    for &member in tables.section(header::PLACED) {
        if known.contains(&member) {
            continue;
        }
        let (mine, theirs) = (party.places(), tables.places(member));
        let deny = match () {
            () if !mine.overlaps(&theirs) => Match::No,
            () if mine.is_inside(&|each| each(theirs)) => Match::Yes,
            () => Match::Partly,
        };
        // An allow of a host lets its own name through, whatever else is at its addresses.
        let allow = if tables.member(member).word() == kind::ADDRESSES { deny } else { Match::No };
        found.push(Held { member, allow, deny });
    }
    party.held.extend(found);
    Some(party.finish(tables))
}

/// Returns whether a member is a host of that name.
fn is_named(tables: &Tables<'_>, member: u32, name: &[u8]) -> bool {
    let mut record = tables.member(member);
    if record.word() != kind::HOST {
        return false;
    }
    let (wildcard, wanted) = (record.word(), record.word());
    let except = record.counted(2).as_chunks::<2>().0;
    let fits = |wildcard: u32, wanted: u32| name_fits(wildcard != 0, tables.string(wanted), name);
    fits(wildcard, wanted) && !except.iter().any(|[wildcard, wanted]| fits(*wildcard, *wanted))
}

/// Returns whether a member is a host of that name, which is in lower case.
pub fn member_is_named(tables: &Tables<'_>, member: u32, name: &str) -> bool {
    is_named(tables, member, name.as_bytes())
}

/// Returns whether a name, in lower case, is a wanted one, or below it where that is a wildcard.
pub fn name_fits(wildcard: bool, wanted: &[u8], name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    match name.strip_suffix(wanted) {
        Some(rest) if wildcard => rest.len() > 1 && rest.last() == Some(&b'.'),
        Some(rest) => !wildcard && rest.is_empty(),
        None => false,
    }
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
type Labels = Vec<(u32, u32)>;

fn labels(tables: &Tables<'_>, value: Option<&Json>) -> Option<Labels> {
    let entries = match value {
        None => return Some(Vec::new()),
        Some(Json::Object(entries)) => entries,
        Some(_) => return None,
    };
    let mut found = Labels::new();
    for (key, value) in entries {
        let (key, value) = (tables.number(key.as_bytes()), tables.number(value.text()?.as_bytes()));
        set(&mut found, key, value);
    }
    Some(found)
}

fn set(labels: &mut Labels, key: u32, value: u32) {
    labels.retain(|(have, _)| *have != key);
    if key != NONE {
        labels.push((key, value));
    }
}

fn pod(tables: &Tables<'_>, value: &Json) -> Option<Party> {
    let name = tables.number(value.get("namespace")?.text()?.as_bytes());
    let mut namespace = match (value.get("namespaceLabels"), tables.namespace(name)) {
        (None, Some(known)) => known.as_chunks::<2>().0.iter().map(|[key, value]| (*key, *value)).collect(),
        (given, _) => labels(tables, given)?,
    };
    set(&mut namespace, tables.number(NAMESPACE_NAME.as_bytes()), name);
    let own = labels(tables, value.get("labels"))?;
    let account = match value.get("account") {
        None => "",
        Some(account) => account.text()?,
    };
    let account = tables.number(account.as_bytes());
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
    let anchors = namespace.iter().map(|(key, value)| hash_pair(anchor::NAMESPACE, *key, *value));
    let anchors = anchors.chain(own.iter().map(|(key, value)| hash_pair(anchor::LABEL, *key, *value)));
    let anchors = anchors.chain([hash_pair(anchor::ACCOUNT, account, 0)]);
    let unanchored = tables.section(header::UNANCHORED).iter();
    for &member in anchors.flat_map(|hash| tables.anchored(hash)).chain(unanchored) {
        if selects(tables, member, &namespace, &own, account) {
            party.held.push(Held { member, allow: Match::Yes, deny: Match::Yes });
        }
    }
    Some(party.finish(tables))
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

/// Returns whether a member selects a pod.
fn selects(tables: &Tables<'_>, member: u32, namespace: &Labels, own: &Labels, account: u32) -> bool {
    let mut record = tables.member(member);
    if record.word() != kind::PODS {
        return false;
    }
    let (of_namespace, of_pod) = (record.word(), record.word());
    for at in 0..of_namespace.saturating_add(of_pod) {
        let labels = if at < of_namespace { namespace } else { own };
        let (key, word) = (record.word(), record.word());
        let values = record.list((word >> 2) as usize);
        let value = labels.iter().find(|(have, _)| *have == key).map(|(_, value)| *value);
        let among = || value.is_some_and(|value| values.contains(&value));
        let meets = match word & 3 {
            test::IN => among(),
            test::NOT_IN => !among(),
            test::EXISTS => value.is_some(),
            _ => value.is_none(),
        };
        if !meets {
            return false;
        }
    }
    let is_one = record.word() != 0;
    record.counted(1).contains(&account) == is_one
}
