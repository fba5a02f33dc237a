//! Contents of objects: the items that their pods may reach, without the denied ones.
//!
//! ```netpol
//! allow egress garden/* -> 203.0.113.0/24:443
//! deny  egress garden/* -> 203.0.113.7:443
//! ```
//!
//! ```yaml
//! hosts: ["*.203-0-113-0-24-except-203-0-113-7.tcp-443.netpol.internal"]
//! addresses:
//!   - 203.0.113.0/30
//! resolution: NONE
//! hosts: ["./*.203-0-113-0-24-except-203-0-113-7.tcp-443.netpol.internal"]
//! ```
//!
//! No prefix of the ServiceEntry contains a denied address, and a Sidecar lets out nothing else.

use std::rc::Rc;

use smol_str::SmolStr;

use super::addresses::{Addresses, Found, OnPorts};
use super::denied::{DeniedNetworks, Reduced, take_out, take_out_of_hosts};
use super::destinations::Destinations;
use super::ends::Ends;
use super::isolation::Isolation;
use super::items::Item;
use crate::model::endpoint::Endpoint;
use crate::model::rules::{Action, Direction, RuleId};
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, IstioGap};
use crate::targets::istio::plan::subjects::obeyed::Division;

const OUT: Direction = Direction::Egress;

/// The content of an object.
pub struct Content {
    /// The items, each with whether only mesh-wide rules need it.
    pub items: Vec<(u32, bool)>,
    /// The hosts with some denied addresses, by the items as rules name them.
    pub reduced: Vec<Reduced>,
    /// The addresses, as ServiceEntries have them.
    pub groups: Rc<Vec<Found>>,
    /// The namespace of their ServiceEntries.
    pub groups_home: SmolStr,
    /// The items of addresses, in the order of the groups' numbers.
    pub parts: Vec<u32>,
}

impl Content {
    /// Returns what denies leave of an item that a rule names.
    pub fn left_of(&self, item: u32) -> u32 {
        let found = self.reduced.binary_search_by_key(&item, |one| one.asked.0);
        found.map_or(item, |at| self.reduced[at].left)
    }
}

/// Gathers the content of each object that restricts its pods.
pub fn contents(
    facts: &Facts<'_>,
    ends: &Ends<'_>,
    division: &Division,
    isolations: &[Isolation],
    destinations: &mut Destinations<'_, '_>,
) -> (Vec<Option<Content>>, Findings) {
    let mut findings = Findings::default();
    let mut addresses = Addresses::new(facts.reserved);
    let mut contents = Vec::with_capacity(division.objects.len());
    for (at, isolation) in isolations.iter().enumerate() {
        let content = isolation.restricts().then(|| {
            let (items, reduced, gaps) = items(facts, ends, division, at, destinations);
            gaps.into_iter().for_each(|(rule, why)| findings.gap(rule, OUT, &IstioGap::unable(why)));
            let own = division.objects[at].subject.namespace.as_ref();
            with_addresses(facts, items, reduced, own, destinations, &mut addresses)
        });
        contents.push(content);
    }
    (contents, findings)
}

/// The items that remain, the hosts with some denied addresses, and the reason for each deny that is not enforced.
type Left = (Vec<(u32, bool)>, Vec<Reduced>, Vec<(RuleId, String)>);

/// Returns the items of an object, without the denied ones.
fn items(
    facts: &Facts<'_>,
    ends: &Ends<'_>,
    division: &Division,
    object: usize,
    destinations: &mut Destinations<'_, '_>,
) -> Left {
    let mut items: Vec<(u32, bool)> = Vec::new();
    let mut denies: Vec<RuleId> = Vec::new();
    for (end, about) in division.statements(object) {
        let mesh = division.objects[about].subject.namespace.is_none();
        let end = ends.get(end);
        match (&end.reach, end.action) {
            (Some(reach), _) => items.extend(reach.items.iter().map(|&item| (item, mesh))),
            (None, Action::Deny) => denies.extend(end.rules.first()),
            (None, _) => {}
        }
    }
    items.sort_unstable();
    items.dedup_by_key(|(item, _)| *item);
    let mut gaps: Vec<(RuleId, String)> = Vec::new();
    let mut by_address: Vec<(RuleId, &Endpoint)> = Vec::new();
    let mut networks = DeniedNetworks::default();
    for rule in denies {
        let Some(denied) = facts.policy.rule(rule) else { continue };
        if !denied.conditions.is_none() {
            gaps.push((rule, "a sidecar does not look into what goes out".into()));
            continue;
        }
        by_address.push((rule, &denied.destination));
        if networks.join(&denied.destination) {
            continue;
        }
        // Denies are taken out in their order; consecutive networks are taken out together.
        std::mem::take(&mut networks).take_out(facts, destinations, &mut items);
        if networks.join(&denied.destination) {
            continue;
        }
        let gap = take_out(facts, destinations, &mut items, &denied.destination);
        gaps.extend(gap.map(|why| (rule, why)));
    }
    networks.take_out(facts, destinations, &mut items);
    let (reduced, of_hosts) = take_out_of_hosts(facts, destinations, &mut items, &by_address);
    gaps.extend(of_hosts);
    (items, reduced, gaps)
}

/// Groups the addresses among some items into ServiceEntries.
fn with_addresses(
    facts: &Facts<'_>,
    items: Vec<(u32, bool)>,
    reduced: Vec<Reduced>,
    namespace: Option<&SmolStr>,
    destinations: &Destinations<'_, '_>,
    addresses: &mut Addresses<'_>,
) -> Content {
    let root: SmolStr = facts.policy.settings.root_namespace.as_str().into();
    let mut sets: Vec<OnPorts> = Vec::new();
    let mut parts = Vec::new();
    let mut all_mesh = true;
    for &(item, mesh) in &items {
        if let Item::Addresses(set, ports) = destinations.item(item) {
            sets.push((Rc::clone(set), Rc::clone(ports)));
            parts.push(item);
            all_mesh &= mesh;
        }
    }
    let groups_home = namespace.filter(|_| !all_mesh).unwrap_or(&root).clone();
    let groups = match sets.is_empty() {
        true => Rc::default(),
        false => addresses.groups(sets),
    };
    Content { items, reduced, groups, groups_home, parts }
}
