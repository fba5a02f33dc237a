//! Sets without some of their variables.
//!
//! ```text
//! a token of the issuer, and tcp 8080     without the token: tcp 8080
//! ```

use rustc_hash::FxHashMap;

use super::{Diagrams, Edges, Scale, Set, Var, push_start};

impl Diagrams {
    /// Returns the flows that are in a set for some values of some variables, whatever values they have themselves.
    pub fn for_some(&mut self, vars: &[Var], set: Set) -> Set {
        self.for_some_of(vars, set, &mut FxHashMap::default())
    }

    fn for_some_of(&mut self, vars: &[Var], set: Set, known: &mut FxHashMap<Set, Set>) -> Set {
        let Some(var) = self.first_test(set) else { return set };
        if let Some(result) = known.get(&set) {
            return *result;
        }
        self.steps += 1;
        if self.steps > self.budget {
            return Set::NONE;
        }
        let default = self.nodes[set.0 as usize].default;
        let default = self.for_some_of(vars, default, known);
        let mut edges = self.edges_of(set).to_vec();
        for (_, child) in &mut edges {
            *child = self.for_some_of(vars, *child, known);
        }
        let result = match (vars.contains(&var), self.scales[var.0 as usize]) {
            (true, _) => self.union(edges.into_iter().map(|(_, child)| child).chain([default]).collect()),
            (false, Scale::Names) => self.names(var, default, edges),
            (false, Scale::Numbers) => {
                let mut starts = Edges::new();
                edges.into_iter().for_each(|edge| push_start(&mut starts, edge));
                self.node(var, Set::NONE, &starts)
            }
        };
        known.insert(set, result);
        result
    }
}
