//! Addresses as Istio takes them: a ServiceEntry for each prefix, under a made-up host.
//!
//! ```text
//! allow egress garden/* -> 203.0.113.0/24:{443, 8443}     203-0-113-0-24.tcp-443-8443.netpol.internal
//! allow egress garden/* -> internet:443                   *.internet.tcp-443.netpol.internal: seventeen prefixes
//! ```
//!
//! An entry has one prefix on the ports of one rule, whatever other rules say, so that a change of one rule changes no
//! other rule's entries. Long lists, and the internet, share a domain, which a Sidecar imports by a wildcard.
//!
//! Of two prefixes that contain an address Istio takes the longer one. So the addresses that `except` or a `deny`
//! leaves out of a prefix can be an entry of their own without endpoints, a hole, where that takes fewer entries than
//! the prefixes around it.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};

use super::cover::{Prefix, cover};
use crate::model::addresses::AddressSet;
use crate::targets::istio::facts::Reserved;
use crate::targets::istio::nets::{is_single, prefixes};

/// The domain of the made-up hosts. `internal` is reserved for private use: no name in it resolves.
const DOMAIN: &str = "netpol.internal";

/// The most prefixes of one rule that are imported one by one, each once for every port.
const FEW: usize = 64;
const FEW_IMPORTS: usize = 512;

/// Prefixes on the same ports that one import brings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// The prefixes, sorted; none of them begins at 0.0.0.0.
    pub prefixes: Vec<Prefix>,
    /// The ports, sorted; at most as many as a ServiceEntry takes.
    pub ports: Vec<u16>,
    /// The domain that they share.
    domain: Domain,
}

impl Group {
    /// Returns the made-up hosts of the group, one for each prefix, and the host that imports them all.
    pub fn hosts(&self) -> (Vec<String>, String) {
        let ports = ports_label(&self.ports);
        let set = match self.domain {
            Domain::None => {
                let hosts = self.prefixes.iter().map(|prefix| format!("{}.{ports}.{DOMAIN}", prefix_label(prefix)));
                let hosts: Vec<String> = hosts.collect();
                let import = hosts.first().cloned().unwrap_or_default();
                return (hosts, import);
            }
            Domain::Internet => "internet".to_owned(),
            Domain::Set => {
                let list: Vec<String> = self.prefixes.iter().map(prefix_label).collect();
                format!("set-{}", short_hash(&list.join(",")))
            }
        };
        let domain = format!("{set}.{ports}.{DOMAIN}");
        let hosts = self.prefixes.iter().map(|prefix| format!("{}.{domain}", prefix_label(prefix)));
        (hosts.collect(), format!("*.{domain}"))
    }
}

/// The label between the prefix and the ports in the made-up hosts of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Domain {
    /// No label: the group is one prefix.
    None,
    /// `internet`.
    Internet,
    /// A hash of the prefixes.
    Set,
}

/// A group, with the requests that it answers.
#[derive(Clone, Debug)]
pub struct Found {
    /// The group.
    pub group: Group,
    /// The numbers of the requests.
    pub from: Vec<usize>,
    /// The host that imports the group, made when it is asked for.
    import: OnceCell<String>,
}

impl Found {
    /// Returns the host that imports the group.
    pub fn import(&self) -> &str {
        self.import.get_or_init(|| self.group.hosts().1)
    }
}

/// Addresses on ports.
pub type OnPorts = (Rc<AddressSet>, Rc<[u16]>);

/// Addresses on ports, and the ports on which there may be no holes; `None` is all.
type Question = (Vec<OnPorts>, Option<BTreeSet<u16>>);

/// Lists of ports on which one set of addresses is asked for, each with the number of its request.
type PortLists<'g> = Vec<(&'g [u16], usize)>;

/// A maker of groups, which remembers them.
pub struct Addresses<'a> {
    reserved: &'a Reserved,
    memory: FxHashMap<Question, Rc<Vec<Found>>>,
}

