//! Restricted sets: a set where one variable has given values, for a search that goes from test to test.
//!
//! ```text
//! a=1, b=2  where a is 1:   b=2           where a is not 1:   nothing
//! ```

use rustc_hash::FxHashSet;

use super::{Diagrams, Edge, Edges, Scale, Set, Var, push_start};

/// Some values of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Values {
    /// This one.
    One(u32),
    /// Any but these names, which are sorted.
    NoneOf(Vec<u32>),
    /// The numbers from the first to the last.
    Between(u32, u32),
}

impl Diagrams {
    /// Returns the part of a set where a variable has some values. The result no longer tests between these values.
    pub fn restricted(&mut self, set: Set, var: Var, to: &Values) -> Set {
        let Some(first) = self.first_test(set).filter(|first| *first <= var) else { return set };
        self.steps += 1;
        if self.steps > self.budget {
            return Set::NONE;
        }
        let node = self.nodes[set.0 as usize];
        let mut edges = self.edges_of(set).to_vec();
        if first == var {
            return match to {
                Values::One(value) => self.child(set, *value),
                Values::NoneOf(values) => {
                    edges.retain(|edge| values.binary_search(&edge.0).is_err());
                    self.node(var, node.default, &edges)
                }
                Values::Between(from, last) => {
                    let at_first = self.child(set, *from);
                    edges.retain(|edge| edge.0 > *from && edge.0 <= *last);
                    edges.insert(0, (0, at_first));
                    self.node(var, Set::NONE, &edges)
                }
            };
        }
        let default = self.restricted(node.default, var, to);
        let mut rest = Edges::with_capacity(edges.len());
        for (value, child) in edges {
            let edge = (value, self.restricted(child, var, to));
            match self.scales[first.0 as usize] {
                Scale::Names if edge.1 != default => rest.push(edge),
                Scale::Names => {}
                Scale::Numbers => push_start(&mut rest, edge),
            }
        }
        self.node(first, default, &rest)
    }

    /// Returns the flows whose variable has some values.
    pub fn of_values(&mut self, var: Var, values: &Values) -> Set {
        match values {
            Values::One(value) if self.scales[var.0 as usize] == Scale::Names => {
                self.names(var, Set::NONE, [(*value, Set::ALL)])
            }
            Values::One(value) => self.numbers(var, [(*value, *value)], Set::ALL),
            Values::NoneOf(values) => {
                let edges: Vec<Edge> = values.iter().map(|value| (*value, Set::NONE)).collect();
                self.names(var, Set::ALL, edges)
            }
            Values::Between(first, last) => self.numbers(var, [(*first, *last)], Set::ALL),
        }
    }

    /// Returns the ways on from the first test of a set: the values of the variable, and the rest of the set for them.
    pub fn branches(&self, set: Set) -> Vec<(Values, Set)> {
        let Some(var) = self.first_test(set) else { return Vec::new() };
        let edges = self.edges_of(set);
        match self.scales[var.0 as usize] {
            Scale::Numbers => {
                let last = |at: usize| edges.get(at + 1).map_or(u32::MAX, |next| next.0 - 1);
                let between = |(at, edge): (usize, &Edge)| (Values::Between(edge.0, last(at)), edge.1);
                edges.iter().enumerate().map(between).collect()
            }
            Scale::Names => {
                let named = edges.iter().map(|edge| (Values::One(edge.0), edge.1));
                let values = edges.iter().map(|edge| edge.0).collect();
                let default = self.nodes[set.0 as usize].default;
                named.chain([(Values::NoneOf(values), default)]).collect()
            }
        }
    }

    /// Returns the most tests on a path from the root of a set to its end.
    pub fn depth(&self, set: Set) -> usize {
        if set.is_leaf() {
            return 0;
        }
        let default = self.nodes[set.0 as usize].default;
        let children = self.edges_of(set).iter().map(|edge| edge.1).chain([default]);
        1 + children.map(|child| self.depth(child)).max().unwrap_or(0)
    }

    /// Returns the number of nodes of a set.
    pub fn size_of(&self, set: Set) -> usize {
        let (mut seen, mut open) = (FxHashSet::default(), vec![set]);
        while let Some(set) = open.pop() {
            if !set.is_leaf() && seen.insert(set) {
                open.extend(self.edges_of(set).iter().map(|edge| edge.1));
                open.push(self.nodes[set.0 as usize].default);
            }
        }
        seen.len()
    }
}
