//! ServiceEntries for all imports of Sidecars, and routes through gateways.
//!
//! ```netpol
//! allow egress garden/* -> 203.0.113.0/24:443
//! ```
//!
//! ```yaml
//! hosts: ["203-0-113-0-24.tcp-443.netpol.internal"]
//! addresses: [203.0.113.0/24]
//! exportTo: ["."]
//! ```
//!
//! A Sidecar imports only hosts, so addresses get a generated host.

use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::addresses::Found;
use super::content::Content;
use super::destinations::Destinations;
use super::ends::Ends;
use super::entries::Entries;
use super::homes::Homes;
use super::items::{HostPort, Item, Outside};
use crate::model::rules::RuleId;
use crate::targets::istio::plan::gateway::exits::{Exits, Route, Routes};
use crate::targets::istio::plan::subjects::Subject;
use crate::targets::istio::plan::subjects::obeyed::Division;
use crate::targets::istio::troubles::Trouble;

/// The objects that Sidecars need.
#[derive(Default)]
pub struct Imported {
    /// The ServiceEntries.
    pub entries: Entries,
    /// The routes through gateways.
    pub routes: Routes,
    /// The troubles: rules that contradict each other.
    pub troubles: Vec<Trouble>,
}

/// Adds the objects that Sidecars import.
pub fn ask(
    ends: &Ends<'_>,
    division: &Division,
    contents: &[Option<Content>],
    destinations: &Destinations<'_, '_>,
    homes: &Homes,
    exits: &Exits,
) -> Imported {
    let mut asked = Imported::default();
    for (at, content) in contents.iter().enumerate() {
        let Some(content) = content else { continue };
        let namespace = division.objects[at].subject.namespace.as_ref();
        let items: FxHashSet<u32> = content.items.iter().map(|(item, _)| *item).collect();
        let mut by_address: Vec<RuleId> = Vec::new();
        let mut of_item: FxHashMap<u32, Vec<RuleId>> = FxHashMap::default();
        for (end, about) in division.statements(at) {
            let end = ends.get(end);
            let Some(reach) = &end.reach else { continue };
            for item in &reach.items {
                let item = content.left_of(*item);
                match destinations.item(item) {
                    Item::Host(outside, port) if items.contains(&item) => {
                        let home = homes.of(namespace, &outside.name);
                        let everyone = homes.for_everyone(namespace, &outside.name);
                        let Some(&rule) = end.rules.first() else { continue };
                        asked.troubles.extend(asked.entries.host(home, outside, *port, rule, everyone));
                        let subject = &division.objects[about].subject;
                        asked.through_gateway(exits, rule, (home, everyone), subject, (outside, *port));
                    }
                    Item::Addresses(..) => {
                        by_address.extend(&end.rules);
                        of_item.entry(item).or_default().extend(&end.rules);
                    }
                    _ => {}
                }
            }
        }
        let by_address = sorted(by_address);
        let of_item: FxHashMap<u32, Rc<[RuleId]>> =
            of_item.into_iter().map(|(item, rules)| (item, sorted(rules))).collect();
        let everyone = content.groups_home == homes.root && namespace != Some(&homes.root);
        for Found { group, from, .. } in content.groups.iter() {
            // An item that a deny made smaller belongs to no single rule any more.
            let rules = |part: &usize| content.parts.get(*part).and_then(|item| of_item.get(item));
            let lists = from.iter().map(|part| rules(part).unwrap_or(&by_address));
            asked.entries.group(&content.groups_home, group, lists, everyone);
        }
    }
    asked.entries.find_below();
    for ((namespace, _, host), route) in &mut asked.routes {
        route.direct = asked.entries.requests(namespace, host);
    }
    asked
}

fn sorted(mut rules: Vec<RuleId>) -> Rc<[RuleId]> {
    rules.sort_unstable();
    rules.dedup();
    rules.into()
}

impl Imported {
    /// Adds the route of a host, if a rule sends the host through a gateway.
    fn through_gateway(
        &mut self,
        exits: &Exits,
        rule: RuleId,
        (home, everyone): (&SmolStr, bool),
        subject: &Subject,
        (host, port): (&Outside, HostPort),
    ) {
        let Some(way) = exits.ways.get(&rule) else { return };
        let key = (home.clone(), way.gateway.name.clone(), host.name.clone());
        let route = self.routes.entry(key).or_insert_with(|| Route::new(way, port, everyone));
        if !route.subjects.contains(subject) {
            route.subjects.push(subject.clone());
        }
        route.rules.push(rule);
        self.entries.show(home, &host.name, &way.namespace);
    }
}
