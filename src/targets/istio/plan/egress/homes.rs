//! The namespace of each host's ServiceEntry: the namespace of the rules that name the host, where only its own pods
//! see the entry; for mesh-wide rules the root namespace, where every pod sees it.
//!
//! ```netpol
//! allow egress */* -> zenquotes.io:443
//! ```
//!
//! ```yaml
//! kind: ServiceEntry
//! metadata:
//!   name: zenquotes-io
//!   namespace: istio-system
//! spec:
//!   exportTo: ["*"]
//! ```

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::content::Content;
use super::destinations::Destinations;
use super::items::{Endpointed, Item};
use crate::model::hosts::HostName;
use crate::model::rules::Direction;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, IstioGap};
use crate::targets::istio::plan::subjects::obeyed::Division;

const OUT: Direction = Direction::Egress;

/// The namespaces of ServiceEntries.
pub struct Homes {
    /// The mesh's root namespace.
    pub root: SmolStr,
    /// The hosts that rules of a namespace name.
    local: FxHashSet<(SmolStr, HostName)>,
}

impl Homes {
    /// Finds the namespaces for the items that Sidecars let out.
    pub fn new(
        facts: &Facts<'_>,
        division: &Division,
        destinations: &Destinations<'_, '_>,
        contents: &[Option<Content>],
    ) -> Homes {
        let mut local = FxHashSet::default();
        for (object, content) in division.objects.iter().zip(contents) {
            let (Some(namespace), Some(content)) = (&object.subject.namespace, content) else { continue };
            for (item, mesh) in &content.items {
                if let (Item::Host(outside, ..), false) = (destinations.item(*item), mesh) {
                    local.insert((namespace.clone(), outside.name.clone()));
                }
            }
        }
        Homes { root: facts.policy.settings.root_namespace.as_str().into(), local }
    }

    /// Returns the namespace of the host's entry for pods of a namespace; `None` for pods of any namespace.
    pub fn of(&self, namespace: Option<&SmolStr>, host: &HostName) -> &SmolStr {
        let own = namespace.and_then(|name| self.local.get(&(name.clone(), host.clone())));
        own.map_or(&self.root, |(name, _)| name)
    }

    /// Returns whether the host's entry for pods of a namespace is visible to pods of every namespace.
    pub fn for_everyone(&self, namespace: Option<&SmolStr>, host: &HostName) -> bool {
        !namespace.is_some_and(|name| self.local.contains(&(name.clone(), host.clone())))
    }
}

/// Gives a namespace one ServiceEntry for each host. If its pods may reach different addresses of the host, the entry
/// lists all of these addresses, and the denies are not enforced.
pub fn settle(
    facts: &Facts<'_>,
    division: &Division,
    destinations: &Destinations<'_, '_>,
    contents: &mut [Option<Content>],
) -> Findings {
    let mut findings = Findings::default();
    if contents.iter().flatten().all(|content| content.reduced.is_empty()) {
        return findings;
    }
    let homes = Homes::new(facts, division, destinations, contents);
    let mut lists: FxHashMap<(&SmolStr, &HostName), &[Endpointed]> = FxHashMap::default();
    let mut several: FxHashSet<(&SmolStr, &HostName)> = FxHashSet::default();
    for (object, content) in division.objects.iter().zip(contents.iter()) {
        for (item, _) in content.iter().flat_map(|content| &content.items) {
            let Item::Host(outside, ..) = destinations.item(*item) else { continue };
            let key = (homes.of(object.subject.namespace.as_ref(), &outside.name), &outside.name);
            let list = *lists.entry(key).or_insert(&outside.at);
            if list != outside.at.as_slice() {
                several.insert(key);
            }
        }
    }
    for (object, content) in division.objects.iter().zip(contents) {
        let Some(Content { items, reduced, .. }) = content else { continue };
        reduced.retain(|one| {
            let Item::Host(outside, ..) = destinations.item(one.left) else { return true };
            if !several.contains(&(homes.of(object.subject.namespace.as_ref(), &outside.name), &outside.name)) {
                return true;
            }
            items.iter_mut().filter(|(item, _)| *item == one.left).for_each(|item| *item = one.asked);
            let why = format!(
                "Istio has one ServiceEntry for {} in a namespace, and the denied address is let through there on \
                 another port or for other pods",
                outside.name
            );
            one.denies.iter().for_each(|rule| findings.gap(*rule, OUT, &IstioGap::unable(why.clone())));
            false
        });
        items.sort_unstable();
    }
    findings
}
