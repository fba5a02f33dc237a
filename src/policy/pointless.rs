//! Allows that a wider allow makes pointless.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use super::Policy;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::types::{Action, Rule};
use crate::vocab::endpoint::{Endpoint, What};
use crate::vocab::ports::{PortMatch, PortTest, Ports};

/// How many rules of one shape are compared pair by pair; beyond it only the first so many are, so that the work grows
/// with the number of rules and not with its square.
const MOST_COMPARED: usize = 8;

/// Reports each allow whose flows another allow of the same pods lets through without its conditions or on more ports,
/// and each that stands twice.
pub fn report(policy: &Policy, diagnostics: &mut Diagnostics) {
    let mut groups: FxHashMap<u64, Vec<&Rule>> = FxHashMap::default();
    for rule in policy.rules.iter().filter(|rule| rule.action == Action::Allow && rule.via.is_none()) {
        let group = groups.entry(shape(rule)).or_default();
        let wider = group.iter().take(MOST_COMPARED).find(|other| covers(other, rule)).copied();
        let narrower = match wider {
            Some(_) => None,
            None => group.iter().take(MOST_COMPARED).find(|other| covers(rule, other)).copied(),
        };
        match (wider, narrower) {
            (Some(wider), _) => say(rule, wider, diagnostics),
            (_, Some(narrower)) => say(narrower, rule, diagnostics),
            _ => {}
        }
        group.push(rule);
    }
}

fn say(rule: &Rule, wider: &Rule, diagnostics: &mut Diagnostics) {
    if rule.origin.span == wider.origin.span || !rule.origin.applied.is_empty() || !wider.origin.applied.is_empty() {
        // The two ways of one `<->` and what templates yield are not the writer's to remove.
        return;
    }
    let condition = if rule.conditions.is_none() { "" } else { ", without the conditions" };
    diagnostics.push(
        Diagnostic::new(Code::PointlessAllow, rule.origin.span, "a wider allow makes this one pointless")
            .at("it lets nothing more through")
            .label(wider.origin.span, format!("this lets all of it through{condition}"))
            .note("remove this one or, if it was meant to narrow, the wider one"),
    );
}

/// Hashes what two rules must share to be compared: the direction and the peers, ports left out.
fn shape(rule: &Rule) -> u64 {
    let mut hasher = FxHasher::default();
    (rule.egress, rule.ingress).hash(&mut hasher);
    // What is not governed is the peer; where both ends are governed, the source is the one compared as a whole.
    let peer = if rule.egress { &rule.destination } else { &rule.source };
    let mut peers: Vec<u64> = peer.members.iter().map(|member| hash_of(&member.what)).collect();
    peers.sort_unstable();
    peers.hash(&mut hasher);
    hasher.finish()
}

fn hash_of(what: &What) -> u64 {
    let mut hasher = FxHasher::default();
    match what {
        What::Pods(pods) => pods.selector.hash(&mut hasher),
        What::Addresses(set) => set.hash(&mut hasher),
        What::Host(host) => host.hash(&mut hasher),
    }
    hasher.finish()
}

/// Returns whether `wide` lets through all that `narrow` does and isolates all that it does.
fn covers(wide: &Rule, narrow: &Rule) -> bool {
    wide.egress == narrow.egress
        && wide.ingress == narrow.ingress
        && (wide.conditions.is_none() || wide.conditions == narrow.conditions)
        && endpoint_covers(&wide.source, &narrow.source, false)
        && endpoint_covers(&wide.destination, &narrow.destination, true)
}

fn endpoint_covers(wide: &Endpoint, narrow: &Endpoint, ports: bool) -> bool {
    narrow.members.iter().all(|member| {
        let mut candidates = wide.members.iter().filter(|outer| !ports || ports_cover(&outer.ports, &member.ports));
        match &member.what {
            What::Pods(pods) => candidates.any(|outer| match &outer.what {
                What::Pods(all) => pods.selector.is_inside(std::slice::from_ref(&all.selector)),
                _ => false,
            }),
            What::Addresses(set) => {
                candidates.any(|outer| matches!(&outer.what, What::Addresses(all) if all == set || set.is_inside(all)))
            }
            What::Host(host) => candidates.any(|outer| match &outer.what {
                What::Host(all) => all.name.contains(&host.name) && all.except.is_empty() && all.at == host.at,
                _ => false,
            }),
        }
    })
}

fn ports_cover(wide: &Ports, narrow: &Ports) -> bool {
    match (wide, narrow) {
        (Ports::All, _) => true,
        (_, Ports::All) => false,
        (Ports::Some(wide), Ports::Some(narrow)) => {
            narrow.iter().all(|entry| wide.iter().any(|outer| port_covers(outer, entry)))
        }
    }
}

fn port_covers(wide: &PortMatch, narrow: &PortMatch) -> bool {
    wide.protocol == narrow.protocol
        && match (&wide.port, &narrow.port) {
            (PortTest::Range(a, b), PortTest::Range(c, d)) => a <= c && d <= b,
            (PortTest::Named(a), PortTest::Named(b)) => a == b,
            _ => false,
        }
}

/// Returns whether two lists of ports may have a port in common; a name may be any number.
pub fn ports_meet(a: &Ports, b: &Ports) -> bool {
    let (Ports::Some(a), Ports::Some(b)) = (a, b) else { return true };
    a.iter().any(|left| {
        b.iter().any(|right| {
            left.protocol == right.protocol
                && match (&left.port, &right.port) {
                    (PortTest::Range(a, b), PortTest::Range(c, d)) => a <= d && c <= b,
                    _ => true,
                }
        })
    })
}
