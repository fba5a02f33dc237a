//! Ports of a host, counted over all rules, because its one ServiceEntry may have 256 of them.
//!
//! ```text
//! allow egress garden/{app=web} -> zenquotes.io:1000-1199/tls    200 ports
//! allow egress garden/{app=db}  -> zenquotes.io:2000-2199/tls    and 200: too many, so both workloads are left open
//! ```

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::destinations::{Destinations, Reach};
use super::items::Item;
use crate::model::hosts::HostName;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::limits::MOST_PORTS;
use crate::targets::istio::plan::subjects::obeyed::Statement;

/// The ports that rules name for each host, by the namespace of its ServiceEntry.
pub struct HostPorts {
    root: SmolStr,
    ports: FxHashMap<(SmolStr, HostName), BTreeSet<u16>>,
}

impl HostPorts {
    /// Counts the ports of the rule ends of the way out.
    pub fn new<'r>(
        facts: &Facts<'_>,
        statements: &[Statement<'_>],
        reaches: impl Iterator<Item = Option<&'r Reach>>,
        destinations: &Destinations<'_, '_>,
    ) -> HostPorts {
        let root = facts.policy.settings.root_namespace.as_str().into();
        let mut asked = HostPorts { root, ports: FxHashMap::default() };
        // Hardly any policy names so many ports of a host.
        let mut counts: FxHashMap<&HostName, usize> = FxHashMap::default();
        for host in destinations.hosts() {
            *counts.entry(&host.name).or_default() += 1;
        }
        if counts.values().all(|count| *count <= MOST_PORTS) {
            return asked;
        }
        for (statement, reach) in statements.iter().zip(reaches) {
            for &item in reach.iter().flat_map(|reach| &reach.items) {
                if let Item::Host(outside, port) = destinations.item(item) {
                    let key = (asked.home(statement).clone(), outside.name.clone());
                    asked.ports.entry(key).or_default().insert(port.number);
                }
            }
        }
        asked
    }

    /// Returns the namespace of the ServiceEntries of a rule's hosts. For pods of unnamed namespaces there may be
    /// several; these count in the root namespace, which counts everywhere.
    fn home<'h>(&'h self, statement: &'h Statement<'_>) -> &'h SmolStr {
        statement.selector.namespace_name().unwrap_or(&self.root)
    }

    /// Returns whether any host may have too many ports, together with those of the mesh-wide rules.
    pub fn some_are_many(&self) -> bool {
        self.ports.values().any(|ports| ports.len() > MOST_PORTS / 2)
    }

    /// Returns why Istio cannot express a rule's destination, if a host has too many ports in its one entry.
    pub fn too_many(
        &self,
        statement: &Statement<'_>,
        reach: &Reach,
        destinations: &Destinations<'_, '_>,
    ) -> Option<String> {
        let home = self.home(statement);
        let of = |namespace: &SmolStr, host: &HostName| self.ports.get(&(namespace.clone(), host.clone()));
        let full = |host: &HostName| match (of(home, host), of(&self.root, host)) {
            (Some(own), Some(mesh)) => own.union(mesh).count() > MOST_PORTS,
            (own, mesh) => own.or(mesh).is_some_and(|ports| ports.len() > MOST_PORTS),
        };
        let host = reach.items.iter().find_map(|&item| match destinations.item(item) {
            Item::Host(outside, ..) => Some(&outside.name).filter(|host| full(host)),
            _ => None,
        })?;
        Some(format!("more than {MOST_PORTS} ports of {host} for {home}/*, counted over all rules"))
    }
}
