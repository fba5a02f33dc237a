//! Waypoints: rules about pods behind one, which no layer here enforces.
//!
//! ```text
//! allow ingress shop/* -> shop/web        lab/cli -> the waypoint's pod in shop -> shop/web
//! ```
//!
//! NetworkPolicies and AuthorizationPolicies of `shop/web` see the waypoint's address and identity, whoever calls. A
//! layer would let everybody in by such a rule, and nobody by one that names `lab`.

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::ambient::KnownPods;
use super::{Level, Lowered, Traffic, Traffics, Why};
use crate::model::endpoint::What;
use crate::model::labels::PodSelector;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::Policy;
use crate::settings::Layer;

/// Marks the ends of rules that are about pods behind a waypoint as wider on every layer, and returns the rules.
pub(super) fn mark(policy: &Policy, layers: &mut [(Layer, Lowered)]) -> FxHashSet<RuleId> {
    let mut marked = FxHashSet::default();
    if !policy.inventory.has_waypoints() {
        return marked;
    }
    let mut look = Look { policy, before: FxHashMap::default(), callers: FxHashMap::default() };
    for (at, rule) in policy.numbered().filter(|(_, rule)| rule.action != Action::Isolate && rule.via.is_none()) {
        for direction in Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction)) {
            if let Some(waypoint) = look.end(rule, direction) {
                raise(layers, at, direction, &Why::Waypoint(waypoint));
                marked.insert(at);
            }
        }
    }
    marked
}

/// Makes a rule end wider on every layer, for a reason.
pub(super) fn raise(layers: &mut [(Layer, Lowered)], rule: RuleId, direction: Direction, why: &Why) {
    let tcp: Traffics = Traffic::ALL.into_iter().filter(|kind| *kind != Traffic::Datagrams).collect();
    for (_, lowered) in layers {
        let first = lowered.judgements.partition_point(|judgement| judgement.rule < rule);
        let mut own = lowered.judgements[first..].iter_mut().take_while(|judgement| judgement.rule == rule);
        let Some(judgement) = own.find(|judgement| judgement.direction == direction) else { continue };
        judgement.level = judgement.level.max(Level::Wider);
        judgement.levels.raise(tcp, Level::Wider);
        judgement.but_conditions.raise(tcp, Level::Wider);
        (judgement.reason, judgement.but_reason) = (why.clone(), why.clone());
    }
}

struct Look<'a> {
    policy: &'a Policy,
    before: FxHashMap<&'a PodSelector, Option<SmolStr>>,
    callers: FxHashMap<&'a PodSelector, bool>,
}

impl<'a> Look<'a> {
    /// Returns the waypoint that one end of a rule does not see through.
    fn end(&mut self, rule: &'a Rule, direction: Direction) -> Option<SmolStr> {
        let policy = self.policy;
        let (waypoint, _) = rule.destination.members.iter().find_map(|member| {
            let waypoint = match &member.what {
                What::Pods(pods) => {
                    let selector = &pods.selector;
                    let before = || policy.inventory.waypoint_before(selector);
                    let found = self.before.entry(selector).or_insert_with(before).clone()?;
                    // On the way out whoever names all pods around the waypoint names the waypoint too.
                    let home = found.split('/').next().unwrap_or_default();
                    let whole = selector.all_pods() && selector.namespace_name().is_none_or(|name| name == home);
                    (direction == Direction::Ingress || !whole).then_some(found)?
                }
                What::Host(host) if direction == Direction::Egress => {
                    policy.inventory.waypoint_before_host(&host.name)?
                }
                What::Host(_) | What::Addresses(_) => return None,
            };
            Some((waypoint, member))
        })?;
        let everybody = || rule.source.pods().any(|(_, pods)| pods.selector.is_any());
        if rule.action == Action::Allow && direction == Direction::Ingress && rule.conditions.is_none() && everybody() {
            return None;
        }
        let home = waypoint.split('/').next().unwrap_or_default();
        let may_use = |pods: &'a PodSelector, look: &mut Look<'a>| {
            let near = policy.inventory.meets(home, &pods.namespace) != Some(false);
            near && direction == Direction::Ingress
                || *look.callers.entry(pods).or_insert_with(|| KnownPods::of(policy, pods).may_tunnel())
        };
        rule.source.pods().any(|(_, pods)| may_use(&pods.selector, self)).then_some(waypoint)
    }
}
