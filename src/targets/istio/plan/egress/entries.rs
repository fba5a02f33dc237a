//! ServiceEntries for Sidecars: one for each host and namespace, with the ports of all rules, and one for each block of
//! addresses. Each is visible only in its own namespace; those of mesh-wide rules are visible everywhere.
//!
//! ```netpol
//! allow egress garden/{app=web} -> zenquotes.io:443
//! allow egress garden/{app=db}  -> zenquotes.io:8443/tls
//! ```
//!
//! ```yaml
//! hosts: [zenquotes.io]
//! exportTo: ["."]
//! ports:
//!   - { number: 443, name: tls-443, protocol: TLS }
//!   - { number: 8443, name: tls-8443, protocol: TLS }
//! ```
//!
//! With two ServiceEntries of one host Istio may use either, so there is only one. The pod's Sidecar says which of its
//! ports the pod reaches.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use smol_str::SmolStr;

pub use super::addresses::Group;
use super::items::{HostPort, Outside};
use crate::model::addresses::AddressSet;
use crate::model::hosts::HostName;
use crate::model::ports::AppProtocol;
use crate::model::rules::RuleId;
use crate::targets::istio::troubles::Trouble;

/// The ServiceEntries that are needed.
#[derive(Default)]
pub struct Entries {
    /// The entries of hosts.
    pub hosts: BTreeMap<(SmolStr, HostName), HostEntry>,
    /// The entries of addresses.
    pub groups: BTreeMap<(SmolStr, Group), GroupEntry>,
    /// For each wildcard host, by its namespace and its name after `*.`: the entries below it.
    below: FxHashMap<(SmolStr, SmolStr), Vec<Below>>,
}

/// An entry that the import of a wildcard includes, because its host is below the wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Below {
    /// A host.
    Host(HostName),
    /// Addresses, by the generated host of their entry.
    Group(Group),
}

/// The entry of a host.
pub struct HostEntry {
    /// The host, and its addresses.
    pub outside: Rc<Outside>,
    /// The ports, each as its first rule names it.
    pub ports: BTreeMap<u16, (HostPort, RuleId)>,
    /// The rules.
    pub rules: Vec<RuleId>,
    /// Whether pods of every namespace see it.
    pub everyone: bool,
    /// The namespaces of gateways that see it too.
    pub gateways: Vec<SmolStr>,
    clash: bool,
}

/// The entry of a group of addresses.
#[derive(Default)]
pub struct GroupEntry {
    /// The rules, in sorted lists.
    pub rules: SmallVec<[Rc<[RuleId]>; 1]>,
    /// Whether pods of every namespace see it.
    pub everyone: bool,
}

impl Entries {
    /// Adds a host on a port in a namespace, for a rule. Returns the trouble if the rule contradicts another.
    pub fn host(
        &mut self,
        namespace: &SmolStr,
        host: &Rc<Outside>,
        port: HostPort,
        rule: RuleId,
        everyone: bool,
    ) -> Option<Trouble> {
        let port = HostPort { is_sent_on: false, ..port };
        let entry = self.hosts.entry((namespace.clone(), host.name.clone())).or_insert_with(|| HostEntry {
            outside: Rc::clone(host),
            ports: BTreeMap::new(),
            rules: Vec::new(),
            everyone: false,
            gateways: Vec::new(),
            clash: false,
        });
        entry.everyone |= everyone;
        if entry.rules.last() != Some(&rule) {
            entry.rules.push(rule);
        }
        let (have, first) = *entry.ports.entry(port.number).or_insert((port, rule));
        let at = entry.outside.at != host.at;
        if have == port && !at || std::mem::replace(&mut entry.clash, true) {
            // A host has at most one trouble.
            return None;
        }
        let (namespace, host) = (namespace.clone(), host.name.clone());
        Some(match have == port {
            false => Trouble::ReadTwice { namespace, host, first: (have, first), second: (port, rule) },
            true => Trouble::TwoPlaces { namespace, host, first, second: rule },
        })
    }

    /// Makes a host visible in a gateway's namespace.
    pub fn show(&mut self, namespace: &SmolStr, host: &HostName, gateway: &SmolStr) {
        if let Some(entry) = self.hosts.get_mut(&(namespace.clone(), host.clone()))
            && !entry.gateways.contains(gateway)
        {
            entry.gateways.push(gateway.clone());
        }
    }