impl<'a> Addresses<'a> {
    /// Begins without groups.
    pub fn new(reserved: &'a Reserved) -> Addresses<'a> {
        Addresses { reserved, memory: FxHashMap::default() }
    }

    /// Returns the groups for some addresses on ports, less those that are never let through. There may be holes on all
    /// ports but `no_holes`; `None` allows no holes at all.
    pub fn groups(&mut self, parts: Vec<OnPorts>, no_holes: Option<BTreeSet<u16>>) -> Rc<Vec<Found>> {
        let key = (parts, no_holes);
        if let Some(groups) = self.memory.get(&key) {
            return Rc::clone(groups);
        }
        let groups = Rc::new(Grouping::new(self.reserved, &key.0, key.1.as_ref()).finish());
        self.memory.insert(key, Rc::clone(&groups));
        groups
    }
}

/// Requests on their way to groups.
struct Grouping<'g> {
    reserved: &'g Reserved,
    /// The different sets of addresses, with the ports that no other entry of the same set has.
    sets: Vec<Asked>,
    no_holes: Option<&'g BTreeSet<u16>>,
    groups: Vec<Found>,
    /// The ports on which each prefix is in a group already, with the group.
    said: FxHashMap<IpNet, Vec<(u16, usize)>>,
}

struct Asked {
    set: AddressSet,
    prefixes: Vec<IpNet>,
    ports: Vec<u16>,
    from: Vec<usize>,
}

impl Asked {
    fn is_long(&self, reserved: &Reserved) -> bool {
        let count = self.prefixes.len();
        count > FEW || count * self.ports.len() > FEW_IMPORTS || self.prefixes == reserved.internet
    }
}

impl<'g> Grouping<'g> {
    fn new(reserved: &'g Reserved, parts: &[OnPorts], no_holes: Option<&'g BTreeSet<u16>>) -> Grouping<'g> {
        let mut by_set: BTreeMap<Vec<IpNet>, (AddressSet, PortLists<'_>)> = BTreeMap::new();
        for (at, (set, ports)) in parts.iter().enumerate() {
            let set = set.subtract(&reserved.hidden);
            by_set.entry(prefixes(&set)).or_insert_with(|| (set, Vec::new())).1.push((ports, at));
        }
        by_set.remove(&Vec::new());
        let mut sets: Vec<Asked> = Vec::new();
        for (prefixes, (set, mut lists)) in by_set {
            lists.sort_by(|a, b| (Reverse(a.0.len()), a).cmp(&(Reverse(b.0.len()), b)));
            let first = sets.len();
            for (ports, at) in lists {
                // The entries of a rule with more ports serve the ports that are in both.
                let mut left = ports.to_vec();
                for asked in &mut sets[first..] {
                    let before = left.len();
                    left.retain(|port| asked.ports.binary_search(port).is_err());
                    if left.len() < before {
                        asked.from.push(at);
                    }
                }
                if !left.is_empty() {
                    sets.push(Asked { set: set.clone(), prefixes: prefixes.clone(), ports: left, from: vec![at] });
                }
            }
        }
        // Long lists come first: their prefixes need no other entry.
        sets.sort_by(|a, b| {
            let key = |asked: &Asked| (!asked.is_long(reserved), Reverse(asked.ports.len()));
            key(a).cmp(&key(b)).then_with(|| (&a.prefixes, &a.ports).cmp(&(&b.prefixes, &b.ports)))
        });
        Grouping { reserved, sets, no_holes, groups: Vec::new(), said: FxHashMap::default() }
    }

    fn finish(mut self) -> Vec<Found> {
        let sets = std::mem::take(&mut self.sets);
        let mut with_holes: FxHashSet<u16> = FxHashSet::default();
        for at in 0..sets.len() {
            let asked = &sets[at];
            let cover = self.holes(&sets, at, &with_holes);
            if let Some(cover) = &cover
                && cover.iter().any(|prefix| prefix.hole)
            {
                with_holes.extend(&asked.ports);
            }
            let open = |net: &IpNet| Prefix { net: *net, hole: false };
            let all = cover.unwrap_or_else(|| asked.prefixes.iter().map(open).collect());
            let internet = asked.prefixes == self.reserved.internet;
            self.add(asked, all, internet);
        }
        self.groups
    }

