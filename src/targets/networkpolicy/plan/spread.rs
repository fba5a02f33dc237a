//! Waiting terms, given to the pods that some rule isolates: an object for the other pods would isolate them.
//!
//! ```netpol
//! default deny egress garden/*
//! @approximate("no inventory is at hand")
//! allow egress */{app=web} -> db/*:5432
//! ```
//!
//! No inventory names the namespaces of the allow. In `garden` pods are isolated, so those with `app=web` get its term:
//!
//! ```yaml
//! namespace: garden
//! app: web
//! kubernetes.io/metadata.name: db
//! ```
//!
//! A subject that contains all others of its namespace is the only one that is looked at.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use smol_str::SmolStr;

use super::drafts::Drafts;
use super::give::Waiting;
use crate::inventory::{Perhaps, Within};
use crate::model::labels::{PodSelector, Requirements};
use crate::model::rules::{Direction, RuleId};
use crate::policy::GrantReason;
use crate::targets::networkpolicy::model::{Cause, Subject};
use crate::targets::networkpolicy::view::View;
use crate::targets::{Traffic, Traffics};

/// The most givers that are remembered: pods that are inside all of them are not looked at further.
const MOST_GIVERS: usize = 4;

/// Pods that get a term which may be meant for others.
pub struct Shared<'a> {
    /// The direction.
    pub direction: Direction,
    /// Their namespace.
    pub namespace: &'a SmolStr,
    /// Their labels.
    pub labels: Requirements,
    /// For each kind of traffic, the pods that a term is meant for, with its rule.
    pub givers: Givers<'a>,
}

/// For each kind of traffic, some pods that a term is meant for, and the rule that means them.
pub type Givers<'a> = [SmallVec<[(&'a PodSelector, RuleId); 1]>; Traffic::ALL.len()];

/// The waiting terms, by the pods that they wait for.
type AllWaiting<'a> = FxHashMap<Perhaps<'a>, Vec<Waiting<'a>>>;

/// Gives the waiting terms to the isolated subjects, and returns the terms of pods that may not be meant.
pub fn spread<'a>(
    view: View<'a>,
    mut drafts: Drafts<'a>,
    waiting: [AllWaiting<'a>; 2],
) -> (Drafts<'a>, Vec<Shared<'a>>) {
    let mut shared = Vec::new();
    for (direction, waiting) in Direction::BOTH.into_iter().zip(waiting) {
        shared.extend(spread_one_way(view, &mut drafts, direction, waiting));
    }
    (drafts, shared)
}

fn spread_one_way<'a>(
    view: View<'a>,
    drafts: &mut Drafts<'a>,
    direction: Direction,
    waiting: AllWaiting<'a>,
) -> Vec<Shared<'a>> {
    let mut shared = Vec::new();
    if waiting.is_empty() {
        return shared;
    }
    let mut waiting: Vec<_> = waiting.into_iter().collect();
    waiting.sort_by(|(a, _), (b, _)| a.cmp(b));
    let isolated = widest_isolated(drafts, direction);
    let inventory = &view.policy.inventory;
    for (pods, terms) in waiting {
        let subjects: Vec<usize> = match pods.within {
            Within::Namespace(namespace) => isolated.get(namespace).into_iter().flatten().copied().collect(),
            Within::Meeting(required) => {
                let possible = |name: &&SmolStr| inventory.meets(name, required) != Some(false);
                isolated.iter().filter(|(name, _)| possible(name)).flat_map(|(_, list)| list).copied().collect()
            }
        };
        let givers = givers(view, &terms);
        for at in subjects {
            let Subject { namespace, labels: own } = drafts.subject(at).clone();
            let Some(labels) = own.intersect(&pods.labels) else { continue };
            let sure = match pods.within {
                Within::Namespace(_) => true,
                Within::Meeting(required) => inventory.meets(namespace, required) == Some(true),
            };
            if !(pods.all && sure) && givers.iter().any(|list| !list.is_empty()) {
                shared.push(Shared { direction, namespace, labels: labels.clone(), givers: givers.clone() });
            }
            let to = if labels == *own { at } else { drafts.number(Subject { namespace, labels: Cow::Owned(labels) }) };
            let draft = drafts.draft_mut(to, direction);
            draft.isolated = true;
            draft.terms.extend(terms.iter().map(|(term, _)| Rc::clone(term)));
        }
    }
    shared
}

/// Returns the isolated subjects of each namespace, or only the one of all its pods if there is one: a search for other
/// subjects that contain others would cost more than it saves.
fn widest_isolated<'a>(drafts: &Drafts<'a>, direction: Direction) -> BTreeMap<&'a SmolStr, Vec<usize>> {
    let mut isolated: BTreeMap<&'a SmolStr, Vec<usize>> = BTreeMap::new();
    for (at, subject, _) in drafts.isolated(direction) {
        isolated.entry(subject.namespace).or_default().push(at);
    }
    for list in isolated.values_mut() {
        if let Some(all) = list.iter().copied().find(|&at| drafts.subject(at).labels.is_any()) {
            *list = vec![all];
        }
    }
    isolated
}

/// Returns the pods that terms are meant for.
fn givers<'a>(view: View<'a>, terms: &[Waiting<'a>]) -> Givers<'a> {
    let mut givers = Givers::default();
    for (term, selector) in terms {
        let rule = match &term.cause {
            Cause::Rule(rule) => Some(*rule),
            Cause::Grant(at) => {
                let grant = view.policy.grant(*at).filter(|grant| grant.reason != GrantReason::Istiod);
                grant.and_then(|grant| grant.because.first().copied())
            }
            Cause::Rest(_) => None,
        };
        let Some(rule) = rule else { continue };
        for kind in Traffics::of_list(&term.ports, &view.policy.inventory.left_out).iter() {
            let list = &mut givers[kind as usize];
            if list.len() < MOST_GIVERS && list.iter().all(|(have, _)| have != selector) {
                list.push((selector, rule));
            }
        }
    }
    givers
}
