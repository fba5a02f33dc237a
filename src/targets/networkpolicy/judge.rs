//! Judgements of NetworkPolicy for each rule end, from what the passes found: findings become gaps, and gaps a
//! judgement.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443    wider: any public address :443
//! ```

use rustc_hash::FxHashSet;

use super::model::{Cause, Peer, Peers};
use super::plan::{Plan, SubjectPods};
use super::view::View;
use crate::model::endpoint::{Member, What};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::settings::Layer;
use crate::source::Sources;
use crate::targets::capability::{self, Ability};
use crate::targets::gap::Gap;
use crate::targets::{Judgement, Level, Traffics, Why};

/// Returns a judgement for each end of the partition.
pub(super) fn judge(view: View<'_>, plan: &Plan<'_>, sources: &Sources) -> Vec<Judgement> {
    // Where denies are taken out, the addresses around a host may all be gone.
    let open = plan.found.is_any_taken().then(|| with_addresses(plan));
    let mut wider = plan.found.wider.as_slice();
    let ends = view.partition.ends().zip(&plan.ends).enumerate();
    ends.map(|(end, ((at, direction, rule), pods))| {
        let own = wider.iter().take_while(|(of, _)| *of == end).count();
        let (of_end, rest) = wider.split_at(own);
        wider = rest;
        let gone = direction == Direction::Egress && open.as_ref().is_some_and(|open| !open.contains(&at));
        let wider = of_end.iter().map(|(_, gap)| gap).filter(|gap| !(gone && matches!(gap.why, Why::OtherHosts(_))));
        let gaps = match rule.action {
            Action::Deny => of_deny(view, plan, (at, direction, rule), pods),
            _ => of_isolating(view, plan, sources, (end, direction, rule), pods, wider),
        };
        let only_way = rule.via.is_some() && direction == Direction::Egress && gaps.len() == 1;
        let mut judgement = Judgement::with_gaps(at, direction, gaps);
        if judgement.reason.is_nothing() && by_source(rule, direction) {
            judgement.reason = Why::PacketSource;
        }
        judgement.at_gateway.other_ways = only_way;
        judgement
    })
    .collect()
}

/// Returns the rules that let some addresses through on the way out.
fn with_addresses(plan: &Plan<'_>) -> FxHashSet<RuleId> {
    let terms = plan.drafts.isolated(Direction::Egress).flat_map(|(.., draft)| &draft.terms);
    let open = terms.filter_map(|term| match (&term.cause, &*term.peers) {
        (Cause::Rule(rule), Peers::Some(peers)) => {
            peers.as_slice().iter().any(|peer| matches!(peer, Peer::Block(_))).then_some(*rule)
        }
        (Cause::Rule(rule), Peers::Everything) => Some(*rule),
        _ => None,
    });
    open.collect()
}

/// Returns the gaps of one end of a deny.
fn of_deny(
    view: View<'_>,
    plan: &Plan<'_>,
    (at, direction, rule): (RuleId, Direction, &Rule),
    pods: &SubjectPods<'_>,
) -> Vec<Gap> {
    let left_out = &view.policy.inventory.left_out;
    let named = Traffics::named(rule, left_out);
    let indistinct = pods.iter().find_map(|pods| pods.indistinct());
    let indistinct = indistinct.map(|why| (named, partly(is_selected(pods)), Why::Indistinct(Box::new(why.clone()))));
    let kept = plan.found.kept(at, direction);
    let kept = kept.map(|kept| (named, partly(plan.found.is_taken(at, direction)), Why::Kept(kept)));
    let icmp = rule.names_icmp().then(|| {
        let others = !rule.destination.members.iter().all(|member| Traffics::of(&member.ports, left_out).is_empty());
        (Traffics::default(), partly(others), Why::Icmp)
    });
    indistinct.into_iter().chain(kept).chain(icmp).map(|(on, level, why)| Gap { on, level, why }).collect()
}

/// Returns the gaps of one end of an allow or of `default deny`.
fn of_isolating<'g>(
    view: View<'_>,
    plan: &Plan<'_>,
    sources: &Sources,
    (end, direction, rule): (usize, Direction, &Rule),
    pods: &SubjectPods<'_>,
    wider: impl Iterator<Item = &'g Gap>,
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let named = Traffics::named(rule, &view.policy.inventory.left_out);
    let indistinct = pods.iter().find_map(|pods| pods.indistinct()).filter(|_| plan.found.uncovered.contains(&end));
    if let Some(why) = indistinct {
        let level = partly(is_selected(pods));
        gaps.push(Gap { on: Traffics::ALL, level, why: Why::Indistinct(Box::new(why.clone())) });
    }
    if rule.via.is_some() {
        let why = match direction {
            Direction::Egress => Why::OtherHostsOfGateway,
            Direction::Ingress => Why::OtherClientsOfGateway,
        };
        gaps.push(Gap { on: named, level: Level::Wider, why });
    }
    gaps.extend(wider.cloned());
    if let Some((giver, on)) = plan.found.shared.get(&end) {
        let place = view.policy.rule(*giver).map(|giver| sources.place(giver.origin.span)).unwrap_or_default();
        gaps.push(Gap { on: *on, level: Level::Wider, why: Why::SharedWith(place.into()) });
    }
    let unseen = |asked: &Ability| !capability::of(Layer::NetworkPolicy).judges(*asked, direction);
    if let Some(asked) = Ability::by(&rule.conditions).find(unseen) {
        gaps.push(Gap { on: named, level: Level::Unable, why: Why::Unseen(asked) });
    }
    gaps
}

fn partly(some: bool) -> Level {
    if some { Level::Wider } else { Level::Unable }
}

fn is_selected(pods: &SubjectPods<'_>) -> bool {
    pods.iter().any(|pods| !pods.certain().is_empty())
}

/// Returns whether a rule end goes by the addresses that packets come from.
fn by_source(rule: &Rule, direction: Direction) -> bool {
    let addresses = |member: &Member| matches!(member.what, What::Addresses(_));
    direction == Direction::Ingress && rule.action == Action::Allow && rule.source.members.iter().any(addresses)
}