    /// Adds addresses in a namespace, for the rules of sorted lists.
    pub fn group<'r>(
        &mut self,
        namespace: &SmolStr,
        group: &Group,
        rules: impl Iterator<Item = &'r Rc<[RuleId]>>,
        everyone: bool,
    ) {
        let entry = self.groups.entry((namespace.clone(), group.clone())).or_default();
        for list in rules {
            if !entry.rules.last().is_some_and(|last| Rc::ptr_eq(last, list)) {
                entry.rules.push(Rc::clone(list));
            }
        }
        entry.everyone |= everyone;
    }

    /// Returns the ports of a host in a namespace.
    pub fn ports(&self, namespace: &SmolStr, host: &HostName) -> impl Iterator<Item = u16> {
        let entry = self.hosts.get(&(namespace.clone(), host.clone()));
        entry.into_iter().flat_map(|entry| entry.ports.keys().copied())
    }

    /// Returns the ports of a host in a namespace on which pods send requests.
    pub fn requests(&self, namespace: &SmolStr, host: &HostName) -> Vec<u16> {
        let entry = self.hosts.get(&(namespace.clone(), host.clone()));
        let ports = entry.into_iter().flat_map(|entry| entry.ports.values());
        let ports = ports.filter(|(port, _)| port.app.is_some_and(AppProtocol::has_requests));
        ports.map(|(port, _)| port.number).collect()
    }

    /// Returns the ports of a host in a namespace to which the mesh opens TLS on another port.
    pub fn opened(&self, namespace: &SmolStr, host: &HostName) -> impl Iterator<Item = HostPort> {
        let entry = self.hosts.get(&(namespace.clone(), host.clone()));
        let ports = entry.into_iter().flat_map(|entry| entry.ports.values());
        ports.map(|(port, _)| *port).filter(|port| port.leaves_on() != port.number)
    }

    /// Returns the addresses that a host has in a namespace; none for a host without `at`.
    pub fn at(&self, namespace: &SmolStr, host: &HostName) -> AddressSet {
        let entry = self.hosts.get(&(namespace.clone(), host.clone()));
        AddressSet::of(entry.into_iter().flat_map(|entry| entry.outside.at.iter().map(|at| at.net)))
    }

    /// Finds the entries below each wildcard host, once all entries are added.
    pub fn find_below(&mut self) {
        let wildcards = self.hosts.keys().filter(|(_, host)| host.wildcard);
        self.below = wildcards.map(|(namespace, host)| ((namespace.clone(), host.name.clone()), Vec::new())).collect();
        if self.below.is_empty() {
            return;
        }
        for (namespace, host) in self.hosts.keys() {
            add_below(&mut self.below, namespace, &host.name, || Below::Host(host.clone()));
        }
        for (namespace, group) in self.groups.keys() {
            let host = group.host();
            add_below(&mut self.below, namespace, host.trim_start_matches("*."), || Below::Group(group.clone()));
        }
    }

    /// Returns the entries that an import of a wildcard host includes, other than the host itself, as pods of a
    /// namespace see them; `None` for pods of any namespace.
    pub fn below<'e>(
        &'e self,
        home: &'e SmolStr,
        wildcard: &HostName,
        viewer: Option<&'e SmolStr>,
    ) -> impl Iterator<Item = &'e Below> {
        let found = self.below.get(&(home.clone(), wildcard.name.clone()));
        let seen = move |below: &&Below| {
            let everyone = viewer.is_none_or(|viewer| viewer == home);
            everyone
                || match below {
                    Below::Host(host) => self
                        .hosts
                        .get(&(home.clone(), host.clone()))
                        .is_some_and(|entry| entry.everyone || entry.gateways.iter().any(|one| Some(one) == viewer)),
                    Below::Group(group) => {
                        self.groups.get(&(home.clone(), group.clone())).is_some_and(|entry| entry.everyone)
                    }
                }
        };
        found.into_iter().flatten().filter(seen)
    }
}

/// Adds an entry to every wildcard host that its own host is below.
fn add_below(
    all: &mut FxHashMap<(SmolStr, SmolStr), Vec<Below>>,
    namespace: &SmolStr,
    host: &str,
    entry: impl Fn() -> Below,
) {
    for (dot, _) in host.match_indices('.') {
        let Some(list) = all.get_mut(&(namespace.clone(), host[dot + 1..].into())) else { continue };
        let entry = entry();
        if list.last() != Some(&entry) {
            list.push(entry);
        }
    }
}
