//! Addresses for Istio: ServiceEntries with prefixes, under generated hosts.
//!
//! ```text
//! allow egress garden/* -> 203.0.113.0/24:{443, 8443}         203-0-113-0-24.tcp-443-8443.netpol.internal
//! allow egress garden/* -> {10.0.0.0/8 except 10.1.0.0/16}:443
//!                                                             *.10-0-0-0-8-except-10-1-0-0-16.tcp-443.netpol.internal
//! allow egress garden/* -> internet:443                       *.internet.tcp-443.netpol.internal
//! ```
//!
//! An entry has one block on the ports of one rule, so that a change of one rule changes no other rule's entries. Long
//! lists, and the internet, are one entry each.
//!
//! Istio makes a Service of each address of an entry. A Sidecar that imports their host by its exact name gets only one
//! of them; by a wildcard it gets all. So the host of an entry with several prefixes is a wildcard.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::rc::Rc;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use crate::model::addresses::{AddressSet, Block};
use crate::targets::istio::facts::Reserved;
use crate::targets::istio::nets::{is_single, prefixes};

/// The domain of the generated hosts. `internal` is reserved for private use: no name in it resolves.
const DOMAIN: &str = "netpol.internal";

/// The most blocks of one rule that are imported one by one, each once for every port.
const FEW: usize = 64;
const FEW_IMPORTS: usize = 512;

/// The longest label with the exceptions of a block, so that the ports still fit into the name of an object.
const LONGEST_LABEL: usize = 44;

/// Prefixes on the same ports, which one import lets out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// The prefixes, sorted; none of them begins at 0.0.0.0.
    pub prefixes: Vec<IpNet>,
    /// The ports, sorted; at most as many as a ServiceEntry takes.
    pub ports: Vec<u16>,
    /// The label of the addresses in the generated host.
    label: String,
}

impl Group {
    /// Returns words for the addresses and the ports; no other group of a build has the same words.
    pub fn words(&self) -> String {
        format!("{}-{}", self.label, ports_label(&self.ports))
    }

    /// Returns the generated host, by which a Sidecar imports the group.
    pub fn host(&self) -> String {
        let any = if self.prefixes.len() > 1 { "*." } else { "" };
        format!("{any}{}.{}.{DOMAIN}", self.label, ports_label(&self.ports))
    }
}

/// A group, with the requests that need it.
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
        self.import.get_or_init(|| self.group.host())
    }
}

/// Addresses on ports.
pub type OnPorts = (Rc<AddressSet>, Rc<[u16]>);

/// Prefixes with their label, the label first.
type Labelled = (String, Vec<IpNet>);

/// A maker of groups, which remembers them.
pub struct Addresses<'a> {
    reserved: &'a Reserved,
    memory: FxHashMap<Vec<OnPorts>, Rc<Vec<Found>>>,
}

