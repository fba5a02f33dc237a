//! The missing rules of a claim `always`: the ends at which pods are isolated and no rule allows its flows.
//!
//! ```text
//! default deny garden/*
//! assert always garden/* -> db/*:5432      lacks `allow egress garden/* -> db/*:5432`; nothing isolates db
//! ```

use super::Meaning;
use crate::flows::{OUTSIDE, Set, TooLarge};
use crate::model::rules::{Direction, FlowPattern};

/// The ends at which some flows need a rule, if no deny matches them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// The ends that refuse some of the flows.
    pub ends: [bool; 2],
    /// Whether a rule for these ends would isolate pods that no rule isolates yet.
    pub isolates: bool,
}

impl Lacking {
    /// Returns whether an end refuses some of the flows.
    pub fn at(self, direction: Direction) -> bool {
        self.ends[usize::from(direction == Direction::Ingress)]
    }
}

impl Meaning<'_> {
    /// Returns the ends at which flows need a rule; `None` if a deny forbids some of them.
    pub fn lacking(&mut self, asked: &FlowPattern) -> Result<Option<Lacking>, TooLarge> {
        let asked = self.asked(asked);
        let places: Vec<u32> = [OUTSIDE].into_iter().chain(self.flows.space.pod_places()).collect();
        let (mut ends, mut opens) = ([false; 2], [false; 2]);
        let pairs = places.iter().flat_map(|from| places.iter().map(|to| (*from, *to)));
        for (source, destination) in pairs.filter(|pair| *pair != (OUTSIDE, OUTSIDE)) {
            let asked = self.asked_between(asked, source, destination);
            let asked = self.possible(asked, source, destination);
            if asked == Set::NONE {
                continue;
            }
            let ways = [(Direction::Egress, source, destination), (Direction::Ingress, destination, source)];
            for (at, (direction, own, other)) in ways.into_iter().enumerate().filter(|(_, way)| way.1 != OUTSIDE) {
                let row = self.row(direction, own);
                let judged = self.judged(direction, own);
                let [denied, isolated, judged] =
                    [row.denied, row.isolated, judged].map(|set| self.flows.with_place(set, false, other));
                let d = &mut self.flows.diagrams;
                if d.and(asked, denied) != Set::NONE {
                    return self.flows.checked(None);
                }
                ends[at] |= d.minus(asked, judged) != Set::NONE;
                opens[at] |= d.minus(asked, isolated) != Set::NONE;
            }
            self.flows.checked(())?;
        }
        let isolates = ends[0] && opens[0] || ends[1] && opens[1];
        self.flows.checked(Some(Lacking { ends, isolates }))
    }
}
