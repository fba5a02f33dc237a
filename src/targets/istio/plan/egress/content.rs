//! What the pods of one slot may reach, less what is denied, on its way from the rules to their Sidecar.

use std::rc::Rc;

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::addresses::Found;
use super::denied::Reduced;
use super::destinations::{Destinations, Item};
use super::entries::home;
use super::listeners::{ServicePortItem, Wanted};
use crate::model::hosts::HostName;

/// What a slot lets through: the items, each with whether a rule of the mesh alone asks for it.
pub struct Content {
    /// What is let through.
    pub items: Vec<(u32, bool)>,
    /// The hosts of which some addresses are denied.
    pub reduced: Vec<Reduced>,
    /// The addresses, as ServiceEntries have them.
    pub groups: Rc<Vec<Found>>,
    /// The namespace of their ServiceEntries.
    pub groups_home: SmolStr,
    /// The items of addresses, by the numbers that the groups have for what they come from.
    pub parts: Vec<u32>,
}

impl Content {
    /// Returns what deny rules leave of an item that a rule asks for.
    pub fn left_of(&self, item: u32) -> u32 {
        self.reduced.iter().find(|one| one.asked.0 == item).map_or(item, |one| one.left)
    }

    /// Returns what a Sidecar has to import for these pods.
    pub fn wanted(
        &self,
        destinations: &Destinations<'_, '_>,
        namespace: Option<&SmolStr>,
        local: &FxHashSet<(SmolStr, HostName)>,
        root: &SmolStr,
    ) -> Wanted {
        let mut wanted = Wanted::default();
        for (item, _) in &self.items {
            match destinations.item(*item) {
                Item::Host(outside, port, app) => {
                    let home = home(&namespace.cloned(), local, &outside.name, root);
                    wanted.hosts.push((Rc::clone(outside), *port, *app, home));
                }
                Item::Service { namespace, name, port, class, headless } => wanted.services.push(ServicePortItem {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    port: *port,
                    class: *class,
                    headless: *headless,
                }),
                Item::Services { namespace } => {
                    wanted.all_services.insert(namespace.clone());
                }
                Item::Addresses(..) => {}
            }
        }
        wanted.groups = (!self.groups.is_empty()).then(|| (Rc::clone(&self.groups), self.groups_home.clone()));
        wanted
    }
}
