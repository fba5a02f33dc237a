//! Which of several sets the others contain.
//!
//! ```text
//! {1, 2}, {1}, {2}       each is contained in the others, and any one of them may go: {1} and {2} do, since {1, 2} is wider
//! ```
//!
//! Whatever is in two of the sets is in another one than any given one. So one pass tells which sets the others
//! contain, and a second one, over these alone, which of them may go together.

use rustc_hash::FxHashSet;

use crate::flows::Set;
use crate::flows::diagram::Diagrams;
use crate::model::rules::RuleId;

/// The kinds of sets that a rule gives: the flows that it lets through or forbids, the pods that it isolates, and those
/// whose way to DNS it opens.
pub(super) const KINDS: usize = 3;

/// What a rule gives, and what of it others must give if the rule goes.
#[derive(Clone, Copy)]
pub(super) struct Rival {
    pub(super) rule: RuleId,
    pub(super) gives: [Set; KINDS],
    pub(super) needs: [Set; KINDS],
    /// Whether it may go at all.
    pub(super) may_go: bool,
}

/// Rules of one kind, beside what other rules give.
pub(super) struct Rivals {
    pub(super) list: Vec<Rival>,
    pub(super) base: [Set; KINDS],
}

/// A rule that others contain, with one that contains it alone, if there is one.
pub(super) struct Contained {
    pub(super) rule: RuleId,
    pub(super) wider: Option<RuleId>,
}

/// A rule is compared with so many others, one by one, so that the work does not grow with the square of their number.
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

    /// Returns those of some rules, each of which the others contain, that may go together. Of two alike the later one
    /// goes, and one that another contains alone goes before one that several contain together.
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
        // The last one is looked at first.
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

    /// Returns a rule that gives by itself, beside the base, what another one needs.
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
