//! Judgements of NetworkPolicy for each rule end: the findings of the passes become gaps, and the gaps a judgement.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443    wider: any public address :443
//! ```

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::model::{Cause, Peer, Peers};
use super::plan::{Plan, SubjectPods};
use super::view::View;
use crate::model::endpoint::{Member, What};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::settings::Layer;
use crate::source::Sources;
use crate::targets::capability::{self, Ability};
use crate::targets::gap::Gap;
use crate::targets::{Judgement, Level, Traffic, Traffics, Why};

/// Returns a judgement for each end of the partition.
pub(super) fn judge(view: View<'_>, plan: &Plan<'_>, sources: &Sources) -> Vec<Judgement> {
    // If flows of denies are taken out, a rule to a host may have no addresses left.
    let open = plan.found.is_any_taken().then(|| with_addresses(plan));
    let led_out = LedOut::new(view);
    let mut wider = plan.found.wider.as_slice();
    let ends = view.partition.ends().zip(&plan.ends).enumerate();
    ends.map(|(end, ((at, direction, rule), pods))| {
        let own = wider.iter().take_while(|(of, _)| *of == end).count();
        let (of_end, rest) = wider.split_at(own);
        wider = rest;
        let gone = direction == Direction::Egress && open.as_ref().is_some_and(|open| !open.contains(&at));
        let wider = of_end.iter().map(|(_, gap)| gap).filter(|gap| !(gone && matches!(gap.why, Why::OtherHosts(_))));
        let gaps = match rule.action {
            Action::Deny => of_deny(view, plan, &led_out, (end, at, direction, rule), pods),
            _ => of_isolating(view, plan, sources, (end, direction, rule), pods, wider),
        };
        let by_gateway = match rule.action {
            Action::Deny => gaps.iter().all(|gap| matches!(gap.why, Why::LedOutBy(_))),
            Action::Allow | Action::Isolate => rule.via.is_some(),
        };
        let only_way = by_gateway && direction == Direction::Egress && gaps.len() == 1;
        let mut judgement = Judgement::with_gaps(at, direction, gaps);
        if judgement.reason.is_nothing() && by_source(rule, direction) {
            judgement.reason = Why::PacketSource;
        }
        judgement.at_gateway.other_ways = only_way;
        judgement
    })
    .collect()
}

/// Returns the egress rules that let some addresses through.
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
    led_out: &LedOut<'_>,
    (end, at, direction, rule): (usize, RuleId, Direction, &Rule),
    pods: &SubjectPods<'_>,
) -> Vec<Gap> {
    let left_out = &view.policy.inventory.left_out;
    let named = Traffics::named(rule, left_out);
    let indistinct = pods.iter().find_map(|pods| pods.indistinct()).filter(|_| !plan.found.idle.contains(&end));
    let indistinct = indistinct.map(|why| (named, partly(is_selected(pods)), Why::Indistinct(Box::new(why.clone()))));
    let kept = plan.found.kept(at, direction);
    let kept = kept.map(|kept| (named, partly(plan.found.is_taken(at, direction)), Why::Kept(kept)));
    let icmp = rule.names_icmp().then(|| {
        let others = !rule.destination.members.iter().all(|member| Traffics::of(&member.ports, left_out).is_empty());
        (Traffics::default(), partly(others), Why::Icmp)
    });
    // The packets to a gateway do not show the host that they are for.
    let led_out = (direction == Direction::Egress).then(|| leading_out(view, led_out, rule)).flatten();
    let led_out = led_out.map(|gateway| (Traffics::only(Traffic::Tcp), Level::Wider, Why::LedOutBy(gateway)));
    // A deny of which no allow lets anything in is hidden all the same.
    let hidden = rule.destination.pods().filter(|_| direction == Direction::Ingress);
    let hidden: Vec<_> = hidden.filter(|(_, pods)| view.hides_denied(rule, &pods.selector)).collect();
    let others = hidden.len() < rule.destination.pods().count()
        || hidden.iter().any(|(_, pods)| !view.policy.gateways.iter().any(|one| pods.selector.is_inside(&one.pods)));
    let hidden = (!hidden.is_empty()).then(|| (named, partly(others), Why::BehindProxies));
    let all = indistinct.into_iter().chain(hidden).chain(kept).chain(icmp).chain(led_out);
    all.map(|(on, level, why)| Gap { on, level, why }).collect()
}

/// Returns the gateway through which pods of a deny reach a host that may have one of the denied addresses.
fn leading_out(view: View<'_>, led_out: &LedOut<'_>, deny: &Rule) -> Option<SmolStr> {
    let internet = &view.policy.internet;
    let meets = |denied: &Member, host: &Member| {
        let addresses = match &denied.what {
            What::Addresses(set) => Cow::Borrowed(set),
            What::Host(host) => Cow::Owned(host.addresses()),
            What::Pods(_) => return false,
        };
        let What::Host(named) = &host.what else { return false };
        let same = matches!(&denied.what, What::Host(denied) if denied.name.overlaps(&named.name));
        let at = if named.at.is_empty() { Cow::Borrowed(internet) } else { Cow::Owned(named.addresses()) };
        denied.ports.may_overlap(&host.ports) && (same || addresses.overlaps(&at))
    };
    let shares = |rule: &Rule| {
        let mut pods = rule.source.pods();
        pods.any(|(_, own)| deny.source.pods().any(|(_, denied)| own.selector.overlaps(&denied.selector)))
    };
    led_out.of(deny).find_map(|(rule, gateway)| {
        let members = &rule.destination.members;
        let meets = deny.destination.members.iter().any(|denied| members.iter().any(|host| meets(denied, host)));
        (meets && shares(rule)).then(|| gateway.clone())
    })
}

/// The rules that lead pods out through gateways, by the namespace of the pods.
#[derive(Default)]
struct LedOut<'a>(FxHashMap<Option<&'a SmolStr>, Vec<(&'a Rule, &'a SmolStr)>>);

impl<'a> LedOut<'a> {
    fn new(view: View<'a>) -> LedOut<'a> {
        let mut all = LedOut::default();
        for (_, rule) in view.partition.rules(Direction::Egress).filter(|(_, rule)| rule.action == Action::Allow) {
            let Some(via) = &rule.via else { continue };
            for (_, pods) in rule.source.pods() {
                let here = all.0.entry(pods.selector.namespace_name()).or_default();
                here.push((rule, &via.gateway.name));
            }
        }
        all
    }

    /// Returns the rules for pods of namespaces that the source of a rule may have.
    fn of(&self, rule: &Rule) -> impl Iterator<Item = (&'a Rule, &'a SmolStr)> {
        let names: Vec<Option<&SmolStr>> = rule.source.pods().map(|(_, pods)| pods.selector.namespace_name()).collect();
        let everywhere = names.contains(&None);
        let near = self.0.iter().filter(move |(name, _)| everywhere || name.is_none() || names.contains(name));
        near.flat_map(|(_, rules)| rules).copied()
    }
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

/// Returns whether a rule end depends on the source addresses of packets.
fn by_source(rule: &Rule, direction: Direction) -> bool {
    let addresses = |member: &Member| matches!(member.what, What::Addresses(_));
    direction == Direction::Ingress && rule.action == Action::Allow && rule.source.members.iter().any(addresses)
}
