//! What the import of a host with a wildcard takes in although the pods are not allowed it.
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

/// What the rules of a Sidecar's pods let through by name, to be compared with what imports bring.
pub struct Granted<'w> {
    names: FxHashMap<&'w HostName, FxHashSet<u16>>,
    wildcards: Vec<&'w HostName>,
    groups: FxHashSet<(&'w SmolStr, &'w Group)>,
}

impl<'w> Granted<'w> {
    /// Gathers it.
    pub fn new(allowed: &'w Allowed) -> Granted<'w> {
        let mut names: FxHashMap<&HostName, FxHashSet<u16>> = FxHashMap::default();
        for (host, port, ..) in &allowed.hosts {
            names.entry(&host.name).or_default().insert(*port);
        }
        let wildcards = names.keys().copied().filter(|name| name.wildcard).collect();
        let groups =
            allowed.groups.iter().flat_map(|(groups, home)| groups.iter().map(move |found| (home, &found.group)));
        Granted { groups: groups.collect(), wildcards, names }
    }

    /// Returns whether a host is let through on a port, by its own name or by one with a wildcard.
    pub fn has(&self, host: &HostName, port: u16) -> bool {
        let on = |name: &HostName| self.names.get(name).is_some_and(|ports| ports.contains(&port));
        on(host) || self.wildcards.iter().any(|wildcard| wildcard.contains(host) && on(wildcard))
    }
}

/// What an import by a wildcard takes in although the pods are not allowed it.
#[derive(Default)]
pub struct TakenIn {
    /// Hosts and addresses that it lets through on more ports, where it is imported without a port.
    pub on_other_ports: Vec<String>,
    /// What it lets through on a port although it is elsewhere than the wildcard's hosts are.
    elsewhere: Vec<(u16, String)>,
}

impl TakenIn {
    /// Finds what an import of a host with a wildcard takes in although nothing lets it through to these pods: entries
    /// of the same namespace that other rules ask for.
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
                    // Elsewhere than in the internet a host is only for who is allowed it by its own name.
                    if !entries.at(home, host).is_inside(&facts.policy.internet) {
                        let named = granted.names.get(host);
                        let other = |port: &u16| named.is_none_or(|ports| !ports.contains(port));
                        let others = entries.ports(home, host).filter(other);
                        taken.elsewhere.extend(others.map(|port| (port, host.to_string())));
                    }
                }
                Below::Group(group) if granted.groups.contains(&(home, group)) => {}
                Below::Group(group) => {
                    let words =
                        list_names(&group.prefixes.iter().map(|prefix| prefix.net.to_string()).collect::<Vec<_>>());
                    taken.elsewhere.extend(group.ports.iter().map(|&port| (port, words.clone())));
                    taken.on_other_ports.push(words);
                }
            }
        }
        taken
    }

    /// Returns what is let through in excess even by a listener with this port.
    pub fn words(&self, wildcard: &HostName, port: u16) -> Option<String> {
        let names = self.elsewhere.iter().filter(|(on, _)| *on == port).map(|(_, name)| name.clone());
        let names: Vec<String> = names.collect();
        let words = || format!("{wildcard} takes in {} too, which other rules name", list_names(&names));
        (!names.is_empty()).then(words)
    }
}
