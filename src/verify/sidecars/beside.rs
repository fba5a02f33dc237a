//! The layer of rules (networkpolicy) beside Istio: a flow in excess must pass both layers.
//!
//! ```text
//! allow ingress shop/@curl -> garden/*        networkpolicy lets all of shop in, since no labels tell the account
//! allow ingress shop/{app=cart} -> garden/*   istio lets all of shop in, since it knows no labels
//!     shop/other -> garden/web                passes both
//! ```

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::is_seen;
use crate::flows::{Passing, Set, Terms};
use crate::model::rules::{Action, Direction, RuleId};
use crate::policy::Policy;
use crate::policy::meaning::Meaning;
use crate::targets::effective::{Instead, Stated};
use crate::targets::{Judgement, Level, Ruling, Traffic};
use crate::verify::direction_of;
use crate::verify::row::excess::other_names;

/// The rules of that layer.
pub(super) struct Beside<'a> {
    policy: &'a Policy,
    of: FxHashMap<(RuleId, Direction), &'a Judgement>,
    /// Its rules, by direction and by the namespace of their pods.
    stated: [FxHashMap<&'a SmolStr, Vec<&'a Stated>>; 2],
}

impl<'a> Beside<'a> {
    /// Takes the layer's rules, as far as they open flows that sidecars see.
    pub(super) fn new(policy: &'a Policy, ruling: &'a Ruling) -> Beside<'a> {
        let of = ruling.judgements.iter().map(|one| ((one.rule, one.direction), one)).collect();
        let mut stated: [FxHashMap<&SmolStr, Vec<&Stated>>; 2] = Default::default();
        for one in &ruling.effective.rules {
            let direction = direction_of(&one.rule);
            if let Instead::Grant(at) = &one.instead_of
                && policy.grant(*at).is_some_and(|grant| !is_seen(direction, grant.reason))
            {
                continue;
            }
            let pods = one.rule.subject(direction).pods();
            for name in pods.filter_map(|(_, pods)| pods.selector.namespace_name()) {
                stated[direction as usize].entry(name).or_default().push(one);
            }
        }
        Beside { policy, of, stated }
    }

    /// Adds the values of the rules for some namespaces to the values in play.
    pub(super) fn terms(&self, direction: Direction, names: &[Option<SmolStr>], terms: &mut Terms) {
        for stated in names.iter().flatten().flat_map(|name| self.of(direction, Some(name))) {
            terms.between(&stated.rule.source, &stated.rule.destination, &stated.rule.conditions);
        }
    }

    fn of(&self, direction: Direction, name: Option<&SmolStr>) -> &[&'a Stated] {
        name.and_then(|name| self.stated[direction as usize].get(name)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the flows that the layer lets through at the pods of a namespace.
    pub(super) fn passing(
        &self,
        meaning: &mut Meaning<'_>,
        direction: Direction,
        name: Option<&SmolStr>,
        place: u32,
    ) -> Passing {
        let [mut allowed, mut closed] = [const { Vec::new() }; 2];
        for stated in self.of(direction, name) {
            let isolates = stated.rule.action == Action::Isolate;
            let mut set = match isolates {
                true => meaning.governed(&stated.rule, direction),
                false => meaning.matched(&stated.rule, direction),
            };
            if let Instead::Rule(at) = &stated.instead_of
                && let Some(rule) = self.policy.rule(*at)
            {
                let others = other_names(meaning, direction, rule, set);
                set = meaning.flows().diagrams.minus(set, others);
            }
            let set = meaning.flows().with_place(set, true, place);
            if isolates { &mut closed } else { &mut allowed }.push(set);
        }
        let d = &mut meaning.flows().diagrams;
        Passing { allowed: d.union(allowed), closed: d.union(closed), denied: Set::NONE }
    }

    /// Returns whether the layer lets more TCP through than a rule end does.
    pub(super) fn is_wider(&self, at: RuleId, direction: Direction) -> bool {
        self.of.get(&(at, direction)).is_none_or(|one| one.levels.of(Traffic::Tcp) > Level::Exact)
    }
}
