//! Denies, taken out of the terms that allows give. A NetworkPolicy only adds, so a deny for a part of a subject splits
//! the subject: the denied pods get the rest of the terms, the others all of them.
//!
//! ```netpol
//! allow ingress { b/*, c/* } -> a/*
//! deny ingress b/* -> a/{app=web}
//! ```
//!
//! The term of the allow moves from the object of all pods of `a` to two others:
//!
//! ```yaml
//! - { key: app, operator: NotIn, values: [web] }
//! kubernetes.io/metadata.name: b
//! kubernetes.io/metadata.name: c
//! app: web
//! kubernetes.io/metadata.name: c
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::denials::{ByPods, Denials};
use super::difference::{Denied, Left, subtract};
use super::drafts::{Drafts, Term};
use super::product::{Product, TooLarge};
use super::subjects::Subjects;
use crate::model::labels::{PodSelector, Requirements, joined};
use crate::model::port_list::PortList;
use crate::model::rules::{Action, Direction, RuleId};
use crate::targets::Kept;
use crate::targets::networkpolicy::model::{Cause, Peers, Subject};
use crate::targets::networkpolicy::view::View;

/// The most parts that a subject is split into.
const MOST_PARTS: usize = 1024;

/// The outcome of the denies of one direction.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The denies of which something was taken out.
    pub taken: FxHashSet<RuleId>,
    /// The denies of which something was not taken out, with the last reason.
    pub kept: FxHashMap<RuleId, Kept>,
    /// The denies that cannot be taken out because the objects would be too many.
    pub too_large: Option<TooLarge>,
}

/// The denies of one subject.
struct Group<'a> {
    subject: usize,
    denied: Vec<Denied<'a>>,
}

/// A part of a subject, with the groups of denies that govern it.
struct Cell {
    labels: Requirements,
    groups: Vec<usize>,
}

/// The share of a part of a subject; without a term the part is isolated and gets nothing.
type Added<'a> = (Subject<'a>, Option<Rc<Term<'a>>>);

/// The terms that are left of one subject's.
#[derive(Default)]
struct Split<'a> {
    /// The terms that all its pods keep.
    kept: Vec<Rc<Term<'a>>>,
    /// The terms that only parts of its pods get.
    moved: Vec<Added<'a>>,
    outcome: Outcome,
}

/// Takes the denies out of the drafts, and gives the pods that no rule isolates everything else.
pub fn take_out<'a>(view: View<'a>, subjects: &Subjects<'a>, mut drafts: Drafts<'a>) -> (Drafts<'a>, [Outcome; 2]) {
    let outcomes = Direction::BOTH.map(|direction| take_out_one_way(view, subjects, &mut drafts, direction));
    (drafts, outcomes)
}

fn take_out_one_way<'a>(
    view: View<'a>,
    subjects: &Subjects<'a>,
    drafts: &mut Drafts<'a>,
    direction: Direction,
) -> Outcome {
    let mut outcome = Outcome::default();
    let groups = groups(view, subjects, drafts, direction);
    if groups.is_empty() {
        return outcome;
    }
    let denying = Denials::new(groups.iter().map(|group| (drafts.subject(group.subject), group.denied.as_slice())));
    let isolated: Vec<usize> = drafts.isolated(direction).map(|(at, ..)| at).collect();
    let isolating = by_pods(isolated.iter().map(|&at| (at, drafts.subject(at))));
    let terms = isolated.iter().map(|&at| drafts.draft(at, direction).terms.len()).sum::<usize>();
    let product = Product::of(terms + groups.iter().map(|group| group.denied.len()).sum::<usize>());
    let deny = Deny { view, groups: &groups, denying, isolating, product };
    let mut added = Vec::new();
    for at in isolated {
        let subject = drafts.subject(at).clone();
        let terms = std::mem::take(&mut drafts.draft_mut(at, direction).terms);
        let split = deny.split(drafts, &subject, terms);
        drafts.draft_mut(at, direction).terms = split.kept;
        added.extend(split.moved);
        outcome.extend(split.outcome);
    }
    let (rest, of_rest) = deny.everything_else(drafts);
    added.extend(rest);
    outcome.extend(of_rest);
    if let Some(found) = deny.product.found.take() {
        // The message about the product is the only message about these denies.
        outcome.taken = groups.iter().flat_map(|group| &group.denied).map(|denied| denied.rule).collect();
        outcome.kept.clear();
        outcome.too_large = Some(found);
        return outcome;
    }
    for (subject, term) in added {
        let at = drafts.number(subject);
        let draft = drafts.draft_mut(at, direction);
        draft.isolated = true;
        draft.terms.extend(term);
    }
    outcome
}

