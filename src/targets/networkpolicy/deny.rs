//! Deny rules by difference. Objects only ever add, so that what is denied to a part of a subject is taken out by
//! splitting the subject: the denied pods get what is left, the others all.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::model::{Cause, Peers, Scope, Term};
use super::plan::{Plan, side};
use super::ports::PortList;
use super::terms::{Denied, overlaps, subtract};
use crate::model::labels::{PodSelector, Requirements, Test, joined};
use crate::model::rules::{Action, Direction, RuleId};
use crate::targets::Kept;

/// Into how many parts a subject is split at most.
const MOST_PARTS: usize = 1024;

/// The deny rules of one subject.
struct Group<'a> {
    scope: usize,
    denied: Vec<Denied<'a>>,
}

/// A part of a subject, with the groups of deny rules that govern it.
struct Cell {
    labels: Requirements,
    groups: Vec<usize>,
}

/// Takes the deny rules of a direction out of what the plan lets through, and gives the pods that nothing isolates
/// everything else.
pub(super) fn apply(plan: &mut Plan<'_>, direction: Direction) {
    let groups = groups(plan, direction);
    if groups.is_empty() {
        return;
    }
    let denying = by_labels(plan, groups.iter().enumerate().map(|(at, group)| (at, group.scope)));
    let isolated: Vec<usize> = (0..plan.scopes.len()).filter(|&at| plan.sides[at][side(direction)].isolated).collect();
    let mut added = Vec::new();
    for &at in &isolated {
        let Some(index) = denying.get(plan.scopes[at].namespace) else { continue };
        let relevant = index.overlapping(&plan.scopes[at].labels);
        if !relevant.is_empty() {
            split_terms(plan, direction, at, &relevant, &groups, &mut added);
        }
    }
    let rest = everything_else(plan, direction, &isolated, &groups, &denying);
    for (scope, term) in added.into_iter().chain(rest) {
        let at = plan.scope(scope);
        let side = &mut plan.sides[at][side(direction)];
        side.isolated = true;
        side.terms.extend(term);
    }
}

fn groups<'a>(plan: &mut Plan<'a>, direction: Direction) -> Vec<Group<'a>> {
    let mut by_scope: BTreeMap<usize, Vec<Denied<'a>>> = BTreeMap::new();
    for (end, (at, of, rule)) in plan.facts.part.ends().enumerate() {
        if rule.action != Action::Deny || of != direction {
            continue;
        }
        let denied = plan.facts.denied(at, rule, direction);
        for (member, (_, pods)) in rule.subject(direction).pods().enumerate() {
            let expanded = plan.expand(end, &pods.selector);
            let of_member = denied.iter().filter(|(of, _)| of.is_none_or(|of| of == member));
            for (_, denied) in of_member {
                for &scope in &expanded.scopes {
                    by_scope.entry(scope).or_default().push(denied.clone());
                }
            }
        }
    }
    by_scope.into_iter().map(|(scope, denied)| Group { scope, denied }).collect()
}

/// Takes what is denied out of the terms of one subject. A term that only a part of the subject's pods may keep moves to
/// objects of the parts.
fn split_terms<'a>(
    plan: &mut Plan<'a>,
    direction: Direction,
    at: usize,
    relevant: &[usize],
    groups: &[Group<'a>],
    added: &mut Vec<(Scope<'a>, Option<Rc<Term<'a>>>)>,
) {
    let scope = plan.scopes[at].clone();
    let terms = std::mem::take(&mut plan.sides[at][side(direction)].terms);
    let mut kept = Vec::with_capacity(terms.len());
    for term in terms {
        let affected: Vec<usize> = relevant
            .iter()
            .copied()
            .filter(|&group| groups[group].denied.iter().any(|denied| overlaps(&term, denied)))
            .collect();
        if affected.is_empty() {
            kept.push(term);
            continue;
        }
        let cells = cells(
            plan,
            direction,
            vec![Cell { labels: scope.labels.clone().into_owned(), groups: Vec::new() }],
            &affected,
            groups,
        );
        for cell in cells {
            let left = if cell.groups.is_empty() {
                vec![Rc::clone(&term)]
            } else {
                less(plan, direction, &term, &cell, groups)
            };
            if cell.labels == *scope.labels {
                kept.extend(left);
            } else {
                let part = Scope { namespace: scope.namespace, labels: Cow::Owned(cell.labels) };
                added.extend(left.into_iter().map(|term| (part.clone(), Some(term))));
            }
        }
    }
    plan.sides[at][side(direction)].terms = kept;
}

/// Splits cells along the subjects of deny rules.
fn cells(
    plan: &mut Plan<'_>,
    direction: Direction,
    mut cells: Vec<Cell>,
    along: &[usize],
    groups: &[Group<'_>],
) -> Vec<Cell> {
    for &group in along {
        if cells.len() > MOST_PARTS {
            leak(plan, direction, &groups[group].denied, Kept::TooManyParts);
            continue;
        }
        let taken = pods(&plan.scopes[groups[group].scope].labels);
        let mut next = Vec::with_capacity(cells.len() + 1);
        for cell in cells {
            let whole = pods(&cell.labels);
            let Some(inside) = whole.intersect(&taken) else {
                next.push(cell);
                continue;
            };
            let outside = whole.subtract(&taken);
            next.extend(outside.into_iter().map(|set| Cell { labels: set.labels, groups: cell.groups.clone() }));
            let mut all = cell.groups;
            all.push(group);
            next.push(Cell { labels: inside.labels, groups: all });
        }
        cells = next;
    }
    cells
}

/// Returns what the deny rules of a cell leave of a term, and notes what they took and what they could not take.
fn less<'a>(
    plan: &mut Plan<'a>,
    direction: Direction,
    term: &Term<'a>,
    cell: &Cell,
    groups: &[Group<'a>],
) -> Vec<Rc<Term<'a>>> {
    let denied: Vec<&Denied<'a>> = cell.groups.iter().flat_map(|&group| &groups[group].denied).collect();
    let left = subtract(term, &denied, &plan.facts.policy.pod_addresses);
    for rule in left.taken {
        plan.finding(rule, direction).into_iter().for_each(|finding| finding.taken = true);
    }
    for (rule, why) in left.leaks {
        plan.finding(rule, direction).into_iter().for_each(|finding| finding.leak = Some(why));
    }
    left.terms
}

