//! Entries that the import of a wildcard host includes although the pods are not allowed to reach them.
//!
//! ```text
//! allow egress garden/{app=web} -> *.example.com:443/tls
//! allow egress garden/{app=db}  -> db.example.com:5432/tls    has a ServiceEntry that app=web sees as well
//! ```

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::addresses::Group;
use super::allowed::Allowed;
use super::entries::{Below, Entries};
use crate::model::hosts::HostName;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::words::list_names;

/// The hosts that the rules of a Sidecar's pods allow by name, to be compared with imports.
pub struct Granted<'w> {
    names: FxHashMap<&'w HostName, FxHashSet<u16>>,
    wildcards: Vec<&'w HostName>,
    groups: FxHashSet<(&'w SmolStr, &'w Group)>,
}

impl<'w> Granted<'w> {
    /// Gathers the allowed hosts.
    pub fn new(allowed: &'w Allowed) -> Granted<'w> {
        let mut names: FxHashMap<&HostName, FxHashSet<u16>> = FxHashMap::default();
        for (host, port, ..) in &allowed.hosts {
            names.entry(&host.name).or_default().insert(port.number);
        }
        let wildcards = names.keys().copied().filter(|name| name.wildcard).collect();
        let groups =
            allowed.groups.iter().flat_map(|(groups, home)| groups.iter().map(move |found| (home, &found.group)));
        Granted { groups: groups.collect(), wildcards, names }
    }

    /// Returns whether a host is allowed on a port, by its own name or by one with a wildcard.
    pub fn has(&self, host: &HostName, port: u16) -> bool {
        let on = |name: &HostName| self.names.get(name).is_some_and(|ports| ports.contains(&port));
        on(host) || self.wildcards.iter().any(|wildcard| wildcard.contains(host) && on(wildcard))
    }
}

/// Entries that an import by a wildcard includes although the pods are not allowed to reach them.
#[derive(Default)]
pub struct TakenIn {
    /// Hosts and addresses on more ports, if the wildcard is imported without a port.
    pub on_other_ports: Vec<String>,
    /// Entries on a port that lead to other addresses, or to another port, than the wildcard's hosts.
    elsewhere: Vec<(u16, String)>,
}

impl TakenIn {
    /// Finds the entries that an import of a wildcard host includes although no rule of these pods allows them: entries
    /// of other rules in the same namespace.
    pub fn new(
        facts: &Facts<'_>,
        entries: &Entries,
        namespace: Option<&SmolStr>,
        (home, wildcard): (&SmolStr, &HostName),
        granted: &Granted<'_>,
    ) -> TakenIn {
        let mut taken = TakenIn::default();
        for below in entries.below(home, wildcard, namespace) {
            match below {
                Below::Host(host) => {
                    if entries.ports(home, host).any(|port| !granted.has(host, port)) {
                        taken.on_other_ports.push(host.to_string());
                    }
                    let named = granted.names.get(host);
                    let other = |port: &u16| named.is_none_or(|ports| !ports.contains(port));
                    // Whoever dials such a port reaches another port of the host.
                    let opened = entries.opened(home, host).filter(|port| !granted.has(host, port.leaves_on()));
                    let opened = opened.map(|port| port.number).filter(other);
                    taken.elsewhere.extend(opened.map(|port| (port, host.to_string())));
                    // A host with addresses outside the internet is only for pods that are allowed to reach it by its
                    // own name.
                    if !entries.at(home, host).is_inside(&facts.policy.internet) {
                        let others = entries.ports(home, host).filter(other);
                        taken.elsewhere.extend(others.map(|port| (port, host.to_string())));
                    }
                }
                Below::Group(group) if granted.groups.contains(&(home, group)) => {}
                Below::Group(group) => {
                    let words = list_names(&group.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>());
                    taken.elsewhere.extend(group.ports.iter().map(|&port| (port, words.clone())));
                    taken.on_other_ports.push(words);
                }
            }
        }
        taken
    }

    /// Returns the excess entries that even a listener with this port lets out, in words.
    pub fn words(&self, wildcard: &HostName, port: u16) -> Option<String> {
        let names = self.elsewhere.iter().filter(|(on, _)| *on == port).map(|(_, name)| name.clone());
        let names: Vec<String> = names.collect();
        let words = || format!("{wildcard} takes in {} too, which other rules name", list_names(&names));
        (!names.is_empty()).then(words)
    }
}
