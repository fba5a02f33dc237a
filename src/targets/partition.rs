//! Partitions: a policy divided so that no pod is governed in two of them. They are lowered side by side, which saves
//! memory.
//!
//! The objects for the pods of a namespace depend only on facts and on the rules and grants that govern its pods. So
//! rules for different namespaces are in different partitions, unless a rule or a gateway joins the namespaces:
//! `default deny { shop/*, lab/* }` makes one partition of two. A rule for unnamed namespaces may concern the pods of
//! every other rule; then the whole policy is one partition.
//!
//! Order never matters in a policy, so the rules of a partition are sorted by their text. Where a rule is written, and
//! the order of the files, does not change the objects.

use std::borrow::Cow;
use std::sync::OnceLock;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::components::Components;
use crate::model::endpoint::Endpoint;
use crate::model::labels::{NAMESPACE_NAME, PodSelector};
use crate::model::rules::{Direction, GrantId, Rule, RuleId};
use crate::policy::provenance::normalized;
use crate::policy::{Grant, GrantReason, Policy};
use crate::source::Sources;

/// The governed rule ends, and the grants, that a layer must consider together.
pub(super) struct Partition<'a> {
    /// The policy.
    pub(super) policy: &'a Policy,
    sources: &'a Sources,
    /// Rules with a direction that they govern, sorted by their numbers.
    members: Vec<(RuleId, Direction)>,
    /// The grants, sorted by their numbers.
    granted: Vec<GrantId>,
    /// The namespaces of the pods; `None` for any namespace.
    namespaces: Option<FxHashSet<&'a SmolStr>>,
    order: OnceLock<Order>,
}

/// The rule ends and grants of a partition in the order in which layers take them.
struct Order {
    /// The ends, by the text of their rules; egress before ingress for one rule.
    ends: Vec<(RuleId, Direction)>,
    /// The index of each end in `ends`, sorted by the numbers of the rules.
    places: Vec<(RuleId, Direction, u32)>,
    grants: Vec<GrantId>,
}

impl<'a> Partition<'a> {
    fn new(policy: &'a Policy, sources: &'a Sources, namespaces: Option<FxHashSet<&'a SmolStr>>) -> Partition<'a> {
        let (members, granted) = (Vec::new(), Vec::new());
        Partition { policy, sources, members, granted, namespaces, order: OnceLock::new() }
    }

    /// Makes the partition that is the whole policy.
    pub(super) fn whole(policy: &'a Policy, sources: &'a Sources) -> Partition<'a> {
        let members = ends(policy).map(|(at, direction, _)| (at, direction)).collect();
        let granted = (0..policy.grants.len()).map(GrantId::new).collect();
        Partition { members, granted, ..Partition::new(policy, sources, None) }
    }

