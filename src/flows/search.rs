//! Search for a flow that is in one set and in none of many others, without making their union.
//!
//! ```text
//! in 10.0.0.0/8, in none of {a=1}, {a!=1, b=2}      a!=1, then b!=2, and there is one: a pod without labels
//! ```
//!
//! The union of a hundred small sets over thirty labels may be a diagram of millions of nodes. The search mostly ends
//! after a hundred steps: it takes the smallest of the sets, follows one of its tests out of the set, and restricts all
//! other sets by this test. Only the current path is kept, so memory stays small. The time is limited, and beyond the
//! limit there is no answer.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::diagram::{Diagrams, Set, TooLarge, Values, Var};

/// The most sets that all open branches may keep together.
const MOST_KEPT: usize = 20_000_000;

/// The state of one branch: the values of some variables, and the remaining parts of the sets.
#[derive(Clone)]
struct State {
    inside: Set,
    others: Rc<Vec<Set>>,
    way: Option<Rc<Step>>,
}

struct Step {
    var: Var,
    values: Values,
    before: Option<Rc<Step>>,
}

/// Returns some flows that are in a set and in none of others; [`Set::NONE`] if there are no such flows.
pub fn outside(d: &mut Diagrams, inside: Set, others: &[Set]) -> Result<Set, TooLarge> {
    let mut search = Search { depths: FxHashMap::default() };
    let start = State { inside, others: Rc::new(others.to_vec()), way: None };
    let mut open: Vec<State> = search.begin(d, start)?.into_iter().collect();
    let mut kept = 0;
    let mut waiting: Vec<(State, Var, Values)> = Vec::new();
    loop {
        while let Some(state) = open.pop() {
            if state.others.is_empty() {
                return found(d, inside, state.way.as_deref());
            }
            let Some(smallest) = search.smallest(d, &state.others) else { continue };
            let Some(var) = d.first_test(smallest) else { continue };
            let mut branches = d.branches(smallest);
            branches.retain(|(_, rest)| *rest != Set::ALL);
            // The branch out of the smallest set is pushed last, so that it is followed first.
            branches.sort_by_key(|(_, rest)| std::cmp::Reverse(search.depth(d, *rest)));
            kept += if branches.is_empty() { 0 } else { state.others.len() };
            if kept > MOST_KEPT {
                return Err(TooLarge);
            }
            waiting.extend(branches.into_iter().map(|(values, _)| (state.clone(), var, values)));
        }
        let Some((state, var, values)) = waiting.pop() else { return d.checked(Set::NONE) };
        if Rc::strong_count(&state.others) == 1 {
            kept -= state.others.len();
        }
        open.extend(search.go(d, state, var, values)?);
    }
}

struct Search {
    depths: FxHashMap<Set, usize>,
}

impl Search {
    fn begin(&mut self, d: &mut Diagrams, state: State) -> Result<Option<State>, TooLarge> {
        let mut others: Vec<Set> = state.others.iter().copied().filter(|set| *set != Set::NONE).collect();
        others.sort_unstable();
        others.dedup();
        if d.checked(state.inside)? == Set::NONE || others.contains(&Set::ALL) {
            return Ok(None);
        }
        Ok(Some(State { others: Rc::new(others), ..state }))
    }

    /// Follows a test to some values of a variable; `None` if the inside set has no flow there.
    fn go(&mut self, d: &mut Diagrams, state: State, var: Var, values: Values) -> Result<Option<State>, TooLarge> {
        let inside = d.restricted(state.inside, var, &values);
        if d.checked(inside)? == Set::NONE {
            return Ok(None);
        }
        let mut others = Vec::with_capacity(state.others.len());
        for other in state.others.iter() {
            match d.restricted(*other, var, &values) {
                Set::ALL => return d.checked(None),
                Set::NONE => {}
                rest => others.push(rest),
            }
        }
        let way = Some(Rc::new(Step { var, values, before: state.way }));
        self.begin(d, State { inside, others: Rc::new(others), way })
    }

    fn smallest(&mut self, d: &Diagrams, others: &[Set]) -> Option<Set> {
        others.iter().copied().min_by_key(|set| (self.depth(d, *set), *set))
    }

    fn depth(&mut self, d: &Diagrams, set: Set) -> usize {
        *self.depths.entry(set).or_insert_with(|| d.depth(set))
    }
}

fn found(d: &mut Diagrams, inside: Set, mut way: Option<&Step>) -> Result<Set, TooLarge> {
    let mut set = inside;
    while let Some(step) = way {
        let here = d.of_values(step.var, &step.values);
        set = d.and(set, here);
        way = step.before.as_deref();
    }
    d.checked(set)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::diagram::Scale;
    use super::*;

    proptest! {
        /// The search finds a flow exactly if the difference of the sets is not empty, and the flow is in the
        /// difference.
        #[test]
        fn what_is_found_is_outside(cubes in prop::collection::vec(prop::collection::vec((0..5u32, 0..4u32, any::<bool>()), 1..4), 1..14)) {
            let scales = vec![Scale::Names, Scale::Numbers, Scale::Names, Scale::Numbers, Scale::Names];
            let mut d = Diagrams::new(scales.clone(), u64::MAX);
            let mut sets = Vec::new();
            for cube in &cubes {
                let mut set = Set::ALL;
                for (var, value, not) in cube {
                    let one = match scales[*var as usize] {
                        Scale::Names => d.of_values(Var(*var), &Values::One(*value)),
                        Scale::Numbers => d.of_values(Var(*var), &Values::Between(*value, value + 1)),
                    };
                    let one = if *not { d.complement(one) } else { one };
                    set = d.and(set, one);
                }
                sets.push(set);
            }
            let (inside, others) = (sets[0], &sets[1..]);
            let union = d.union(others.to_vec());
            let left = d.minus(inside, union);
            let found = outside(&mut d, inside, others).unwrap();
            prop_assert_eq!(found == Set::NONE, left == Set::NONE);
            prop_assert_eq!(d.minus(found, left), Set::NONE);
        }
    }
}
