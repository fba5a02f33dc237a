//! Allows that a wider allow makes pointless.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use super::Policy;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::types::{Action, Direction, Rule};
use crate::vocab::endpoint::{Endpoint, What};
use crate::vocab::ports::{PortMatch, PortTest, Ports};

/// With how many rules of one shape a rule is compared, the last ones: so the work grows with the number of rules and not
/// with its square.
const MOST_COMPARED: usize = 8;

/// Reports each allow whose flows another allow of the same pods lets through without its conditions, on more ports, to
/// or from more, or in both directions; and each that stands twice.
pub fn report(policy: &Policy, diagnostics: &mut Diagnostics) {
    let mut shapes = Shapes::default();
    let mut said = FxHashSet::default();
    let rules = policy.rules.iter().enumerate();
    for (at, rule) in rules.filter(|(_, rule)| rule.action == Action::Allow && rule.via.is_none()) {
        let others: Vec<usize> = shapes.of(rule).collect();
        let wider = others.iter().find(|other| covers(&policy.rules[**other], rule)).map(|other| (at, *other));
        let found = wider.or_else(|| {
            let narrower = others.iter().find(|other| covers(rule, &policy.rules[**other]))?;
            Some((*narrower, at))
        });
        if let Some((narrow, wide)) = found
            && said.insert(narrow)
        {
            say(&policy.rules[narrow], &policy.rules[wide], diagnostics);
        }
        shapes.add(rule, at);
    }
}

/// Rules by what one that covers another shares with it: in one of its directions the peers, or else the subject, ports
/// left out.
#[derive(Default)]
struct Shapes {
    /// The last link of each shape.
    last: FxHashMap<u64, usize>,
    /// Rules, each with the link before it.
    links: Vec<(usize, Option<usize>)>,
}

impl Shapes {
    fn keys(rule: &Rule) -> impl Iterator<Item = u64> {
        Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction)).flat_map(|direction| {
            [(true, rule.peer(direction)), (false, rule.subject(direction))]
                .map(|(is_peer, side)| hash_of_side(direction, is_peer, side))
        })
    }

    fn add(&mut self, rule: &Rule, at: usize) {
        for key in Shapes::keys(rule) {
            let before = self.last.insert(key, self.links.len());
            self.links.push((at, before));
        }
    }

    fn of(&self, rule: &Rule) -> impl Iterator<Item = usize> {
        let first = Shapes::keys(rule).filter_map(|key| self.last.get(&key).copied());
        first.flat_map(|link| {
            let chain = std::iter::successors(Some(link), |link| self.links.get(*link)?.1);
            chain.take(MOST_COMPARED).filter_map(|link| Some(self.links.get(link)?.0))
        })
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

fn hash_of_side(direction: Direction, is_peer: bool, side: &Endpoint) -> u64 {
    let mut hasher = FxHasher::default();
    (direction, is_peer).hash(&mut hasher);
    match side.members.as_slice() {
        [one] => hash_of(&one.what).hash(&mut hasher),
        many => {
            let mut members: Vec<u64> = many.iter().map(|member| hash_of(&member.what)).collect();
            members.sort_unstable();
            members.hash(&mut hasher);
        }
    }
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
    wide.egress >= narrow.egress
        && wide.ingress >= narrow.ingress
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