/// Returns the denies of each subject.
fn groups<'a>(
    view: View<'a>,
    subjects: &Subjects<'a>,
    drafts: &mut Drafts<'a>,
    direction: Direction,
) -> Vec<Group<'a>> {
    let mut by_subject: BTreeMap<usize, Vec<Denied<'a>>> = BTreeMap::new();
    for ((at, of, rule), pods) in view.partition.ends().zip(&subjects.ends) {
        if rule.action != Action::Deny || of != direction {
            continue;
        }
        let denied = view.denied(at, rule, direction);
        for (member, pods) in pods.iter().enumerate() {
            let certain: Vec<usize> = pods.certain().iter().map(|pods| drafts.number(pods.clone())).collect();
            let of_member = denied.iter().filter(|(of, _)| of.is_none_or(|of| of == member));
            for (_, denied) in of_member {
                for &subject in &certain {
                    by_subject.entry(subject).or_default().push(denied.clone());
                }
            }
        }
    }
    by_subject.into_iter().map(|(subject, denied)| Group { subject, denied }).collect()
}

/// The denies of a direction.
struct Deny<'g, 'a> {
    view: View<'a>,
    groups: &'g [Group<'a>],
    /// The denies of all groups, each under the number of its group.
    denying: Denials<'g, 'a>,
    /// The isolated subjects.
    isolating: ByPods,
    product: Product,
}

