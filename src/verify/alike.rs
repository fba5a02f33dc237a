//! Rules that say the same word by word: nearly all that is read back does, and needs no sets to be compared.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use crate::model::endpoint::Endpoint;
use crate::model::rules::Rule;
use crate::targets::effective::Stated;

/// Returns whether each rule of a layer was read, and nothing else.
pub(super) fn are_alike(stated: &[Stated], read: &[Rule]) -> bool {
    let mut known: FxHashMap<u64, (&Rule, bool)> = FxHashMap::default();
    known.reserve(stated.len());
    for Stated { rule, .. } in stated {
        let (first, _) = known.entry(hash(rule)).or_insert((rule, false));
        if !is_like(first, rule) {
            return false;
        }
    }
    let all_known = read.iter().all(|rule| match known.get_mut(&hash(rule)) {
        Some((stated, seen)) => {
            *seen = true;
            is_like(stated, rule)
        }
        None => false,
    });
    all_known && known.values().all(|(_, seen)| *seen)
}

fn hash(rule: &Rule) -> u64 {
    let mut hasher = FxHasher::default();
    (rule.action, rule.egress, rule.ingress).hash(&mut hasher);
    for member in rule.source.members.iter().chain(&rule.destination.members) {
        (&member.what, &member.ports).hash(&mut hasher);
    }
    hasher.finish()
}

fn is_like(one: &Rule, other: &Rule) -> bool {
    let ends = |one: &Endpoint, other: &Endpoint| {
        let members = one.members.iter().zip(&other.members);
        one.members.len() == other.members.len()
            && members.into_iter().all(|(a, b)| (&a.what, &a.ports) == (&b.what, &b.ports))
    };
    (one.action, one.egress, one.ingress) == (other.action, other.egress, other.ingress)
        && ends(&one.source, &other.source)
        && ends(&one.destination, &other.destination)
        && one.conditions == other.conditions
        && one.via.is_none()
        && other.via.is_none()
}
