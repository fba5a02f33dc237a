//! What pods are let through along with others from which no labels tell them.
//!
//! `allow ingress garden/* -> lab/@good:8080` beside `default deny ingress lab/*`: nothing says which pods of `lab` run as
//! `good`, so that all of them get it. The allow is held, since the other rule isolates its pods; `default deny` is not.

use std::collections::BTreeMap;
use std::rc::Rc;

use smallvec::SmallVec;
use smol_str::SmolStr;

use super::model::{Cause, Term};
use super::plan::{Plan, side};
use crate::inventory::{Perhaps, Within};
use crate::model::labels::{PodSelector, Requirements};
use crate::model::rules::{Direction, Rule, RuleId};
use crate::policy::GrantReason;
use crate::targets::{Traffic, Traffics};

/// How many givers are remembered: who is inside all of them is not looked at further.
const MOST_GIVERS: usize = 4;

/// Pods that get something which may be meant for others.
pub(super) struct Given<'a> {
    /// Their namespace.
    pub(super) namespace: &'a SmolStr,
    /// Their labels.
    pub(super) labels: Requirements,
    /// For each kind of traffic, for whom it is meant and by which rule.
    pub(super) givers: Givers<'a>,
}

/// For each kind of traffic, some pods for which something is meant, and the rule that means them.
pub(super) type Givers<'a> = [SmallVec<[(&'a PodSelector, RuleId); 1]>; Traffic::ALL.len()];

/// Returns for whom terms are meant.
pub(super) fn givers<'a>(plan: &Plan<'a>, terms: &[(Rc<Term<'a>>, &'a PodSelector)]) -> Givers<'a> {
    let mut givers = Givers::default();
    for (term, selector) in terms {
        let rule = match &term.cause {
            Cause::Rule(rule) => Some(*rule),
            Cause::Grant(at) => {
                let grant = &plan.facts.policy.grants[at.index()];
                grant.because.first().copied().filter(|_| grant.reason != GrantReason::Istiod)
            }
            Cause::Rest(_) => None,
        };
        let Some(rule) = rule else { continue };
        for kind in term.ports.traffics(&plan.facts.policy.inventory.left_out).iter() {
            let list = &mut givers[kind as usize];
            if list.len() < MOST_GIVERS && list.iter().all(|(have, _)| have != selector) {
                list.push((selector, rule));
            }
        }
    }
    givers
}

/// Finds the rules whose pods get more than they allow, and those whose pods are isolated by no object.
pub(super) fn judge<'a>(plan: &mut Plan<'a>, direction: Direction, given: &[Given<'a>]) {
    let maybe = std::mem::take(&mut plan.maybe[side(direction)]);
    if maybe.is_empty() && given.is_empty() {
        return;
    }
    let mut isolated: BTreeMap<&'a SmolStr, Vec<usize>> = BTreeMap::new();
    for (at, sides) in plan.sides.iter().enumerate() {
        if !sides[side(direction)].isolated_by.is_empty() {
            isolated.entry(plan.scopes[at].namespace).or_default().push(at);
        }
    }
    for (wide, ends) in &maybe {
        let here = match wide.within {
            Within::Namespace(namespace) => isolated.get(namespace),
            Within::Meeting(_) => None,
        };
        let inside = |at: &&usize| pods(&wide.labels).is_inside(&[pods(&plan.scopes[**at].labels)]);
        if here.and_then(|list| list.iter().find(inside)).is_none() {
            ends.iter().for_each(|&end| plan.findings[end].uncovered = true);
        }
    }
    let rules: Vec<(RuleId, &'a Rule)> = plan.facts.part.ends().map(|(at, _, rule)| (at, rule)).collect();
    for one in given {
        let mut concerned: Vec<usize> = Vec::new();
        for &at in isolated.get(one.namespace).into_iter().flatten() {
            if plan.scopes[at].labels.overlaps(&one.labels) {
                let by = plan.sides[at][side(direction)].isolated_by.iter();
                concerned.extend(by.filter_map(|&rule| plan.facts.part.position(rule, direction)));
            }
        }
        for (wide, ends) in &maybe {
            if may_be_in(plan, wide, one.namespace) && wide.labels.overlaps(&one.labels) {
                concerned.extend(ends);
            }
        }
        concerned.sort_unstable();
        concerned.dedup();
        let here = PodSelector { labels: one.labels.clone(), ..PodSelector::in_namespace(one.namespace.clone()) };
        for end in concerned {
            let own = || rules[end].1.subject(direction).pods().map(|(_, pods)| &pods.selector);
            for kind in Traffic::ALL {
                let beside = |giver: &PodSelector| {
                    let inside = |pods: &PodSelector| pods == giver || pods.is_inside(std::slice::from_ref(giver));
                    own().any(|pods| !inside(pods) && pods.intersect(&here).is_some())
                };
                if let Some((_, rule)) = one.givers[kind as usize].iter().find(|(giver, _)| beside(giver)) {
                    let (_, kinds) = plan.findings[end].joined.get_or_insert((*rule, Traffics::default()));
                    *kinds = kinds.with(Traffics::only(kind));
                }
            }
        }
    }
}

fn may_be_in(plan: &Plan<'_>, wide: &Perhaps<'_>, namespace: &SmolStr) -> bool {
    match wide.within {
        Within::Namespace(name) => name == namespace,
        Within::Meeting(required) => plan.facts.policy.inventory.meets(namespace, required) != Some(false),
    }
}

fn pods(labels: &Requirements) -> PodSelector {
    PodSelector { labels: labels.clone(), ..PodSelector::any() }
}