impl<'a> Deny<'_, 'a> {
    /// Takes the denies out of the terms of one subject. A term that only a part of the subject's pods may keep moves
    /// to objects of the parts.
    fn split(&self, drafts: &Drafts<'a>, subject: &Subject<'a>, terms: Vec<Rc<Term<'a>>>) -> Split<'a> {
        let mut split = Split::default();
        let count = terms.len();
        for term in terms {
            let named = self.denying.meeting(subject, &term);
            if named.is_empty() || self.product.is_too_large() {
                split.kept.push(term);
                continue;
            }
            let affected: Vec<usize> = named.iter().map(|(group, _)| *group).collect();
            let whole = Cell { labels: subject.labels.clone().into_owned(), groups: Vec::new() };
            let (cells, outcome) = self.cells(drafts, vec![whole], &affected);
            split.outcome.extend(outcome);
            let denies = named.iter().flat_map(|(_, denied)| denied.iter().map(|denied| denied.rule));
            self.product.count(cells.len(), denies, count, &term.cause);
            for cell in cells {
                if self.product.is_too_large() {
                    break;
                }
                let (left, outcome) = match cell.groups.is_empty() {
                    true => (vec![Rc::clone(&term)], Outcome::default()),
                    false => {
                        let of_cell = named.iter().filter(|(group, _)| cell.groups.contains(group));
                        let denied: Vec<&Denied<'a>> = of_cell.flat_map(|(_, denied)| denied).copied().collect();
                        self.less(&term, &denied, count)
                    }
                };
                split.outcome.extend(outcome);
                if cell.labels == *subject.labels {
                    split.kept.extend(left);
                } else {
                    let part = Subject { namespace: subject.namespace, labels: Cow::Owned(cell.labels) };
                    split.moved.extend(left.into_iter().map(|term| (part.clone(), Some(term))));
                }
            }
        }
        split
    }

    /// Splits cells along the subjects of denies, and returns the subjects along which it could not.
    fn cells(&self, drafts: &Drafts<'a>, mut cells: Vec<Cell>, along: &[usize]) -> (Vec<Cell>, Outcome) {
        let mut outcome = Outcome::default();
        for &group in along {
            if cells.len() > MOST_PARTS {
                outcome.extend(Outcome::too_many(&self.groups[group]));
                continue;
            }
            let taken = pods(&drafts.subject(self.groups[group].subject).labels);
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
        (cells, outcome)
    }

    /// Returns the rest of a term, one of so many for the same pods, after some denies.
    fn less(&self, term: &Term<'a>, denied: &[&Denied<'a>], allows: usize) -> (Vec<Rc<Term<'a>>>, Outcome) {
        let most = self.product.most_parts();
        let Left { terms, taken, kept, too_many } = subtract(term, denied, &self.view.policy.pod_addresses, most);
        if too_many {
            let denies = denied.iter().map(|denied| denied.rule);
            self.product.count(most + 2, denies, allows, &term.cause);
        }
        let (taken, kept) = (taken.into_iter().collect(), kept.into_iter().collect());
        (terms, Outcome { taken, kept, too_large: None })
    }

    /// Returns objects for the denied pods that no rule isolates: they keep everything that is not denied.
    fn everything_else(&self, drafts: &Drafts<'a>) -> (Vec<Added<'a>>, Outcome) {
        let (mut added, mut outcome) = (Vec::new(), Outcome::default());
        for (at, group) in self.groups.iter().enumerate() {
            if self.product.is_too_large() {
                break;
            }
            let subject @ Subject { namespace, labels } = drafts.subject(group.subject);
            // If one rule isolates all of the pods, none is left open.
            if self.isolating.is_inside_one(subject) {
                continue;
            }
            let others = self.denying.pods().overlapping(subject);
            // Pods of several denies belong to the first, whose cells then know the later ones.
            let earlier = others.iter().filter(|&&other| other < at).map(|&other| self.groups[other].subject);
            let mut open = vec![pods(labels)];
            let taken: Vec<PodSelector> = self
                .isolating
                .overlapping(subject)
                .into_iter()
                .chain(earlier)
                .map(|subject| pods(&drafts.subject(subject).labels))
                .collect();
            for taken in joined(&taken) {
                open = open.iter().flat_map(|set| set.subtract(&taken)).collect();
                if open.len() > MOST_PARTS {
                    outcome.extend(Outcome::too_many(group));
                    open.clear();
                }
            }
            if open.is_empty() {
                continue;
            }
            let open = open.into_iter().map(|set| Cell { labels: set.labels, groups: vec![at] }).collect();
            let later: Vec<usize> = others.into_iter().filter(|&other| other > at).collect();
            let (cells, of_cells) = self.cells(drafts, open, &later);
            outcome.extend(of_cells);
            let first = group.denied.iter().map(|denied| denied.rule);
            self.product.count(cells.len(), first, 1, &Cause::Rest(Rc::default()));
            for cell in cells {
                if self.product.is_too_large() {
                    break;
                }
                let denied: Vec<&Denied<'a>> =
                    cell.groups.iter().flat_map(|&group| &self.groups[group].denied).collect();
                let mut rules: Vec<RuleId> = denied.iter().map(|denied| denied.rule).collect();
                rules.sort_unstable();
                rules.dedup();
                let cause = Cause::Rest(self.view.partition.first_of(&rules, usize::MAX));
                let everything = Term { peers: Rc::new(Peers::Everything), ports: PortList::All, cause };
                let (left, of_cell) = self.less(&everything, &denied, 1);
                outcome.extend(of_cell);
                // A cell that keeps everything needs no object.
                if left.iter().any(|left| *left.peers == Peers::Everything && left.ports == PortList::All) {
                    continue;
                }
                let part = Subject { namespace, labels: Cow::Owned(cell.labels) };
                if left.is_empty() {
                    added.push((part, None));
                } else {
                    added.extend(left.into_iter().map(|term| (part.clone(), Some(term))));
                }
            }
        }
        (added, outcome)
    }
}

impl Outcome {
    /// Returns the outcome that a subject would fall into too many parts.
    fn too_many(group: &Group<'_>) -> Outcome {
        let kept = group.denied.iter().map(|denied| (denied.rule, Kept::TooManyParts));
        Outcome { kept: kept.collect(), ..Outcome::default() }
    }

    /// Adds the outcome of later denies.
    fn extend(&mut self, later: Outcome) {
        self.taken.extend(later.taken);
        self.kept.extend(later.kept);
    }
}

/// Indexes subjects by their pods, each under a number of its own.
fn by_pods<'s, 'a: 's>(subjects: impl Iterator<Item = (usize, &'s Subject<'a>)>) -> ByPods {
    let mut index = ByPods::default();
    for (at, subject) in subjects {
        index.insert(subject, at);
    }
    index
}

fn pods(labels: &Requirements) -> PodSelector {
    PodSelector { labels: labels.clone(), ..PodSelector::any() }
}