    fn order(&self) -> &Order {
        self.order.get_or_init(|| {
            let mut rules: Vec<(Cow<'_, str>, RuleId)> = Vec::with_capacity(self.members.len());
            for &(at, _) in &self.members {
                if rules.last().is_none_or(|(_, last)| *last != at) {
                    rules.push((self.words(at), at));
                }
            }
            let path = |at: RuleId| self.sources.file(self.rule(at).origin.place().file).path.as_str();
            rules.sort_unstable_by(|(a, first), (b, second)| {
                a.as_bytes().cmp(b.as_bytes()).then_with(|| (path(*first), first).cmp(&(path(*second), second)))
            });
            let governed = rules.iter().flat_map(|&(_, at)| {
                let rule = self.rule(at);
                Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction)).map(move |way| (at, way))
            });
            let is_member = |end: &(RuleId, Direction)| self.members.binary_search(end).is_ok();
            let ends: Vec<(RuleId, Direction)> = governed.filter(is_member).collect();
            let mut places: Vec<_> = (0..).zip(&ends).map(|(place, &(at, direction))| (at, direction, place)).collect();
            places.sort_unstable();
            let grants = self.grants_by(&places);
            Order { ends, places, grants }
        })
    }

    fn rule(&self, at: RuleId) -> &'a Rule {
        &self.policy.rules[at.index()]
    }

    /// Returns the text of a rule. If a template yields it, the text of its `apply` is added.
    fn words(&self, at: RuleId) -> Cow<'a, str> {
        let origin = &self.rule(at).origin;
        let own = normalized(self.sources, origin.span);
        if origin.applied().is_empty() {
            return own;
        }
        let applied = origin.applied().iter().map(|&span| normalized(self.sources, span));
        Cow::Owned(std::iter::once(own).chain(applied).collect::<Vec<_>>().join("\n"))
    }

    /// Returns the grants, sorted by the first rule for which each is given, and by its reason.
    fn grants_by(&self, places: &[(RuleId, Direction, u32)]) -> Vec<GrantId> {
        let first = |grant: &Grant| grant.because.iter().filter_map(|&rule| place_of(places, rule)).min();
        let mut keyed: Vec<_> = self
            .granted
            .iter()
            .map(|&at| {
                let grant = &self.policy.grants[at.index()];
                let for_all = !matches!(grant.reason, GrantReason::Gateway | GrantReason::Keys);
                (first(grant).unwrap_or(u32::MAX), for_all, grant.reason, grant.direction, at)
            })
            .collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(.., at)| at).collect()
    }

    /// Returns the governed rule ends, sorted by their numbers.
    pub(super) fn members(&self) -> &[(RuleId, Direction)] {
        &self.members
    }

    /// Returns the grants that may open pods of the partition, sorted by their numbers.
    pub(super) fn granted(&self) -> &[GrantId] {
        &self.granted
    }

    /// Returns the governed rule ends, by the text of their rules.
    pub(super) fn ends(&self) -> impl Iterator<Item = (RuleId, Direction, &'a Rule)> {
        self.order().ends.iter().map(|&(at, direction)| (at, direction, self.rule(at)))
    }

    /// Returns the end at an index.
    pub(super) fn end(&self, place: usize) -> Option<(RuleId, Direction, &'a Rule)> {
        self.order().ends.get(place).map(|&(at, direction)| (at, direction, self.rule(at)))
    }

    /// Returns the rules that govern pods of the partition in a direction, each with its number.
    pub(super) fn rules(&self, direction: Direction) -> impl Iterator<Item = (RuleId, &'a Rule)> {
        self.ends().filter(move |(_, of, _)| *of == direction).map(|(at, _, rule)| (at, rule))
    }

    /// Returns the index of an end in the partition's order.
    pub(super) fn position(&self, rule: RuleId, direction: Direction) -> Option<usize> {
        let places = &self.order().places;
        let found = places.binary_search_by(|(at, way, _)| (*at, *way).cmp(&(rule, direction)));
        found.ok().map(|at| places[at].2 as usize)
    }

    /// Returns the first `most` of some rules, in the order of the partition.
    pub(super) fn first_of<C: FromIterator<RuleId>>(&self, rules: &[RuleId], most: usize) -> C {
        let places = &self.order().places;
        let place = |&rule: &RuleId| (place_of(places, rule).unwrap_or(u32::MAX), rule);
        let mut keyed: Vec<(u32, RuleId)> = rules.iter().map(place).collect();
        keyed.sort_unstable();
        keyed.into_iter().take(most).map(|(_, rule)| rule).collect()
    }

    /// Returns the grants that may open pods of the partition, each with its number.
    pub(super) fn grants(&self) -> impl Iterator<Item = (GrantId, &'a Grant)> {
        self.order().grants.iter().map(|&at| (at, &self.policy.grants[at.index()]))
    }

    /// Returns the namespaces of the inventory that may have pods of the partition, sorted.
    pub(super) fn namespaces(&self) -> Vec<&'a SmolStr> {
        let known = &self.policy.inventory.namespaces;
        let Some(own) = &self.namespaces else { return known.keys().collect() };
        let mut list: Vec<_> = own.iter().filter_map(|name| known.get_key_value(*name)).map(|(name, _)| name).collect();
        list.sort_unstable();
        list
    }
}

/// Returns the index of the first end of a rule, among all ends of a partition.
fn place_of(places: &[(RuleId, Direction, u32)], rule: RuleId) -> Option<u32> {
    let at = places.partition_point(|(have, ..)| *have < rule);
    places.get(at).filter(|(have, ..)| *have == rule).map(|(.., place)| *place)
}

/// Divides a policy into partitions of at least `least` ends; only the last one may have fewer.
pub(super) fn divide<'a>(policy: &'a Policy, sources: &'a Sources, least: usize) -> Vec<Partition<'a>> {
    let many = ends(policy).nth(least).is_some();
    let partitions = many.then(|| Division::new(policy)?.partitions(sources, least)).flatten();
    partitions.unwrap_or_else(|| vec![Partition::whole(policy, sources)])
}

/// Returns each governed end of each rule.
fn ends(policy: &Policy) -> impl Iterator<Item = (RuleId, Direction, &Rule)> {
    policy.numbered().flat_map(|(at, rule)| {
        let governed = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
        governed.map(move |direction| (at, direction, rule))
    })
}

