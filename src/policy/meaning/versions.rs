//! Two versions of a policy: a flow that the new one opens, and one that it closes.
//!
//! ```text
//! allow shop/* -> db/*:5432                 before
//! allow shop/* -> db/{app=pg}:5432          after: shop/* -> db/*, tcp 5432 is closed, and nothing is opened
//! ```
//!
//! Rules that are moved or rewritten with the same meaning give equal rows, which have one handle. Only rows that
//! differ are searched for flows.

use std::mem::swap;

use rustc_hash::FxHashSet;

use super::{Example, Meaning, add_terms, namespaces};
use crate::flows::{OUTSIDE, Set, Terms, TooLarge};
use crate::model::rules::Direction;
use crate::policy::{Flow, Policy};

/// Two policies, with sets that can be compared.
pub struct Versions<'p> {
    old: Meaning<'p>,
    /// The new version. Its sets are made in the diagrams of the old version, which are swapped in while it is asked.
    new: Meaning<'p>,
    /// The namespaces whose rows differ, by direction; found at the first question.
    changed: Option<[FxHashSet<u32>; 2]>,
}

impl<'p> Versions<'p> {
    /// Prepares a comparison. The namespaces are those of both versions; their labels must agree.
    pub fn new(old: &'p Policy, new: &'p Policy) -> Versions<'p> {
        let closed = old.inventory.given && new.inventory.given;
        let mut terms = Terms::new(namespaces(old).chain(namespaces(new)), closed);
        add_terms(&mut terms, old);
        add_terms(&mut terms, new);
        let mut old = Meaning::over(old, terms, 2 * super::BUDGET);
        old.sort_statements();
        let mut new = Meaning::over(new, Terms::new([], closed), 0);
        swap(&mut old.flows, &mut new.flows);
        new.sort_statements();
        swap(&mut old.flows, &mut new.flows);
        Versions { old, new, changed: None }
    }

    /// Returns a flow that the new version allows and the old one denies; `None` if there is none.
    pub fn opened(&mut self) -> Result<Option<Flow>, TooLarge> {
        Ok(self.all_opened(1)?.pop())
    }

    /// Returns a flow that the old version allows and the new one denies; `None` if there is none.
    pub fn closed(&mut self) -> Result<Option<Flow>, TooLarge> {
        Ok(self.all_closed(1)?.pop())
    }

    /// Returns flows that the new version allows and the old one denies, one for each pair of namespaces that has some,
    /// at most so many.
    pub fn all_opened(&mut self, most: usize) -> Result<Vec<Flow>, TooLarge> {
        let found = self.find(most, |meaning, old, new| meaning.flows.diagrams.minus(new, old))?;
        Ok(found.iter().map(|example| self.old.flow(example)).collect())
    }

    /// Returns flows that the old version allows and the new one denies, one for each pair of namespaces that has some,
    /// at most so many.
    pub fn all_closed(&mut self, most: usize) -> Result<Vec<Flow>, TooLarge> {
        let found = self.find(most, |meaning, old, new| meaning.flows.diagrams.minus(old, new))?;
        Ok(found.iter().map(|example| self.old.flow(example)).collect())
    }

    /// Returns the flows that each version lets through at the pods of a namespace.
    fn rows(&mut self, direction: Direction, place: u32) -> [Set; 2] {
        let old = self.old.judged(direction, place);
        swap(&mut self.old.flows, &mut self.new.flows);
        let new = self.new.judged(direction, place);
        swap(&mut self.old.flows, &mut self.new.flows);
        [old, new]
    }

    fn changed(&mut self) -> Result<[FxHashSet<u32>; 2], TooLarge> {
        if let Some(known) = &self.changed {
            return Ok(known.clone());
        }
        let places: Vec<u32> = self.old.flows.space.pod_places().collect();
        let mut changed: [FxHashSet<u32>; 2] = Default::default();
        for direction in Direction::BOTH {
            for &place in &places {
                let [old, new] = self.rows(direction, place);
                if old != new {
                    changed[direction as usize].insert(place);
                }
            }
        }
        self.old.flows.checked(())?;
        self.changed = Some(changed.clone());
        Ok(changed)
    }

    fn find(
        &mut self,
        most: usize,
        pick: impl Fn(&mut Meaning<'p>, Set, Set) -> Set,
    ) -> Result<Vec<Example<'p>>, TooLarge> {
        let mut examples = Vec::new();
        let [sending, receiving] = self.changed()?;
        let places: Vec<u32> = [OUTSIDE].into_iter().chain(self.old.flows.space.pod_places()).collect();
        let received: Vec<u32> = places.iter().copied().filter(|place| receiving.contains(place)).collect();
        for &source in &places {
            let destinations = if sending.contains(&source) { &places } else { &received };
            for &destination in destinations {
                if (source, destination) == (OUTSIDE, OUTSIDE) {
                    continue;
                }
                if examples.len() >= most {
                    return self.old.flows.checked(examples);
                }
                let [sent, sent_now] = self.rows(Direction::Egress, source);
                let [received, received_now] = self.rows(Direction::Ingress, destination);
                let mut both = |sent, received| {
                    let sent = self.old.flows.with_place(sent, false, destination);
                    let received = self.old.flows.with_place(received, false, source);
                    self.old.flows.diagrams.and(sent, received)
                };
                let (before, after) = (both(sent, received), both(sent_now, received_now));
                let found = pick(&mut self.old, before, after);
                let found = self.old.possible(found, source, destination);
                if self.old.flows.checked(found)? != Set::NONE {
                    examples.extend(self.old.believable(found, source, destination));
                }
            }
        }
        self.old.flows.checked(examples)
    }
}
