//! How well NetworkPolicy holds each end of each rule.

use std::borrow::Cow;

use rustc_hash::FxHashSet;

use super::model::{Cause, Peer, Peers};
use super::plan::{Finding, Plan, side};
use super::subjects::Why;
use crate::inventory::AllLeftOut;
use crate::model::conditions::Conditions;
use crate::model::endpoint::{Member, What};
use crate::model::ports::{PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::source::Sources;
use crate::targets::{Judgement, Level, Levels, Traffics};

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
        let mut gaps = gaps(rule, direction, (finding, around), left_out, &place);
        let mut levels = Levels::all(Level::Exact);
        gaps.list.iter().for_each(|(kinds, level, _)| levels.raise(*kinds, *level));
        let but_conditions = levels;
        if let Some(words) = unseen(&rule.conditions).filter(|_| rule.action != Action::Deny) {
            gaps.add(named(rule, left_out), Level::Unable, words);
            levels.raise(named(rule, left_out), Level::Unable);
        }
        let (level, reason) = gaps.worst().unwrap_or_else(|| (Level::Exact, how(rule, direction)));
        let by_gateway = rule.via.is_some() && direction == Direction::Egress;
        let at_gateway = by_gateway && gaps.list.len() == 1;
        Judgement {
            rule: at,
            direction,
            level,
            levels,
            but_conditions,
            reason,
            narrower: None,
            by_name: None,
            refuses: false,
            unmeshed: None,
            names: Traffics::default(),
            left_out: None,
            at_gateway,
        }
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

/// What the objects let through in excess: on which traffic, how bad it is, and why.
#[derive(Default)]
struct Gaps {
    list: Vec<(Traffics, Level, Cow<'static, str>)>,
}

impl Gaps {
    fn add(&mut self, kinds: Traffics, level: Level, reason: impl Into<Cow<'static, str>>) {
        self.list.push((kinds, level, reason.into()));
    }

    /// Returns the first of the worst.
    fn worst(&self) -> Option<(Level, Cow<'static, str>)> {
        let worst = self.list.iter().map(|(_, level, _)| *level).max()?;
        let first = self.list.iter().find(|(_, level, _)| *level == worst);
        first.map(|(_, level, reason)| (*level, reason.clone()))
    }
}

fn gaps(
    rule: &Rule,
    direction: Direction,
    (finding, around): (&Finding, bool),
    left_out: &AllLeftOut,
    place: &dyn Fn(RuleId) -> String,
) -> Gaps {
    let mut gaps = Gaps::default();
    let named = named(rule, left_out);
    if rule.action == Action::Deny {
        if let Some(why) = &finding.why {
            gaps.add(named, if finding.selected { Level::Wider } else { Level::Unable }, subject_words(why));
        }
        if let Some(why) = finding.leak {
            gaps.add(named, if finding.taken { Level::Wider } else { Level::Unable }, why);
        }
        if names_icmp(rule) {
            let all = rule.destination.members.iter().all(|member| Traffics::of(&member.ports, left_out).is_empty());
            let level = if all { Level::Unable } else { Level::Wider };
            gaps.add(Traffics::default(), level, "what a network plugin does with icmp is not defined");
        }
        return gaps;
    }
    if let Some(why) = finding.why.as_ref().filter(|_| finding.uncovered) {
        gaps.add(Traffics::ALL, if finding.selected { Level::Wider } else { Level::Unable }, subject_words(why));
    }
    if rule.via.is_some() {
        let words = match direction {
            Direction::Egress => "whatever the gateway serves",
            Direction::Ingress => "every client of the gateway",
        };
        gaps.add(named, Level::Wider, words);
    }
    if !finding.envelope.is_empty() && around {
        gaps.add(finding.envelope, Level::Wider, envelope_words(rule));
    }
    if !finding.behind_proxies.is_empty() {
        let words = "packets come from the proxies in front of the gateway, whatever client they are for";
        gaps.add(finding.behind_proxies, Level::Wider, words);
    }
    if let Some(account) = &finding.widened {
        let words = format!("no labels tell the pods of {account} from others");
        gaps.add(finding.widened_on, Level::Wider, words);
    }
    if let Some((giver, kinds)) = finding.joined {
        let words = format!("what {} gives holds for these pods too, since no labels tell them apart", place(giver));
        gaps.add(kinds, Level::Wider, words);
    }
    gaps
}

/// Returns the traffic that a rule names.
fn named(rule: &Rule, left_out: &AllLeftOut) -> Traffics {
    let ports = rule.destination.members.iter().map(|member| Traffics::of(&member.ports, left_out));
    ports.fold(Traffics::default(), Traffics::with)
}

/// Returns how a rule is held that has no gap.
fn how(rule: &Rule, direction: Direction) -> Cow<'static, str> {
    let addresses = |member: &Member| matches!(member.what, What::Addresses(_));
    if direction == Direction::Ingress && rule.action == Action::Allow && rule.source.members.iter().any(addresses) {
        return "by the packet's source".into();
    }
    "".into()
}

/// Returns whether a rule names icmp.
pub(super) fn names_icmp(rule: &Rule) -> bool {
    let ports = rule.destination.members.iter().flat_map(|member| member.ports.entries());
    ports.into_iter().any(|port| port.protocol == Protocol::Icmp)
}

fn subject_words(why: &Why) -> Cow<'static, str> {
    match why {
        Why::NoInventory => "no namespace is named and no inventory lists them".into(),
        Why::UnknownNamespace(name) => format!("the labels of the namespace {name} are not known").into(),
        Why::Account(account) => format!("no labels tell the pods of {account} from others").into(),
    }
}

fn unseen(conditions: &Conditions) -> Option<&'static str> {
    if conditions.jwt.is_some() {
        Some("tokens")
    } else if !conditions.methods.is_empty() || !conditions.paths.is_empty() {
        Some("HTTP")
    } else if !conditions.hosts.is_empty() {
        Some("host names")
    } else {
        None
    }
}

fn envelope_words(rule: &Rule) -> Cow<'static, str> {
    let mut ports: Vec<String> = Vec::new();
    let mut everywhere = false;
    let mut public = false;
    for member in &rule.destination.members {
        let What::Host(host) = &member.what else { continue };
        public |= host.at.is_empty();
        match &member.ports {
            Ports::All => everywhere = true,
            Ports::Some(list) => {
                for port in list {
                    let number = match &port.port {
                        PortTest::Range(1, u16::MAX) => "*".to_owned(),
                        PortTest::Range(first, last) if first == last => first.to_string(),
                        PortTest::Range(first, last) => format!("{first}-{last}"),
                        PortTest::Named(name) => name.to_string(),
                    };
                    let text = if port.protocol == Protocol::Tcp {
                        format!(":{number}")
                    } else {
                        format!(":{number}/{}", port.protocol.word())
                    };
                    if !ports.contains(&text) {
                        ports.push(text);
                    }
                }
            }
        }
    }
    let who = if public { "any public address" } else { "any host at these addresses" };
    if everywhere || ports.is_empty() { who.into() } else { format!("{who} {}", ports.join(", ")).into() }
}
