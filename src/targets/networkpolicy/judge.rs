//! How well NetworkPolicy holds each end of each rule.

use std::borrow::Cow;

use rustc_hash::FxHashSet;

use super::model::{Cause, Peer, Peers};
use super::plan::{Finding, Plan, side};
use super::subjects::Why;
use crate::policy::{Action, Conditions, Direction, Member, PortTest, Ports, Protocol, Rule, What};
use crate::targets::{Judgement, Level};

/// Returns a judgement for each end of the part.
pub(super) fn judge(plan: &Plan<'_>) -> Vec<Judgement> {
    let ends = plan.facts.part.ends().zip(&plan.findings);
    // Where deny rules took something out, the addresses around a host may all be gone.
    let denied = plan.findings.iter().any(|finding| finding.taken);
    let open: Option<FxHashSet<u32>> = denied.then(|| with_addresses(plan));
    let judge = |((at, direction, rule), finding): ((u32, Direction, &Rule), &Finding)| {
        let around = direction == Direction::Ingress || open.as_ref().is_none_or(|open| open.contains(&at));
        let (level, reason) = level(rule, direction, finding, around);
        Judgement { rule: at, direction, level, reason, narrower: None }
    };
    ends.map(judge).collect()
}

/// Returns the rules of which some addresses are let through on the way out.
fn with_addresses(plan: &Plan<'_>) -> FxHashSet<u32> {
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

fn level(rule: &Rule, direction: Direction, finding: &Finding, around: bool) -> (Level, Cow<'static, str>) {
    if let Some(why) = &finding.why {
        let level = if finding.selected { Level::Wider } else { Level::Unable };
        return (level, subject_words(why));
    }
    if rule.action == Action::Deny {
        return match finding.leak {
            Some(why) => (if finding.taken { Level::Wider } else { Level::Unable }, why.into()),
            None => (Level::Exact, "".into()),
        };
    }
    if let Some(words) = unseen(&rule.conditions) {
        return (Level::Unable, words.into());
    }
    if rule.via.is_some() {
        let words = match direction {
            Direction::Egress => "whatever the gateway serves",
            Direction::Ingress => "every client of the gateway",
        };
        return (Level::Wider, words.into());
    }
    if finding.envelope && around {
        return (Level::Wider, envelope_words(rule));
    }
    if let Some(account) = &finding.widened {
        return (Level::Wider, format!("no labels tell the pods of {account} from others").into());
    }
    let addresses = |member: &Member| matches!(member.what, What::Addresses(_));
    if direction == Direction::Ingress && rule.action == Action::Allow && rule.source.members.iter().any(addresses) {
        return (Level::Exact, "by the packet's source".into());
    }
    (Level::Exact, "".into())
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
