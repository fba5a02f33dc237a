//! How well NetworkPolicy holds each end of each rule.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::model::{Cause, Peer, Peers};
use super::plan::{Finding, Plan, side};
use crate::inventory::{AllLeftOut, Untold};
use crate::model::endpoint::{Member, What};
use crate::model::ports::Protocol;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::settings::Layer;
use crate::source::Sources;
use crate::targets::capability::{self, Asked};
use crate::targets::gap::Gap;
use crate::targets::{Judgement, Level, Traffics, Why};

/// Returns a judgement for each end of the part.
pub(super) fn judge(plan: &Plan<'_>, sources: &Sources) -> Vec<Judgement> {
    let place = |rule: RuleId| {
        let rule = plan.facts.policy.rule(rule);
        rule.map(|rule| sources.place(rule.origin.span)).unwrap_or_default()
    };
    let ends = plan.facts.part.ends().zip(&plan.findings);
    // Where deny rules took something out, the addresses around a host may all be gone.
    let denied = plan.findings.iter().any(|finding| finding.taken);
    let open: Option<FxHashSet<RuleId>> = denied.then(|| with_addresses(plan));
    let judge = |((at, direction, rule), finding): ((RuleId, Direction, &Rule), &Finding)| {
        let around = direction == Direction::Ingress || open.as_ref().is_none_or(|open| open.contains(&at));
        let left_out = &plan.facts.policy.inventory.left_out;
        let gaps = gaps(rule, direction, (finding, around), left_out, &place);
        let only_way = rule.via.is_some() && direction == Direction::Egress && gaps.len() == 1;
        let mut judgement = Judgement::with_gaps(at, direction, gaps);
        if judgement.reason.is_nothing() && by_source(rule, direction) {
            judgement.reason = Why::PacketSource;
        }
        judgement.at_gateway.other_ways = only_way;
        judgement
    };
    ends.map(judge).collect()
}

/// Returns the rules of which some addresses are let through on the way out.
fn with_addresses(plan: &Plan<'_>) -> FxHashSet<RuleId> {
    let terms = plan.sides.iter().flat_map(|sides| &sides[side(Direction::Egress)].terms);
    let open = terms.filter_map(|term| match (&term.cause, &*term.peers) {
        (Cause::Rule(rule), Peers::Some(peers)) => {
            peers.as_slice().iter().any(|peer| matches!(peer, Peer::Block(_))).then_some(*rule)
        }
        (Cause::Rule(rule), Peers::Everything) => Some(*rule),
        _ => None,
    });
    open.collect()
}

fn gaps(
    rule: &Rule,
    direction: Direction,
    (finding, around): (&Finding, bool),
    left_out: &AllLeftOut,
    place: &dyn Fn(RuleId) -> String,
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut add = |on, level, why| gaps.push(Gap { on, level, why });
    let named = named(rule, left_out);
    let partly = |some: bool| if some { Level::Wider } else { Level::Unable };
    if rule.action == Action::Deny {
        if let Some(why) = &finding.why {
            add(named, partly(finding.selected), Why::Untold(why.clone()));
        }
        if let Some(kept) = finding.leak {
            add(named, partly(finding.taken), Why::Kept(kept));
        }
        if names_icmp(rule) {
            let others =
                !rule.destination.members.iter().all(|member| Traffics::of(&member.ports, left_out).is_empty());
            add(Traffics::default(), partly(others), Why::Icmp);
        }
        return gaps;
    }
    if let Some(why) = finding.why.as_ref().filter(|_| finding.uncovered) {
        add(Traffics::ALL, partly(finding.selected), Why::Untold(why.clone()));
    }
    if rule.via.is_some() {
        let why = match direction {
            Direction::Egress => Why::OtherHostsOfGateway,
            Direction::Ingress => Why::OtherClientsOfGateway,
        };
        add(named, Level::Wider, why);
    }
    if !finding.envelope.is_empty() && around {
        add(finding.envelope, Level::Wider, Why::OtherHosts(Arc::clone(&rule.destination)));
    }
    if !finding.behind_proxies.is_empty() {
        add(finding.behind_proxies, Level::Wider, Why::BehindProxies);
    }
    if let Some(account) = &finding.widened {
        add(finding.widened_on, Level::Wider, Why::Untold(Untold::Account(account.clone())));
    }
    if let Some((giver, kinds)) = finding.joined {
        add(kinds, Level::Wider, Why::SharedWith(place(giver).into()));
    }
    let unseen = |asked: &Asked| !capability::of(Layer::NetworkPolicy).judges(*asked, direction);
    if let Some(asked) = Asked::by(&rule.conditions).find(unseen) {
        add(named, Level::Unable, Why::Unseen(asked));
    }
    gaps
}

/// Returns the traffic that a rule names.
fn named(rule: &Rule, left_out: &AllLeftOut) -> Traffics {
    let ports = rule.destination.members.iter().map(|member| Traffics::of(&member.ports, left_out));
    ports.fold(Traffics::default(), Traffics::with)
}

/// Returns whether one end of a rule is told by the addresses that packets come from.
fn by_source(rule: &Rule, direction: Direction) -> bool {
    let addresses = |member: &Member| matches!(member.what, What::Addresses(_));
    direction == Direction::Ingress && rule.action == Action::Allow && rule.source.members.iter().any(addresses)
}

/// Returns whether a rule names icmp.
pub(super) fn names_icmp(rule: &Rule) -> bool {
    let ports = rule.destination.members.iter().flat_map(|member| member.ports.entries());
    ports.into_iter().any(|port| port.protocol == Protocol::Icmp)
}
