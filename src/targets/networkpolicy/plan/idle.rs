//! Denies for pods that no labels tell from others, to all of which nothing is open that is denied: nothing has to be
//! taken out, so it does not matter which of these pods are meant.
//!
//! ```text
//! allow egress garden/* -> db/*:5432
//! deny egress garden/@web -> 10.0.0.0/8     nothing says which pods these are, and none of `garden` may go there
//! ```

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use super::denials::Denials;
use super::difference::Denied;
use super::drafts::Drafts;
use super::shared::{all_with, isolated};
use super::subjects::Subjects;
use crate::inventory::Within;
use crate::model::rules::{Action, Direction, RuleId};
use crate::targets::networkpolicy::model::Subject;
use crate::targets::networkpolicy::view::View;

/// Returns the ends of such denies. The drafts must have all terms of allows and grants, and nothing taken out.
pub fn idle<'a>(view: View<'a>, subjects: &Subjects<'a>, drafts: &Drafts<'a>) -> BTreeSet<usize> {
    let mut idle = BTreeSet::new();
    for direction in Direction::BOTH {
        idle.extend(idle_one_way(view, subjects, drafts, direction));
    }
    idle
}

fn idle_one_way<'a>(
    view: View<'a>,
    subjects: &Subjects<'a>,
    drafts: &Drafts<'a>,
    direction: Direction,
) -> BTreeSet<usize> {
    let mut ends: BTreeMap<RuleId, usize> = BTreeMap::new();
    let mut denied: BTreeMap<Subject<'a>, Vec<Denied<'a>>> = BTreeMap::new();
    let isolated = isolated(drafts, direction);
    for (end, ((at, of, rule), pods)) in view.partition.ends().zip(&subjects.ends).enumerate() {
        let indistinct = pods.iter().any(|pods| pods.indistinct().is_some());
        if rule.action != Action::Deny || of != direction || !indistinct {
            continue;
        }
        let mut regions = Vec::new();
        let isolates = pods.iter().flat_map(|pods| pods.perhaps()).all(|pods| {
            let Within::Namespace(namespace) = pods.within else { return false };
            regions.push(Subject { namespace, labels: pods.labels.clone() });
            let inside = |at: &usize| all_with(&pods.labels).is_inside(&[all_with(&drafts.subject(*at).labels)]);
            isolated.get(namespace).is_some_and(|list| list.iter().any(inside))
        });
        if isolates && !regions.is_empty() {
            ends.insert(at, end);
            let parts: Vec<Denied<'a>> = view.denied(at, rule, direction).into_iter().map(|(_, part)| part).collect();
            for region in regions {
                denied.entry(region).or_default().extend(parts.iter().cloned());
            }
        }
    }
    let denials = Denials::new(denied.iter().map(|(subject, denied)| (subject, denied.as_slice())));
    let mut open: FxHashSet<RuleId> = FxHashSet::default();
    if !ends.is_empty() {
        for (_, subject, draft) in drafts.isolated(direction) {
            for term in &draft.terms {
                let met = denials.meeting(subject, term).into_iter().flat_map(|(_, list)| list);
                open.extend(met.map(|denied| denied.rule));
            }
        }
    }
    ends.into_iter().filter(|(rule, _)| !open.contains(rule)).map(|(_, end)| end).collect()
}
