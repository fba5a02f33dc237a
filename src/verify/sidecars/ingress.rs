//! The ingress of sidecars and gateways: AuthorizationPolicies, PeerAuthentications and RequestAuthentications,
//! compared with the source.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::entries::Entries;
use super::{Claims, Failed, Said, compared, other_pods, own_pods, seen, small};
use crate::flows::{Flows, OTHER, Set, Side};
use crate::inventory::PolicyObject;
use crate::inventory::outside::Mesh;
use crate::model::rules::Direction;
use crate::policy::Policy;
use crate::policy::meaning::Meaning;
use crate::targets::Made;
use crate::targets::istio::read::Ingress;
use crate::verify::BUDGET_EACH;
use crate::verify::row::{Difference, Kind};

/// Returns the first difference on ingress.
pub(super) fn differing(
    policy: &Policy,
    made: &Made<'_>,
    mesh: &Mesh,
    claims: &Claims<'_>,
) -> Result<Option<Difference>, Failed> {
    let mut of_namespace: FxHashMap<&SmolStr, Vec<&PolicyObject>> = FxHashMap::default();
    for object in mesh.objects.iter().filter(|object| Ingress::decides(object)) {
        of_namespace.entry(&object.namespace).or_default().push(object);
    }
    let root = SmolStr::from(policy.settings.root_namespace.as_str());
    compared(policy, made, (Direction::Ingress, claims.many), &mut |names, said, budget| {
        let near: BTreeSet<&SmolStr> = names.iter().flatten().chain([&root]).collect();
        let here: Vec<&PolicyObject> =
            near.iter().filter_map(|name| of_namespace.get(name)).flatten().copied().collect();
        let entries = Entries::new(policy, said, &|name| of_namespace.get(name).map(Vec::as_slice).unwrap_or_default());
        let budget = budget + BUDGET_EACH * (here.len() + entries.count()) as u64;
        differing_among(policy, claims, (names, said), here, &entries, budget)
    })
}

/// Compares the pods of some namespaces, with only the statements and objects that concern them.
fn differing_among(
    policy: &Policy,
    claims: &Claims<'_>,
    (names, said): (&[Option<SmolStr>], &Said),
    objects: Vec<&PolicyObject>,
    entries: &Entries<'_>,
    budget: u64,
) -> Result<Option<Difference>, Failed> {
    let direction = Direction::Ingress;
    let ingress = Ingress::new(policy, objects);
    let mut unread = Ok(());
    let mut meaning = Meaning::beside(policy, &said.ends, &said.grants, budget, |terms| {
        terms.judge(Side::Destination);
        claims.terms(direction, names, terms);
        unread = ingress.terms(terms).and_then(|()| entries.terms(policy, terms));
    });
    unread?;
    meaning.judge_ways();
    let other_pods = other_pods(policy, &mut meaning, direction);
    let mut common = ingress.common(meaning.flows())?;
    entries.let_in(policy, &mut meaning)?;
    for name in names {
        let place = name.as_ref().map_or(OTHER, |name| meaning.flows().space.place(name));
        let mut within = seen::into(meaning.flows());
        let own = own_pods(policy, &mut meaning, direction, place);
        // A gateway that a rule leads through exists, even if the inventory does not list its pods.
        let gateways = to_gateways(policy, meaning.flows(), place);
        let own = meaning.flows().diagrams.or(own, gateways);
        for part in [meaning.read_by_proxies(place), own, other_pods] {
            within = meaning.flows().diagrams.and(within, part);
        }
        within = claims.compared(&mut meaning, direction, place, within);
        let layer = ingress.row(meaning.flows(), &mut common, place, within)?;
        let (kind, example) = match small(
            direction,
            meaning.excess(direction, place, layer, within, &|at, end| claims.lets_in(at, end)),
        )? {
            Some(example) => (Kind::Wider, Some(example)),
            None if claims.shown.is_some() => continue,
            None => {
                let identified = ingress.identified(meaning.flows());
                let outside = meaning.flows().outside(false, Set::ALL);
                let d = &mut meaning.flows().diagrams;
                let known = d.or(identified, outside);
                let (identified, unknown) = (d.and(within, known), d.complement(identified));
                let said = |at| claims.narrower(at, direction, |one| !one.remarks().narrower.is_empty());
                let unable = |at, end| claims.unable(at, end);
                let lost = meaning.lost(direction, place, layer, identified, (unknown, &said), &unable);
                match small(direction, lost)? {
                    Some(example) => (Kind::Narrower, Some(example)),
                    None => {
                        let at = (direction, name.as_ref(), place);
                        (Kind::Together, claims.together(&mut meaning, at, layer, within)?)
                    }
                }
            }
        };
        if let Some(example) = example {
            let rules = said.ends.iter().map(|(at, _)| *at).collect();
            return Ok(Some(Difference { kind, direction, flow: meaning.flow(&example), rules }));
        }
    }
    Ok(None)
}

/// Returns the flows to the pods that declared gateways have in a namespace.
fn to_gateways(policy: &Policy, flows: &mut Flows, place: u32) -> Set {
    let pods = policy.gateways.iter().flat_map(|gateway| &gateway.pods);
    let sets = pods.map(|pods| flows.pods(Side::Destination, true, pods)).collect();
    let all = flows.diagrams.union(sets);
    flows.with_place(all, true, place)
}
