//! Redundant sets: which of several sets the others contain, and which of those can be removed together.
//!
//! ```text
//! {1, 2}, {1}, {2}       each is contained in the others, and any one of them may go: {1} and {2} do, since {1, 2} is wider
//! ```
//!
//! A value that is in two of the sets stays covered if one of them is removed. So a first pass finds the sets that the
//! others contain, and a second pass, over these alone, which of them can be removed together.

use rustc_hash::FxHashSet;

use crate::flows::Set;
use crate::flows::diagram::Diagrams;
use crate::model::rules::RuleId;

/// The number of sets of a rule: the flows that it lets through or forbids, the pods that it isolates, and the pods
/// that it opens DNS for.
pub(super) const KINDS: usize = 3;

/// The sets of a rule, and the parts of them that other rules must cover if the rule is removed.
#[derive(Clone, Copy)]
pub(super) struct Rival {
    pub(super) rule: RuleId,
    pub(super) gives: [Set; KINDS],
    pub(super) needs: [Set; KINDS],
    /// Whether the rule may be removed at all.
    pub(super) may_go: bool,
}

/// Rules of one kind, and the sets that rules of other kinds cover.
pub(super) struct Rivals {
    pub(super) list: Vec<Rival>,
    pub(super) base: [Set; KINDS],
}

/// A rule that others contain, with one rule that contains it alone, if there is one.
pub(super) struct Contained {
    pub(super) rule: RuleId,
    pub(super) wider: Option<RuleId>,
}

/// The most rules that one rule is compared with, so that the work does not grow with the square of their number.
const MOST_COMPARED: usize = 64;

impl Rivals {
    /// Returns the rules that the others contain, each by itself.
    pub(super) fn contained(&self, d: &mut Diagrams) -> Vec<RuleId> {
        if self.list.len() < 2 && self.base == [Set::NONE; KINDS] {
            return Vec::new();
        }
        let enough: Vec<Set> = (0..KINDS)
            .map(|kind| {
                let (_, twice) = d.union_and_twice(self.list.iter().map(|rival| rival.gives[kind]).collect());
                d.or(twice, self.base[kind])
            })
            .collect();
        let mut found = Vec::new();
        for rival in self.list.iter().filter(|rival| rival.may_go) {
            if (0..KINDS).all(|kind| d.minus(rival.needs[kind], enough[kind]) == Set::NONE) {
                found.push(rival.rule);
            }
        }
        found
    }

    /// Returns the candidates that can all be removed at once, if each is contained in the other rules. Of two equal
    /// rules the later one is removed, and a rule that one other contains is removed before a rule that only several
    /// contain together.
    pub(super) fn going(&self, d: &mut Diagrams, candidates: &FxHashSet<RuleId>) -> Vec<Contained> {
        let (going, staying): (Vec<&Rival>, Vec<&Rival>) =
            self.list.iter().partition(|rival| candidates.contains(&rival.rule));
        let mut base = self.base;
        for (kind, base) in base.iter_mut().enumerate() {
            let all = staying.iter().map(|rival| rival.gives[kind]).chain([*base]).collect();
            *base = d.union(all);
        }
        let mut sorted: Vec<(&Rival, Option<RuleId>)> =
            going.into_iter().map(|rival| (rival, self.wider(d, rival))).collect();
        // The list is read from its end.
        sorted.sort_by_key(|(rival, wider)| (wider.is_some(), rival.rule));
        let mut before = vec![base];
        for (rival, _) in &sorted {
            let last = before[before.len() - 1];
            before.push(std::array::from_fn(|kind| d.or(last[kind], rival.gives[kind])));
        }
        let (mut kept, mut found) = ([Set::NONE; KINDS], Vec::new());
        for (at, (rival, wider)) in sorted.iter().enumerate().rev() {
            let is_given = (0..KINDS).all(|kind| {
                let others = d.or(before[at][kind], kept[kind]);
                d.minus(rival.needs[kind], others) == Set::NONE
            });
            if is_given {
                found.push(Contained { rule: rival.rule, wider: *wider });
            } else {
                kept = std::array::from_fn(|kind| d.or(kept[kind], rival.gives[kind]));
            }
        }
        found
    }

    /// Returns a single rule that, with the base, covers the needs of another one.
    fn wider(&self, d: &mut Diagrams, rival: &Rival) -> Option<RuleId> {
        let others = self.list.iter().filter(|other| other.rule != rival.rule).take(MOST_COMPARED);
        others.map(|other| (other, other.gives)).find_map(|(other, gives)| {
            let is_given = (0..KINDS).all(|kind| {
                let without = d.minus(rival.needs[kind], gives[kind]);
                d.minus(without, self.base[kind]) == Set::NONE
            });
            is_given.then_some(other.rule)
        })
    }
}
