//! Sets of numbers that belong together, joined step by step.

use smallvec::SmallVec;

/// A partition of the numbers below some bound, which only ever grows coarser.
#[derive(Default)]
pub(super) struct Components {
    parent: Vec<usize>,
    /// How many sets there are.
    count: usize,
}

impl Components {
    /// Begins with each number by itself.
    pub(super) fn new(count: usize) -> Components {
        Components { parent: (0..count).collect(), count }
    }

    /// Adds a number by itself, the next one, and returns it.
    pub(super) fn add(&mut self) -> usize {
        self.parent.push(self.parent.len());
        self.count += 1;
        self.parent.len() - 1
    }

    /// Returns the first number of a number's set.
    pub(super) fn find(&mut self, at: usize) -> usize {
        let mut at = at;
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    /// Makes the sets of two numbers one.
    pub(super) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        let (low, high) = (a.min(b), a.max(b));
        self.parent[high] = low;
        self.count -= usize::from(low != high);
    }

    /// Returns whether all numbers belong together, so that joining more of them changes nothing.
    pub(super) fn is_one(&self) -> bool {
        self.count < 2
    }

    /// Returns the sets, each sorted, in the order of their first members.
    pub(super) fn lists(mut self) -> impl Iterator<Item = SmallVec<[usize; 1]>> {
        let mut lists: Vec<SmallVec<[usize; 1]>> = vec![SmallVec::new(); self.parent.len()];
        for at in 0..self.parent.len() {
            lists[self.find(at)].push(at);
        }
        lists.into_iter().filter(|list| !list.is_empty())
    }
}
