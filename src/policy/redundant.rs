//! Redundant allows: those whose flows a wider allow lets through too.
//!
//! ```text
//! allow ingress shop/* -> garden/{app=api}:8080/http
//! allow ingress shop/* -> garden/{app=api}:8080/http where method GET     redundant: the first one asks for no method
//! ```

use std::hash::{BuildHasher, Hash, Hasher};
use std::num::NonZeroU32;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet, FxHasher};
use smallvec::SmallVec;

use super::Policy;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::ports::Ports;
use crate::model::rules::{Action, Direction, Rule};

/// A rule is compared with at most this many rules of one shape, the last ones, so that the work grows with the number
/// of rules and not with its square.
const MOST_COMPARED: usize = 8;

/// Finds each allow whose flows another allow lets through too: without its conditions, on more ports, with more peers,
/// or in both directions. Of two equal allows it finds the later one.
pub fn find(policy: &Policy) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    let mut shapes = Shapes::with_room_for(policy.rules.len());
    let mut said = FxHashSet::default();
    let rules = policy.rules.iter().enumerate();
    for (at, rule) in rules.filter(|(_, rule)| rule.action == Action::Allow && rule.via.is_none()) {
        let shape = Shape::of(rule);
        let others: Vec<usize> = shapes.like(&shape).collect();
        let wider = others.iter().find(|other| covers(&policy.rules[**other], rule)).map(|other| (at, *other));
        let found = wider.or_else(|| {
            let narrower = others.iter().find(|other| covers(rule, &policy.rules[**other]))?;
            Some((*narrower, at))
        });
        if let Some((narrow, wide)) = found
            && said.insert(narrow)
        {
            say(&policy.rules[narrow], &policy.rules[wide], &mut diagnostics);
        }
        shapes.add(&shape, at);
    }
    diagnostics
}

/// The shape of a rule: its sides without ports, each with a hint of the opposite side. A rule that covers another
/// shares one of these sides with it.
struct Shape(SmallVec<[(u64, Hint); 4]>);

impl Shape {
    fn of(rule: &Rule) -> Shape {
        let mut shape = SmallVec::new();
        for direction in Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction)) {
            let (peer, subject) = (rule.peer(direction), rule.subject(direction));
            shape.push((hash_of_side(direction, true, peer), Hint::of(subject)));
            shape.push((hash_of_side(direction, false, subject), Hint::of(peer)));
        }
        Shape(shape)
    }
}

/// A hash of the one namespace of a side's pods: two sides with different hashes cannot cover each other, so that they
/// need no closer look.
#[derive(Clone, Copy)]
struct Hint(Option<NonZeroU32>);

impl Hint {
    fn of(side: &Endpoint) -> Hint {
        Hint(match side.members.as_slice() {
            [Member { what: What::Pods(pods), .. }] => pods
                .selector
                .namespace_name()
                .and_then(|name| NonZeroU32::new((FxBuildHasher.hash_one(name) >> 32) as u32)),
            _ => None,
        })
    }

    fn may_cover(self, other: Hint) -> bool {
        !matches!((self.0, other.0), (Some(one), Some(other)) if one != other)
    }
}

/// Rules by their shapes.
struct Shapes {
    /// The last link of each shape.
    last: FxHashMap<u64, u32>,
    /// Rules, each with its other side and the link before it; the first is its own.
    links: Vec<(u32, Hint, u32)>,
}

impl Shapes {
    fn with_room_for(rules: usize) -> Shapes {
        let last = FxHashMap::with_capacity_and_hasher(rules, Default::default());
        Shapes { last, links: Vec::with_capacity(2 * rules) }
    }

    fn add(&mut self, shape: &Shape, at: usize) {
        for &(key, hint) in &shape.0 {
            let link = self.links.len() as u32;
            let before = self.last.insert(key, link).unwrap_or(link);
            self.links.push((at as u32, hint, before));
        }
    }

    /// Returns the last rules of a shape that may cover the given one or be covered by it.
    fn like(&self, shape: &Shape) -> impl Iterator<Item = usize> {
        shape.0.iter().flat_map(|(key, hint)| {
            let before = |link: &u32| Some(self.links[*link as usize].2).filter(|before| before != link);
            let chain = std::iter::successors(self.last.get(key).copied(), before);
            let links = chain.take(MOST_COMPARED).map(|link| self.links[link as usize]);
            links.filter(|(_, other, _)| hint.may_cover(*other)).map(|(at, ..)| at as usize)
        })
    }
}

fn say(rule: &Rule, wider: &Rule, diagnostics: &mut Diagnostics) {
    if rule.origin.span == wider.origin.span || !rule.origin.applied().is_empty() || !wider.origin.applied().is_empty()
    {
        // An author cannot remove one direction of a `<->`, nor a single rule that a template yields.
        return;
    }
    let condition = if rule.conditions.is_none() { "" } else { ", without the conditions" };
    diagnostics.push(
        Diagnostic::new(Code::RedundantAllow, rule.origin.span, "a wider allow makes this one redundant")
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
    match what {
        What::Pods(pods) => FxBuildHasher.hash_one(&pods.selector),
        What::Addresses(set) => FxBuildHasher.hash_one(set),
        What::Host(host) => FxBuildHasher.hash_one(host),
    }
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
        let mut candidates = wide.members.iter().filter(|outer| !ports || outer.ports.covers(&member.ports));
        match &member.what {
            What::Pods(pods) => candidates.any(|outer| match &outer.what {
                What::Pods(all) => pods.selector.is_inside(std::slice::from_ref(&all.selector)),
                _ => false,
            }),
            What::Addresses(set) => {
                candidates.any(|outer| matches!(&outer.what, What::Addresses(all) if all == set || set.is_inside(all)))
            }
            What::Host(host) => candidates.any(|outer| match &outer.what {
                What::Host(all) => {
                    let same_host = all.name.contains(&host.name) && all.except.is_empty() && all.at == host.at;
                    same_host && dials_cover(&outer.ports, &member.ports)
                }
                _ => false,
            }),
        }
    })
}

/// Returns whether pods that may dial some ports of a host may dial others too: `api:80`, for which the mesh opens TLS, leads
/// to the same port of the host as `api.example.com:443`, and neither serves pods that need the other.
fn dials_cover(wide: &Ports, narrow: &Ports) -> bool {
    let dials = |ports: &Ports, dialled: Option<u16>| ports.entries().iter().any(|port| port.service_port == dialled);
    *wide == *narrow || narrow.entries().iter().all(|port| dials(wide, port.service_port))
}