struct Division<'a> {
    policy: &'a Policy,
    numbers: FxHashMap<&'a SmolStr, usize>,
    names: Vec<&'a SmolStr>,
    sets: Components,
    /// For each end, one of its namespaces.
    ends: Vec<usize>,
    /// The same for the grants; `None` for a grant that opens pods of every namespace.
    grants: Vec<Option<usize>>,
}

impl<'a> Division<'a> {
    /// Finds the namespaces that belong together; `None` if a rule does not name the namespaces of its pods.
    fn new(policy: &'a Policy) -> Option<Division<'a>> {
        let mut division = Division {
            policy,
            numbers: FxHashMap::default(),
            names: Vec::new(),
            sets: Components::default(),
            ends: Vec::with_capacity(policy.rules.len()),
            grants: Vec::with_capacity(policy.grants.len()),
        };
        for (_, direction, rule) in ends(policy) {
            let first = division.subject(rule.subject(direction))?;
            if let Some(via) = &rule.via {
                let others = [&via.gateway.service, &via.gateway.account];
                let others = others.into_iter().flatten().map(|(namespace, _)| namespace);
                let pods = via.gateway.pods.iter();
                division.join(Some(first), pods)?;
                for name in others {
                    division.add(Some(first), name);
                }
            }
            division.ends.push(first);
        }
        for grant in &policy.grants {
            // Every pod with a sidecar may call istiod, if a rule isolates the pod.
            let everyone = grant.reason == GrantReason::Istiod;
            let first = if everyone { None } else { Some(division.subject(grant.subject())?) };
            division.grants.push(first);
        }
        Some(division)
    }

    /// Joins the namespaces of an endpoint's pods, and returns one of them.
    fn subject(&mut self, endpoint: &'a Endpoint) -> Option<usize> {
        self.join(None, endpoint.pods().map(|(_, pods)| &pods.selector))
    }

    fn join(&mut self, first: Option<usize>, pods: impl Iterator<Item = &'a PodSelector>) -> Option<usize> {
        let mut first = first;
        for selector in pods {
            for name in selector.namespace.values(NAMESPACE_NAME)? {
                first = Some(self.add(first, name));
            }
        }
        first
    }

    /// Adds a namespace, joined with another one, and returns its number.
    fn add(&mut self, first: Option<usize>, name: &'a SmolStr) -> usize {
        let number = *self.numbers.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.sets.add()
        });
        if let Some(first) = first {
            self.sets.join(first, number);
        }
        number
    }

    fn partitions(mut self, sources: &'a Sources, least: usize) -> Option<Vec<Partition<'a>>> {
        let roots: Vec<usize> = (0..self.names.len()).map(|number| self.sets.find(number)).collect();
        let mut counts = vec![0; self.names.len()];
        self.ends.iter().for_each(|&end| counts[roots[end]] += 1);
        // Small sets share a partition with their neighbours by name.
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_unstable_by_key(|&number| self.names[number]);
        let mut partition_of = vec![None; self.names.len()];
        let mut partitions: Vec<Partition<'a>> = Vec::new();
        let mut filled = least;
        for root in order.into_iter().map(|number| roots[number]).filter(|&root| counts[root] > 0) {
            if partition_of[root].is_some() {
                continue;
            }
            if filled >= least {
                partitions.push(Partition::new(self.policy, sources, Some(FxHashSet::default())));
                filled = 0;
            }
            partition_of[root] = Some(partitions.len() - 1);
            filled += counts[root];
        }
        let partition = |number: usize| partition_of[roots[number]];
        for (&number, (at, direction, _)) in self.ends.iter().zip(ends(self.policy)) {
            partitions[partition(number)?].members.push((at, direction));
        }
        for (at, number) in self.grants.iter().enumerate() {
            match number {
                None => partitions.iter_mut().for_each(|partition| partition.granted.push(GrantId::new(at))),
                // A grant for pods that no rule governs opens nothing, and is left out.
                Some(number) => partition(*number)
                    .into_iter()
                    .for_each(|partition| partitions[partition].granted.push(GrantId::new(at))),
            }
        }
        for (number, &name) in self.names.iter().enumerate() {
            if let Some(partition) = partition(number).and_then(|partition| partitions[partition].namespaces.as_mut()) {
                partition.insert(name);
            }
        }
        (partitions.len() > 1).then_some(partitions)
    }
}