impl<'a> Addresses<'a> {
    /// Begins without groups.
    pub fn new(reserved: &'a Reserved) -> Addresses<'a> {
        Addresses { reserved, memory: FxHashMap::default() }
    }

    /// Returns the groups for some addresses on ports, without the addresses that are never let through.
    pub fn groups(&mut self, parts: Vec<OnPorts>) -> Rc<Vec<Found>> {
        if let Some(groups) = self.memory.get(&parts) {
            return Rc::clone(groups);
        }
        let groups = Rc::new(groups(self.reserved, &parts));
        self.memory.insert(parts, Rc::clone(&groups));
        groups
    }
}

fn groups(reserved: &Reserved, parts: &[OnPorts]) -> Vec<Found> {
    let mut asked: BTreeMap<Labelled, Vec<(&[u16], usize)>> = BTreeMap::new();
    for (at, (set, ports)) in parts.iter().enumerate() {
        for labelled in labelled(reserved, set, ports.len()) {
            asked.entry(labelled).or_default().push((ports, at));
        }
    }
    let mut groups: Vec<Found> = Vec::new();
    for ((label, prefixes), mut lists) in asked {
        lists.sort_by(|a, b| (Reverse(a.0.len()), a).cmp(&(Reverse(b.0.len()), b)));
        let mut of_port: FxHashMap<u16, usize> = FxHashMap::default();
        for (ports, at) in lists {
            // For a common port, the entries of the rule with more ports are used.
            let mut serving: Vec<usize> = ports.iter().filter_map(|port| of_port.get(port).copied()).collect();
            serving.sort_unstable();
            serving.dedup();
            serving.into_iter().for_each(|group| groups[group].from.push(at));
            let left: Vec<u16> = ports.iter().filter(|port| !of_port.contains_key(*port)).copied().collect();
            if !left.is_empty() {
                of_port.extend(left.iter().map(|port| (*port, groups.len())));
                let group = Group { prefixes: prefixes.clone(), ports: left, label: label.clone() };
                groups.push(Found { group, from: vec![at], import: OnceCell::new() });
            }
        }
    }
    groups
}

/// Returns the prefixes of some addresses that are imported together, each list with its label.
fn labelled(reserved: &Reserved, set: &AddressSet, ports: usize) -> Vec<Labelled> {
    let left = set.subtract(&reserved.hidden);
    if let Some(label) = internet_label(reserved, &left) {
        return vec![(label, importable(&left))];
    }
    let (mut whole, mut cut): (AddressSet, BTreeMap<String, Vec<IpNet>>) = Default::default();
    for block in &left.blocks {
        let own = importable(&AddressSet { blocks: vec![block.clone()] });
        match own.as_slice() {
            [] => {}
            [one] => whole.blocks.push(Block::whole(*one)),
            _ => {
                cut.insert(block_label(reserved, block), own);
            }
        }
    }
    let whole = prefixes(&whole);
    let count = whole.len() + cut.len();
    if count > FEW || count * ports > FEW_IMPORTS {
        let all = importable(&left);
        let list: Vec<String> = all.iter().map(net_label).collect();
        return vec![(format!("set-{}", short_hash(&list.join(","))), all)];
    }
    whole.into_iter().map(|net| (net_label(&net), vec![net])).chain(cut).collect()
}

/// Returns the prefixes of some addresses without the single address `::`: a listener there takes the connections to
/// every address.
fn importable(set: &AddressSet) -> Vec<IpNet> {
    let unspecified = |net: &IpNet| is_single(net) && net.addr() == Ipv6Addr::UNSPECIFIED;
    prefixes(set).into_iter().filter(|net| !unspecified(net)).collect()
}

/// Returns the label of the internet, or of the internet without some addresses; `None` for other addresses.
fn internet_label(reserved: &Reserved, set: &AddressSet) -> Option<String> {
    let pairs = || set.blocks.iter().zip(&reserved.internet.blocks);
    let inside = |net: &IpNet, nets: &[IpNet]| nets.iter().any(|outer| outer.contains(net));
    let same = set.blocks.len() == reserved.internet.blocks.len()
        && pairs().all(|(own, all)| own.net == all.net && all.except.iter().all(|net| inside(net, &own.except)));
    let without = pairs().flat_map(|(own, all)| own.except.iter().filter(|net| !all.except.contains(net)));
    same.then(|| label_without("internet".to_owned(), without))
}

/// Returns the label of a block without the addresses that are never let through.
fn block_label(reserved: &Reserved, block: &Block) -> String {
    let hidden = |net: &IpNet| AddressSet::of([*net]).is_inside(&reserved.hidden);
    label_without(net_label(&block.net), block.except.iter().filter(|net| !hidden(net)))
}

/// Returns a label with the addresses that are left out.
fn label_without<'n>(label: String, without: impl Iterator<Item = &'n IpNet>) -> String {
    let without: Vec<String> = without.map(net_label).collect();
    if without.is_empty() {
        return label;
    }
    let list = without.join("-");
    match label.len() + "-except-".len() + list.len() <= LONGEST_LABEL {
        true => format!("{label}-except-{list}"),
        false => format!("{label}-except-{}-{}", without.len(), short_hash(&list)),
    }
}

fn net_label(net: &IpNet) -> String {
    let address = match net {
        IpNet::V4(net) => net.addr().to_string().replace('.', "-"),
        // All groups of sixteen bits are written, so that no `-` is at an end or beside another.
        IpNet::V6(net) => format!("v6-{}", net.addr().segments().map(|segment| format!("{segment:x}")).join("-")),
    };
    if is_single(net) { address } else { format!("{address}-{}", net.prefix_len()) }
}

fn ports_label(ports: &[u16]) -> String {
    let list: Vec<String> = ports.iter().map(u16::to_string).collect();
    let label = format!("tcp-{}", list.join("-"));
    if label.len() <= 40 { label } else { format!("tcp-{}-{}", ports.len(), short_hash(&label)) }
}

fn short_hash(text: &str) -> String {
    format!("{:08x}", crate::targets::names::hash(text) >> 32)
}