    /// Returns a set as prefixes with holes, if that takes fewer entries and closes no address that another set opens.
    fn holes(&self, sets: &[Asked], at: usize, with_holes: &FxHashSet<u16>) -> Option<Vec<Prefix>> {
        const MOST_SETS: usize = 256;
        let asked = &sets[at];
        let no_holes = self.no_holes?;
        if sets.len() > MOST_SETS || asked.ports.iter().any(|port| no_holes.contains(port) || with_holes.contains(port))
        {
            return None;
        }
        let prefixes = cover(&asked.set, asked.prefixes.len())?;
        let shares = |other: &Asked| other.ports.iter().any(|port| asked.ports.binary_search(port).is_ok());
        let others = sets.iter().enumerate().filter(|(other, set)| *other != at && shares(set));
        let mut nets = others.flat_map(|(_, set)| &set.prefixes);
        let holes: Vec<&IpNet> = prefixes.iter().filter(|prefix| prefix.hole).map(|prefix| &prefix.net).collect();
        let closes = |net: &IpNet| holes.iter().any(|hole| net.contains(*hole));
        (!nets.any(closes)).then_some(prefixes)
    }

    fn add(&mut self, asked: &Asked, all: Vec<Prefix>, internet: bool) {
        if !asked.is_long(self.reserved) {
            for prefix in all {
                let (ports, by) = self.unsaid(&prefix, &asked.ports);
                by.into_iter().for_each(|group| self.groups[group].from.extend(&asked.from));
                self.push(vec![prefix], ports, Domain::None, &asked.from);
            }
            return;
        }
        // A prefix that another long list has on one of the ports is left to that list, and has its own entry on the
        // others.
        let (mut free, mut taken) = (Vec::new(), Vec::new());
        for prefix in all {
            let (ports, by) = self.unsaid(&prefix, &asked.ports);
            match by.is_empty() {
                true => free.push(prefix),
                false => taken.push((prefix, ports)),
            }
        }
        let whole = internet && taken.is_empty();
        self.push(free, asked.ports.clone(), if whole { Domain::Internet } else { Domain::Set }, &asked.from);
        for (prefix, ports) in taken {
            self.push(vec![prefix], ports, Domain::None, &asked.from);
        }
    }

    /// Returns the ports on which no entry has a prefix yet, and the groups that have the prefix on the others.
    fn unsaid(&self, prefix: &Prefix, ports: &[u16]) -> (Vec<u16>, BTreeSet<usize>) {
        let said = self.said.get(&prefix.net).map(Vec::as_slice).unwrap_or_default();
        let have = |port: &u16| said.iter().find(|(said, _)| said == port);
        let by = ports.iter().filter_map(have).map(|(_, group)| *group).collect();
        (ports.iter().copied().filter(|port| have(port).is_none()).collect(), by)
    }

    fn push(&mut self, prefixes: Vec<Prefix>, ports: Vec<u16>, domain: Domain, from: &[usize]) {
        if prefixes.is_empty() || ports.is_empty() {
            return;
        }
        for prefix in &prefixes {
            self.said.entry(prefix.net).or_default().extend(ports.iter().map(|port| (*port, self.groups.len())));
        }
        self.groups.push(Found {
            group: Group { prefixes, ports, domain },
            from: from.to_vec(),
            import: OnceCell::new(),
        });
    }
}

fn prefix_label(prefix: &Prefix) -> String {
    let net = &prefix.net;
    let address = match net {
        IpNet::V4(net) => net.addr().to_string().replace('.', "-"),
        // All groups of sixteen bits are written, so that no `-` is at an end or beside another.
        IpNet::V6(net) => format!("v6-{}", net.addr().segments().map(|segment| format!("{segment:x}")).join("-")),
    };
    let label = if is_single(net) { address } else { format!("{address}-{}", net.prefix_len()) };
    if prefix.hole { format!("{label}-closed") } else { label }
}

fn ports_label(ports: &[u16]) -> String {
    let list: Vec<String> = ports.iter().map(u16::to_string).collect();
    let label = format!("tcp-{}", list.join("-"));
    if label.len() <= 40 { label } else { format!("tcp-{}-{}", ports.len(), short_hash(&label)) }
}

fn short_hash(text: &str) -> String {
    format!("{:08x}", crate::targets::names::hash(text) >> 32)
}
