//! Rule ends that no labels tell from others: no object may isolate their pods, or their pods may get the terms of
//! other rules.
//!
//! ```netpol
//! @approximate("all of lab may be called")
//! default deny ingress lab/*
//! allow ingress garden/* -> lab/@good:8080
//! ```
//!
//! Nothing says which pods of `lab` run as `good`, so all of them get the term. The allow is enforced, since the other
//! rule isolates its pods; `default deny` is not.
//!
//! ```yaml
//! podSelector: {}
//! - { protocol: TCP, port: 8080 }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::drafts::Drafts;
use super::spread::Shared;
use super::subjects::Subjects;
use crate::inventory::{Perhaps, Within};
use crate::model::labels::{PodSelector, Requirements};
use crate::model::rules::{Action, Direction, RuleId};
use crate::targets::networkpolicy::view::View;
use crate::targets::{Traffic, Traffics};

/// A rule whose term the pods of another rule end get, and the traffic of the term.
pub type SharedWith = (RuleId, Traffics);

/// Rule ends that only perhaps mean some pods, by those pods.
type EndsByPods<'s, 'a> = FxHashMap<&'s Perhaps<'a>, Vec<usize>>;

/// Returns the rule ends that may mean pods which no object isolates.
pub fn uncovered<'a>(view: View<'a>, subjects: &Subjects<'a>, drafts: &Drafts<'a>) -> BTreeSet<usize> {
    let mut uncovered = BTreeSet::new();
    for direction in Direction::BOTH {
        let perhaps = perhaps(view, subjects, direction);
        if perhaps.is_empty() {
            continue;
        }
        let isolated = isolated(drafts, direction);
        for (pods, ends) in perhaps {
            let here = match pods.within {
                Within::Namespace(namespace) => isolated.get(namespace),
                Within::Meeting(_) => None,
            };
            let inside = |at: &&usize| all_with(&pods.labels).is_inside(&[all_with(&drafts.subject(**at).labels)]);
            if here.and_then(|list| list.iter().find(inside)).is_none() {
                uncovered.extend(ends);
            }
        }
    }
    uncovered
}

/// Returns the rule ends whose pods get more than their rules allow, each with the first rule that gives it.
pub fn shared<'a>(
    view: View<'a>,
    subjects: &Subjects<'a>,
    drafts: &Drafts<'a>,
    all: &[Shared<'a>],
) -> BTreeMap<usize, SharedWith> {
    let mut found = BTreeMap::new();
    for direction in Direction::BOTH {
        let mut all = all.iter().filter(|one| one.direction == direction).peekable();
        if all.peek().is_some() {
            let perhaps = perhaps(view, subjects, direction);
            let isolated = isolated(drafts, direction);
            for (end, giver, kind) in all.flat_map(|one| share(view, drafts, &perhaps, &isolated, one)) {
                let (_, kinds) = found.entry(end).or_insert((giver, Traffics::default()));
                *kinds = kinds.with(Traffics::only(kind));
            }
        }
    }
    found
}

/// Returns the rule ends that get a shared term, each with the rule that gives it and the traffic.
fn share<'a>(
    view: View<'a>,
    drafts: &Drafts<'a>,
    perhaps: &EndsByPods<'_, 'a>,
    isolated: &BTreeMap<&'a SmolStr, Vec<usize>>,
    one: &Shared<'a>,
) -> Vec<(usize, RuleId, Traffic)> {
    let mut found = Vec::new();
    let direction = one.direction;
    let mut concerned: BTreeSet<usize> = BTreeSet::new();
    for &at in isolated.get(one.namespace).into_iter().flatten() {
        if drafts.subject(at).labels.overlaps(&one.labels) {
            let by = drafts.draft(at, direction).isolated_by.iter();
            concerned.extend(by.filter_map(|&rule| view.partition.position(rule, direction)));
        }
    }
    for (pods, ends) in perhaps {
        let here = match pods.within {
            Within::Namespace(name) => name == one.namespace,
            Within::Meeting(required) => view.policy.inventory.meets(one.namespace, required) != Some(false),
        };
        if here && pods.labels.overlaps(&one.labels) {
            concerned.extend(ends);
        }
    }
    let here = PodSelector { labels: one.labels.clone(), ..PodSelector::in_namespace(one.namespace.clone()) };
    for end in concerned {
        let Some((_, _, rule)) = view.partition.end(end) else { continue };
        let own = || rule.subject(direction).pods().map(|(_, pods)| &pods.selector);
        for kind in Traffic::ALL {
            let beside = |giver: &PodSelector| {
                let inside = |pods: &PodSelector| pods == giver || pods.is_inside(std::slice::from_ref(giver));
                own().any(|pods| !inside(pods) && pods.intersect(&here).is_some())
            };
            if let Some((_, giver)) = one.givers[kind as usize].iter().find(|(giver, _)| beside(giver)) {
                found.push((end, *giver, kind));
            }
        }
    }
    found
}

/// Returns the ends of isolating rules in a direction, by the pods that they perhaps mean.
fn perhaps<'s, 'a>(view: View<'a>, subjects: &'s Subjects<'a>, direction: Direction) -> EndsByPods<'s, 'a> {
    let mut perhaps = EndsByPods::default();
    for (end, ((_, of, rule), pods)) in view.partition.ends().zip(&subjects.ends).enumerate() {
        if of == direction && rule.action != Action::Deny {
            for pods in pods.iter().flat_map(|pods| pods.perhaps()) {
                perhaps.entry(pods).or_default().push(end);
            }
        }
    }
    perhaps
}

/// Returns the subjects of each namespace that rules isolate.
pub(super) fn isolated<'a>(drafts: &Drafts<'a>, direction: Direction) -> BTreeMap<&'a SmolStr, Vec<usize>> {
    let mut isolated: BTreeMap<&'a SmolStr, Vec<usize>> = BTreeMap::new();
    for (at, subject, draft) in drafts.isolated(direction) {
        if !draft.isolated_by.is_empty() {
            isolated.entry(subject.namespace).or_default().push(at);
        }
    }
    isolated
}

/// Returns all pods with some labels, of any namespace.
pub(super) fn all_with(labels: &Requirements) -> PodSelector {
    PodSelector { labels: labels.clone(), ..PodSelector::any() }
}
