//! Addresses as Istio takes them: one prefix for each ServiceEntry, under a made-up host; several that are let through
//! together under one domain, which a Sidecar imports by a wildcard.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;

use ipnet::{IpNet, Ipv4Net};
use rustc_hash::FxHashMap;

use crate::policy::{AddressSet, Policy};

/// The domain of the made-up hosts. `internal` is reserved for private use: no name in it resolves.
const DOMAIN: &str = "netpol.internal";

/// Prefixes that are let through on the same ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Group {
    /// The prefixes: disjoint, sorted, and none of them begins at 0.0.0.0.
    pub(super) prefixes: Vec<IpNet>,
    /// The ports, sorted.
    pub(super) ports: Vec<u16>,
}

/// Addresses on ports.
pub(super) type Part = (Rc<AddressSet>, Rc<[u16]>);

/// Addresses that are never let through, and those that have a name.
pub(super) struct Reserved {
    /// The pods' addresses, which are no addresses of the outside, and 0.0.0.0/8, since a prefix that begins there matches
    /// everything.
    hidden: AddressSet,
    internet: Vec<IpNet>,
}

/// Makes groups of addresses.
pub(super) struct Addresses<'a> {
    reserved: &'a Reserved,
    memory: FxHashMap<Vec<Part>, Rc<Vec<Group>>>,
}

impl Reserved {
    /// Finds them in the facts of a policy.
    pub(super) fn new(policy: &Policy) -> Reserved {
        let this_network = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8));
        let mut hidden = policy.pod_addresses.clone();
        hidden.blocks.extend(AddressSet::of([this_network]).blocks);
        let internet = prefixes(&policy.internet.subtract(&hidden));
        Reserved { hidden, internet }
    }
}

impl<'a> Addresses<'a> {
    /// Begins with no groups.
    pub(super) fn new(reserved: &'a Reserved) -> Addresses<'a> {
        Addresses { reserved, memory: FxHashMap::default() }
    }

    /// Returns the groups that say some addresses on ports, less those that are never said.
    pub(super) fn groups(&mut self, parts: Vec<Part>) -> Rc<Vec<Group>> {
        if let Some(groups) = self.memory.get(&parts) {
            return Rc::clone(groups);
        }
        let groups = Rc::new(self.make(&parts));
        self.memory.insert(parts, Rc::clone(&groups));
        groups
    }

    fn make(&self, parts: &[Part]) -> Vec<Group> {
        let mut by_port: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (at, (_, ports)) in parts.iter().enumerate() {
            ports.iter().for_each(|&port| by_port.entry(port).or_default().push(at));
        }
        let mut by_parts: BTreeMap<Vec<usize>, Vec<u16>> = BTreeMap::new();
        for (port, parts) in by_port {
            by_parts.entry(parts).or_default().push(port);
        }
        let mut by_prefixes: BTreeMap<Vec<IpNet>, Vec<u16>> = BTreeMap::new();
        for (chosen, ports) in by_parts {
            let blocks = chosen.iter().flat_map(|&at| parts[at].0.blocks.iter().cloned()).collect();
            let set = AddressSet { blocks }.subtract(&self.reserved.hidden);
            by_prefixes.entry(prefixes(&set)).or_default().extend(ports);
        }
        by_prefixes.remove(&Vec::new());
        let group = |(prefixes, mut ports): (Vec<IpNet>, Vec<u16>)| {
            ports.sort_unstable();
            Group { prefixes, ports }
        };
        by_prefixes.into_iter().map(group).collect()
    }

    /// Returns the made-up hosts of a group, one for each prefix, and the one that imports them all.
    pub(super) fn hosts(&self, group: &Group) -> (Vec<String>, String) {
        let mut domain = format!("{}.{DOMAIN}", ports_label(&group.ports));
        if let [prefix] = group.prefixes.as_slice() {
            let host = format!("{}.{domain}", prefix_label(prefix));
            return (vec![host.clone()], host);
        }
        let set = if group.prefixes == self.reserved.internet {
            "internet".to_owned()
        } else {
            let list: Vec<String> = group.prefixes.iter().map(IpNet::to_string).collect();
            format!("set-{}", short_hash(&list.join(",")))
        };
        domain = format!("{set}.{domain}");
        let hosts = group.prefixes.iter().map(|prefix| format!("{}.{domain}", prefix_label(prefix)));
        (hosts.collect(), format!("*.{domain}"))
    }
}

/// Returns the fewest prefixes of a set, sorted.
pub(super) fn prefixes(set: &AddressSet) -> Vec<IpNet> {
    set.ranges().into_iter().flat_map(crate::vocab::addresses::Range::nets).collect()
}

/// Returns whether a network is one address.
pub(super) fn is_single(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

fn prefix_label(net: &IpNet) -> String {
    let address = match net {
        IpNet::V4(net) => net.addr().to_string().replace('.', "-"),
        // Sixteen bits written in full, so that no `-` stands at an end or beside another.
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