fn leak(plan: &mut Plan<'_>, direction: Direction, denied: &[Denied<'_>], why: Kept) {
    for one in denied {
        plan.finding(one.rule, direction).into_iter().for_each(|finding| finding.leak = Some(why));
    }
}

/// Returns objects for the pods of deny rules that nothing isolates: they keep everything but what is denied.
fn everything_else<'a>(
    plan: &mut Plan<'a>,
    direction: Direction,
    isolated: &[usize],
    groups: &[Group<'a>],
    denying: &FxHashMap<SmolStr, ByLabels>,
) -> Vec<(Scope<'a>, Option<Rc<Term<'a>>>)> {
    let isolating = by_labels(plan, isolated.iter().map(|&at| (at, at)));
    let mut added = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let Scope { namespace, labels } = plan.scopes[group.scope].clone();
        let overlapping = |index: &FxHashMap<SmolStr, ByLabels>| {
            index.get(namespace).map(|index| index.overlapping(&labels)).unwrap_or_default()
        };
        let others = overlapping(denying);
        // Pods of several deny rules belong to the first, and its cells then know the later ones.
        let earlier = others.iter().filter(|&&other| other < at).map(|&other| groups[other].scope);
        let mut open = vec![pods(&labels)];
        let taken: Vec<PodSelector> =
            overlapping(&isolating).into_iter().chain(earlier).map(|scope| pods(&plan.scopes[scope].labels)).collect();
        for taken in joined(&taken) {
            open = open.iter().flat_map(|set| set.subtract(&taken)).collect();
            if open.len() > MOST_PARTS {
                leak(plan, direction, &group.denied, Kept::TooManyParts);
                open.clear();
            }
        }
        if open.is_empty() {
            continue;
        }
        let open = open.into_iter().map(|set| Cell { labels: set.labels, groups: vec![at] }).collect();
        let later: Vec<usize> = others.into_iter().filter(|&other| other > at).collect();
        for cell in cells(plan, direction, open, &later, groups) {
            let mut rules: Vec<RuleId> =
                cell.groups.iter().flat_map(|&group| groups[group].denied.iter().map(|denied| denied.rule)).collect();
            rules.sort_unstable();
            rules.dedup();
            let cause = Cause::Rest(plan.facts.part.first_of(&rules, usize::MAX));
            let everything = Term { peers: Rc::new(Peers::Everything), ports: PortList::All, cause };
            let left = less(plan, direction, &everything, &cell, groups);
            // Where nothing could be taken out there is no object.
            if left.iter().any(|left| *left.peers == Peers::Everything && left.ports == PortList::All) {
                continue;
            }
            let scope = Scope { namespace, labels: Cow::Owned(cell.labels) };
            if left.is_empty() {
                added.push((scope, None));
            } else {
                added.extend(left.into_iter().map(|term| (scope.clone(), Some(term))));
            }
        }
    }
    added
}

/// Indexes subjects by namespace and labels, each under a number of its own.
fn by_labels(plan: &Plan<'_>, scopes: impl Iterator<Item = (usize, usize)>) -> FxHashMap<SmolStr, ByLabels> {
    let mut index: FxHashMap<SmolStr, ByLabels> = FxHashMap::default();
    for (at, scope) in scopes {
        let scope = &plan.scopes[scope];
        index.entry(scope.namespace.clone()).or_default().insert(&scope.labels, at);
    }
    index
}

fn pods(labels: &Requirements) -> PodSelector {
    PodSelector { labels: labels.clone(), ..PodSelector::any() }
}

/// Sets of labels of one namespace, found by those that may share a pod with others.
#[derive(Default)]
struct ByLabels {
    /// Those with a list of values for some key, by key and value.
    keyed: BTreeMap<SmolStr, BTreeMap<SmolStr, Vec<usize>>>,
    /// The others.
    open: Vec<usize>,
    all: FxHashMap<usize, Requirements>,
}

impl ByLabels {
    fn insert(&mut self, labels: &Requirements, at: usize) {
        self.all.insert(at, labels.clone());
        let listed = labels.list().iter().find_map(|requirement| match &requirement.test {
            Test::In(values) => Some((&requirement.key, values)),
            _ => None,
        });
        match listed {
            Some((key, values)) => {
                let by_value = self.keyed.entry(key.clone()).or_default();
                for value in values {
                    by_value.entry(value.clone()).or_default().push(at);
                }
            }
            None => self.open.push(at),
        }
    }

    /// Returns those that share a pod with some labels, in the order of their numbers.
    fn overlapping(&self, labels: &Requirements) -> Vec<usize> {
        let mut found = self.open.clone();
        for (key, by_value) in &self.keyed {
            match labels.values(key) {
                Some(values) => found.extend(values.iter().filter_map(|value| by_value.get(value)).flatten()),
                None => found.extend(by_value.values().flatten()),
            }
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|at| self.all.get(at).is_some_and(|have| have.intersect(labels).is_some()));
        found
    }
}
