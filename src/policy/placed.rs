//! Hosts without addresses of their own, to which another statement gives some.
//!
//! ```text
//! let db = host db.corp.internal at 10.20.0.5
//! allow egress garden/* -> db:5432
//! deny egress garden/{tier=front} -> *.corp.internal
//!     the deny is of *.corp.internal in the internet, and of db.corp.internal at 10.20.0.5
//! ```
//!
//! Layers know most hosts by their addresses, so that a name that stands for a placed host has to bring these.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::hosts::{Host, HostName};
use crate::model::rules::Rule;

/// The hosts with addresses, by their labels from the last to the first: `internal.corp.db.`.
type Placed<'r> = BTreeMap<String, Vec<&'r Host>>;

/// Returns the destinations that change, by the place of the old ones in memory.
type Changed = FxHashMap<*const Endpoint, Arc<Endpoint>>;

/// Gives hosts without addresses in the destinations of rules those that other rules give them. Those that a rule leads
/// to through a gateway stay: the gateway finds them by name.
pub(super) fn place_hosts(rules: &mut [Rule]) {
    let changed = changed(rules);
    if changed.is_empty() {
        return;
    }
    for rule in rules.iter_mut().filter(|rule| !leads_out(rule)) {
        if let Some(endpoint) = changed.get(&Arc::as_ptr(&rule.destination)) {
            rule.destination = Arc::clone(endpoint);
        }
    }
}

fn leads_out(rule: &Rule) -> bool {
    rule.via.is_some() && !rule.ingress
}

fn changed(rules: &[Rule]) -> Changed {
    let mut placed = Placed::new();
    for side in rules.iter().flat_map(|rule| [&rule.source, &rule.destination]) {
        for host in side.members.iter().filter_map(Member::host).filter(|host| !host.at.is_empty()) {
            let of_name = placed.entry(key(&host.name)).or_default();
            if !of_name.contains(&host) {
                of_name.push(host);
            }
        }
    }
    let mut changed = Changed::default();
    if placed.is_empty() {
        return changed;
    }
    for rule in rules.iter().filter(|rule| !leads_out(rule)) {
        let at = Arc::as_ptr(&rule.destination);
        if !changed.contains_key(&at)
            && let Some(endpoint) = with_addresses(&rule.destination, &placed)
        {
            changed.insert(at, Arc::new(endpoint));
        }
    }
    changed
}

/// Returns the labels of a name from the last to the first, each with a dot behind it.
fn key(name: &HostName) -> String {
    name.name.rsplit('.').flat_map(|label| [label, "."]).collect()
}

/// Returns an endpoint whose hosts have the addresses that others give them; `None` if nothing changes.
fn with_addresses(endpoint: &Endpoint, placed: &Placed<'_>) -> Option<Endpoint> {
    let mut members = endpoint.members.clone();
    for (number, member) in endpoint.members.iter().enumerate() {
        let Some(host) = member.host().filter(|host| host.at.is_empty()) else { continue };
        let own = key(&host.name);
        if !host.name.wildcard {
            let at: Vec<_> =
                placed.get(&own).into_iter().flatten().flat_map(|other| other.at.iter().copied()).collect();
            members[number].what = What::Host(Host { at, ..host.clone() });
            continue;
        }
        let below = placed.range::<str, _>((Bound::Excluded(own.as_str()), Bound::Unbounded));
        let below = below.take_while(|(key, _)| key.starts_with(&own)).flat_map(|(_, hosts)| hosts);
        for other in below.filter(|other| host.matches(&other.name.name)) {
            let what = What::Host(Host { originates: Vec::new(), ..Host::clone(other) });
            if !members.iter().any(|one| one.what == what && one.ports == member.ports) {
                members.push(Member { what, ..member.clone() });
            }
        }
    }
    (members != endpoint.members).then_some(Endpoint { members })
}
