//! A policy in parts that concern no pod in common, which are lowered side by side, each in little memory.
//!
//! What a layer makes of the pods of a namespace hangs on the rules and grants that govern pods of this namespace, and on
//! facts. So rules whose pods are in different namespaces belong to different parts; those that one rule governs, or that
//! a gateway links, to one. A rule for pods of namespaces that it does not name may meet any other, and there is one part.

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::components::Components;
use crate::policy::{Direction, Endpoint, Grant, GrantReason, NAMESPACE_NAME, PodSelector, Policy, Rule};

/// The governed ends of rules, and the grants, that a layer has to look at together.
pub(super) struct Part<'a> {
    /// The policy.
    pub(super) policy: &'a Policy,
    /// Rules with a direction that they govern, sorted.
    ends: Vec<(u32, Direction)>,
    grants: Vec<u32>,
    /// The namespaces of the pods; `None` where they are any.
    namespaces: Option<FxHashSet<&'a SmolStr>>,
}

impl<'a> Part<'a> {
    /// Makes the part that is the whole policy.
    pub(super) fn whole(policy: &'a Policy) -> Part<'a> {
        let ends = ends(policy).map(|(at, direction, _)| (at, direction)).collect();
        Part { policy, ends, grants: (0..policy.grants.len() as u32).collect(), namespaces: None }
    }

    /// Returns the governed ends, by rule and direction.
    pub(super) fn ends(&self) -> impl Iterator<Item = (u32, Direction, &'a Rule)> {
        self.ends.iter().map(|&(at, direction)| (at, direction, &self.policy.rules[at as usize]))
    }

    /// Returns the rules that govern pods of the part in a direction, each with its number.
    pub(super) fn rules(&self, direction: Direction) -> impl Iterator<Item = (u32, &'a Rule)> {
        self.ends().filter(move |(_, of, _)| *of == direction).map(|(at, _, rule)| (at, rule))
    }

    /// Returns the place of an end among the part's.
    pub(super) fn position(&self, rule: u32, direction: Direction) -> Option<usize> {
        self.ends.binary_search(&(rule, direction)).ok()
    }

    /// Returns the grants that may open pods of the part, each with its number.
    pub(super) fn grants(&self) -> impl Iterator<Item = (u32, &'a Grant)> {
        self.grants.iter().map(|&at| (at, &self.policy.grants[at as usize]))
    }

    /// Returns the namespaces of the inventory that may have pods of the part, sorted.
    pub(super) fn namespaces(&self) -> Vec<&'a SmolStr> {
        let known = &self.policy.inventory.namespaces;
        let Some(own) = &self.namespaces else { return known.keys().collect() };
        let mut list: Vec<_> = own.iter().filter_map(|name| known.get_key_value(*name)).map(|(name, _)| name).collect();
        list.sort_unstable();
        list
    }
}

/// Divides a policy into parts of at least `least` ends, the last one aside.
pub(super) fn divide(policy: &Policy, least: usize) -> Vec<Part<'_>> {
    let many = ends(policy).nth(least).is_some();
    many.then(|| Division::new(policy)?.parts(least)).flatten().unwrap_or_else(|| vec![Part::whole(policy)])
}

/// Returns each governed end of each rule.
fn ends(policy: &Policy) -> impl Iterator<Item = (u32, Direction, &Rule)> {
    policy.rules.iter().enumerate().flat_map(|(at, rule)| {
        let governed = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
        governed.map(move |direction| (at as u32, direction, rule))
    })
}

struct Division<'a> {
    policy: &'a Policy,
    numbers: FxHashMap<&'a SmolStr, usize>,
    names: Vec<&'a SmolStr>,
    sets: Components,
    /// For each end, one of its namespaces.
    ends: Vec<usize>,
    /// The same for the grants; `None` where it opens pods of every namespace.
    grants: Vec<Option<usize>>,
}

impl<'a> Division<'a> {
    /// Finds the namespaces that belong together; `None` where a rule does not name those of its pods.
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
            // Every pod with a sidecar may call istiod, if a rule isolates it.
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

    fn parts(mut self, least: usize) -> Option<Vec<Part<'a>>> {
        let roots: Vec<usize> = (0..self.names.len()).map(|number| self.sets.find(number)).collect();
        let mut counts = vec![0; self.names.len()];
        self.ends.iter().for_each(|&end| counts[roots[end]] += 1);
        // Small sets share a part, those that are neighbours by name.
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_unstable_by_key(|&number| self.names[number]);
        let mut part_of = vec![None; self.names.len()];
        let mut parts: Vec<Part<'a>> = Vec::new();
        let mut filled = least;
        for root in order.into_iter().map(|number| roots[number]).filter(|&root| counts[root] > 0) {
            if part_of[root].is_some() {
                continue;
            }
            if filled >= least {
                let (ends, grants, namespaces) = (Vec::new(), Vec::new(), Some(FxHashSet::default()));
                parts.push(Part { policy: self.policy, ends, grants, namespaces });
                filled = 0;
            }
            part_of[root] = Some(parts.len() - 1);
            filled += counts[root];
        }
        let part = |number: usize| part_of[roots[number]];
        for (&number, (at, direction, _)) in self.ends.iter().zip(ends(self.policy)) {
            parts[part(number)?].ends.push((at, direction));
        }
        for (at, number) in self.grants.iter().enumerate() {
            match number {
                None => parts.iter_mut().for_each(|part| part.grants.push(at as u32)),
                // A grant for pods that no rule governs opens nothing.
                Some(number) => part(*number).into_iter().for_each(|part| parts[part].grants.push(at as u32)),
            }
        }
        for (number, &name) in self.names.iter().enumerate() {
            if let Some(part) = part(number).and_then(|part| parts[part].namespaces.as_mut()) {
                part.insert(name);
            }
        }
        (parts.len() > 1).then_some(parts)
    }
}
