//! Decision diagrams over variables with many values: one set of flows is one diagram, and equal sets are the same one.
//!
//! ```text
//! tcp 80 or tcp 443:   protocol ─tcp→ port ─80, 443→ in
//!                               └else→ out   └else→ out
//! ```
//!
//! Diagrams are ordered (a child tests a later variable) and hash-consed (no two nodes are equal, and no node has only
//! one child for all values), so that two sets are equal exactly if their handles are.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::{SmallVec, smallvec};

mod projected;
mod restricted;

pub use restricted::Values;

/// A variable, by its position in the order of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub u32);

/// A set, as a handle into its [`Diagrams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Set(u32);

impl Set {
    /// The empty set.
    pub const NONE: Set = Set(0);
    /// The set of everything.
    pub const ALL: Set = Set(1);

    fn is_leaf(self) -> bool {
        self.0 < 2
    }
}

/// How the values of a variable are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Values one by one, such as the values of a label; every value that no edge names is alike.
    Names,
    /// Ranges of numbers, such as ports.
    Numbers,
}

/// The error for a set that needs more work than its budget allows. There is no partial answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// A node: the variable that it tests, and where its edges are.
#[derive(Clone, Copy)]
struct Node {
    var: Var,
    /// The child for values that no edge names. A node over numbers does not use it.
    default: Set,
    first: u32,
    count: u32,
    /// The next node with the same hash.
    next: u32,
}

/// An edge: a value and its child. In a node over numbers the value is the first of a range, which ends where the next
/// edge begins.
type Edge = (u32, Set);

/// The edges of a node while it is made: most have few, and millions of nodes are made.
type Edges = SmallVec<[Edge; 8]>;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    And,
    Or,
    Minus,
}

/// The diagrams of one space, with the work that they may take.
pub struct Diagrams {
    scales: Vec<Scale>,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    by_hash: FxHashMap<u64, u32>,
    memo: Vec<Option<(Operation, Set, Set, Set)>>,
    steps: u64,
    budget: u64,
}

/// The most variables of a space. Operations go down from one to the next, and a stack is not deeper than that.
const MOST_VARIABLES: usize = 2048;
const NO_NODE: u32 = u32::MAX;
/// Most collections are of a few rules, and there may be tens of thousands of them one after the other.
const SMALLEST: usize = 1 << 6;
const LARGEST_MEMO: usize = 1 << 20;

impl Diagrams {
    /// Makes room for sets over variables with these scales. `budget` limits the steps of all operations together; a
    /// step makes at most one node. With more than too many variables the budget counts as used up at once.
    pub fn new(scales: Vec<Scale>, budget: u64) -> Diagrams {
        let (steps, budget) = if scales.len() > MOST_VARIABLES { (1, 0) } else { (0, budget) };
        let leaf = Node { var: Var(u32::MAX), default: Set::NONE, first: 0, count: 0, next: NO_NODE };
        Diagrams {
            scales,
            nodes: vec![leaf; 2],
            edges: Vec::new(),
            by_hash: FxHashMap::with_capacity_and_hasher(SMALLEST, Default::default()),
            memo: vec![None; SMALLEST],
            steps,
            budget,
        }
    }

    /// Returns a result, unless the budget is used up: then no result of these diagrams means anything.
    pub fn checked<T>(&self, result: T) -> Result<T, TooLarge> {
        if self.steps > self.budget { Err(TooLarge) } else { Ok(result) }
    }

    /// Returns the number of nodes and edges.
    pub fn size(&self) -> usize {
        self.nodes.len() + self.edges.len()
    }

    /// Returns the flows that are in both sets.
    pub fn and(&mut self, a: Set, b: Set) -> Set {
        self.apply(Operation::And, a, b)
    }

    /// Returns the flows that are in one set or the other.
    pub fn or(&mut self, a: Set, b: Set) -> Set {
        self.apply(Operation::Or, a, b)
    }

    /// Returns the flows that are in the first set and not in the second.
    pub fn minus(&mut self, a: Set, b: Set) -> Set {
        self.apply(Operation::Minus, a, b)
    }

    /// Returns the flows that are not in a set.
    pub fn complement(&mut self, a: Set) -> Set {
        self.minus(Set::ALL, a)
    }

    /// Returns the union of many sets, merged pairwise: neighbours in the list are often similar.
    pub fn union(&mut self, mut sets: Vec<Set>) -> Set {
        sets.sort_unstable();
        sets.dedup();
        while sets.len() > 1 {
            sets = sets.chunks(2).map(|pair| if let [a, b] = pair { self.or(*a, *b) } else { pair[0] }).collect();
        }
        sets.pop().unwrap_or(Set::NONE)
    }

    /// Returns the union of many sets, and the flows that are in at least two of them.
    pub fn union_and_twice(&mut self, sets: Vec<Set>) -> (Set, Set) {
        let mut counted: Vec<(Set, Set)> = sets.into_iter().map(|set| (set, Set::NONE)).collect();
        while counted.len() > 1 {
            let pairs = counted.chunks(2).map(|pair| match pair {
                [(a, a_twice), (b, b_twice)] => {
                    let both = self.and(*a, *b);
                    let twice = self.or(*a_twice, *b_twice);
                    (self.or(*a, *b), self.or(twice, both))
                }
                one => one[0],
            });
            counted = pairs.collect();
        }
        counted.pop().unwrap_or((Set::NONE, Set::NONE))
    }

    /// Returns the flows whose variable has one of some values (sorted, without repetition) and that are in the child
    /// of the value; `default` is the child of every other value. The variable is over names, and no child tests it or
    /// an earlier one.
    pub fn names(&mut self, var: Var, default: Set, children: impl IntoIterator<Item = Edge>) -> Set {
        let edges: Edges = children.into_iter().filter(|(_, child)| *child != default).collect();
        self.node(var, default, &edges)
    }

    /// Returns the flows whose variable is in one of some ranges (both ends included, sorted, apart) and that are in
    /// `inside`. The variable is over numbers, and `inside` tests later ones alone.
    pub fn numbers(&mut self, var: Var, ranges: impl IntoIterator<Item = (u32, u32)>, inside: Set) -> Set {
        let mut edges: Edges = smallvec![(0, Set::NONE)];
        for (first, last) in ranges {
            push_start(&mut edges, (first, inside));
            if let Some(after) = last.checked_add(1) {
                push_start(&mut edges, (after, Set::NONE));
            }
        }
        self.node(var, Set::NONE, &edges)
    }

    /// Returns the variable that a set tests first; `None` if it tests none.
    pub fn first_test(&self, set: Set) -> Option<Var> {
        (!set.is_leaf()).then(|| self.nodes[set.0 as usize].var)
    }

    /// Returns the children of a set by the values of a variable over names, and the child for all other values. The
    /// set tests no earlier variable.
    pub fn children(&self, set: Set, var: Var) -> (&[Edge], Set) {
        match self.first_test(set) {
            Some(first) if first == var => (self.edges_of(set), self.nodes[set.0 as usize].default),
            _ => (&[], set),
        }
    }

    /// Returns the part of a set where a variable has a value. The set tests no earlier variable.
    pub fn at(&self, set: Set, var: Var, value: u32) -> Set {
        if self.first_test(set) != Some(var) {
            return set;
        }
        self.child(set, value)
    }

    /// Returns the number of steps that were taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns whether a flow is in a set, by the value of each variable.
    pub fn contains(&self, mut set: Set, value: impl Fn(Var) -> u32) -> bool {
        while let Some(var) = self.first_test(set) {
            set = self.child(set, value(var));
        }
        set == Set::ALL
    }

    /// Returns the cheapest path to a flow of a set, as values of the variables that it tests; `None` for the empty
    /// set. For the values that lead to one child, `pick` gives the value to show and its cost: for a variable over
    /// names these are [`Choice::Named`] or [`Choice::Other`], for one over numbers [`Choice::Between`].
    pub fn cheapest(
        &self,
        set: Set,
        pick: &mut impl FnMut(Var, Choice<'_>) -> Option<(u32, u64)>,
    ) -> Option<Vec<(Var, u32)>> {
        let mut best: FxHashMap<Set, Option<(u64, u32, Set)>> = FxHashMap::default();
        self.cost(set, pick, &mut best)?;
        let mut way = Vec::new();
        let mut at = set;
        while let Some(var) = self.first_test(at) {
            let (_, value, child) = (*best.get(&at)?)?;
            way.push((var, value));
            at = child;
        }
        Some(way)
    }

    fn cost(
        &self,
        set: Set,
        pick: &mut impl FnMut(Var, Choice<'_>) -> Option<(u32, u64)>,
        best: &mut FxHashMap<Set, Option<(u64, u32, Set)>>,
    ) -> Option<u64> {
        match set {
            Set::NONE => return None,
            Set::ALL => return Some(0),
            _ => {}
        }
        if let Some(known) = best.get(&set) {
            return known.map(|(cost, ..)| cost);
        }
        let node = self.nodes[set.0 as usize];
        let edges = self.edges_of(set);
        let mut cheapest: Option<(u64, u32, Set)> = None;
        let mut consider = |value: Option<(u32, u64)>, rest: Option<u64>, child: Set| {
            if let (Some((value, cost)), Some(rest)) = (value, rest) {
                let whole = (cost + rest, value, child);
                cheapest = Some(cheapest.map_or(whole, |best| best.min(whole)));
            }
        };
        for (at, (value, child)) in edges.iter().enumerate() {
            let rest = self.cost(*child, pick, best);
            if rest.is_none() {
                continue;
            }
            let choice = match self.scales[node.var.0 as usize] {
                Scale::Names => Choice::Named(*value),
                Scale::Numbers => Choice::Between(*value, edges.get(at + 1).map_or(u32::MAX, |next| next.0 - 1)),
            };
            consider(pick(node.var, choice), rest, *child);
        }
        if self.scales[node.var.0 as usize] == Scale::Names {
            let rest = self.cost(node.default, pick, best);
            if rest.is_some() {
                let named: Vec<u32> = edges.iter().map(|edge| edge.0).collect();
                consider(pick(node.var, Choice::Other(&named)), rest, node.default);
            }
        }
        best.insert(set, cheapest);
        cheapest.map(|(cost, ..)| cost)
    }

    fn edges_of(&self, set: Set) -> &[Edge] {
        let node = self.nodes[set.0 as usize];
        &self.edges[node.first as usize..(node.first + node.count) as usize]
    }

    fn child(&self, set: Set, value: u32) -> Set {
        let node = self.nodes[set.0 as usize];
        let edges = self.edges_of(set);
        match self.scales[node.var.0 as usize] {
            Scale::Names => edges.binary_search_by_key(&value, |edge| edge.0).map_or(node.default, |at| edges[at].1),
            Scale::Numbers => edges[edges.partition_point(|edge| edge.0 <= value) - 1].1,
        }
    }

    fn node(&mut self, var: Var, default: Set, edges: &[Edge]) -> Set {
        match (self.scales[var.0 as usize], edges) {
            (Scale::Names, []) => return default,
            (Scale::Numbers, [(_, only)]) => return *only,
            _ => {}
        }
        let mut hasher = FxHasher::default();
        (var, default, edges).hash(&mut hasher);
        let hash = hasher.finish();
        let first_like = self.by_hash.get(&hash).copied().unwrap_or(NO_NODE);
        let mut like = first_like;
        while like != NO_NODE {
            let node = self.nodes[like as usize];
            if node.var == var && node.default == default && self.edges_of(Set(like)) == edges {
                return Set(like);
            }
            like = node.next;
        }
        let (first, count) = (self.edges.len() as u32, edges.len() as u32);
        self.edges.extend_from_slice(edges);
        let made = self.nodes.len() as u32;
        self.nodes.push(Node { var, default, first, count, next: first_like });
        self.by_hash.insert(hash, made);
        Set(made)
    }

    fn apply(&mut self, operation: Operation, a: Set, b: Set) -> Set {
        use Operation::{And, Minus, Or};
        match (operation, a, b) {
            (And, Set::NONE, _) | (And, _, Set::NONE) => return Set::NONE,
            (And, Set::ALL, other) | (And, other, Set::ALL) => return other,
            (Or, Set::ALL, _) | (Or, _, Set::ALL) => return Set::ALL,
            (Or, Set::NONE, other) | (Or, other, Set::NONE) | (Minus, other, Set::NONE) => return other,
            (Minus, Set::NONE, _) | (Minus, _, Set::ALL) => return Set::NONE,
            (And | Or, ..) if a == b => return a,
            (Minus, ..) if a == b => return Set::NONE,
            _ => {}
        }
        let (a, b) = if operation != Minus && b < a { (b, a) } else { (a, b) };
        let slot = self.slot(operation, a, b);
        if let Some((of, left, right, result)) = self.memo[slot]
            && (of, left, right) == (operation, a, b)
        {
            return result;
        }
        self.steps += 1;
        if self.steps > self.budget {
            return Set::NONE;
        }
        let var = self.nodes[a.0 as usize].var.min(self.nodes[b.0 as usize].var);
        let result = match self.scales[var.0 as usize] {
            Scale::Names => self.apply_names(operation, var, a, b),
            Scale::Numbers => self.apply_numbers(operation, var, a, b),
        };
        if self.nodes.len() > self.memo.len() && self.memo.len() < LARGEST_MEMO {
            self.memo = vec![None; self.memo.len() * 4];
        }
        let slot = self.slot(operation, a, b);
        self.memo[slot] = Some((operation, a, b, result));
        result
    }

    fn slot(&self, operation: Operation, a: Set, b: Set) -> usize {
        let mut hasher = FxHasher::default();
        (operation, a, b).hash(&mut hasher);
        hasher.finish() as usize & (self.memo.len() - 1)
    }

    /// Returns the edges of a set on a variable, as indices into the list of all edges, and its default. A set that
    /// tests a later variable has no edges here, and is its own default.
    fn range(&self, set: Set, var: Var) -> (usize, usize, Set) {
        let node = self.nodes[set.0 as usize];
        match node.var == var {
            true => (node.first as usize, (node.first + node.count) as usize, node.default),
            false => (0, 0, set),
        }
    }

    fn apply_names(&mut self, operation: Operation, var: Var, a: Set, b: Set) -> Set {
        let (mut i, i_end, rest_a) = self.range(a, var);
        let (mut j, j_end, rest_b) = self.range(b, var);
        let default = self.apply(operation, rest_a, rest_b);
        // If the default of one side decides alone, the values that only the other side names can be skipped.
        let (skip_a, skip_b) = match operation {
            Operation::And => (rest_b == Set::NONE, rest_a == Set::NONE),
            Operation::Or => (rest_b == Set::ALL, rest_a == Set::ALL),
            Operation::Minus => (rest_b == Set::ALL, rest_a == Set::NONE),
        };
        let mut edges = Edges::new();
        while i < i_end || j < j_end {
            let left = if i < i_end { Some(self.edges[i]) } else { None };
            let right = if j < j_end { Some(self.edges[j]) } else { None };
            let (value, child) = match (left, right) {
                (Some((x, of_a)), Some((y, of_b))) if x == y => {
                    (i, j) = (i + 1, j + 1);
                    (x, self.apply(operation, of_a, of_b))
                }
                (Some((x, of_a)), right) if right.is_none_or(|(y, _)| x < y) => {
                    if skip_a {
                        // Binary search for the next value that both sides name.
                        i = right.map_or(i_end, |(y, _)| i + self.edges[i..i_end].partition_point(|edge| edge.0 < y));
                        continue;
                    }
                    i += 1;
                    (x, self.apply(operation, of_a, rest_b))
                }
                (left, Some((y, of_b))) => {
                    if skip_b {
                        j = left.map_or(j_end, |(x, _)| j + self.edges[j..j_end].partition_point(|edge| edge.0 < x));
                        continue;
                    }
                    j += 1;
                    (y, self.apply(operation, rest_a, of_b))
                }
                (_, None) => break,
            };
            if child != default {
                edges.push((value, child));
            }
        }
        self.node(var, default, &edges)
    }

    fn apply_numbers(&mut self, operation: Operation, var: Var, a: Set, b: Set) -> Set {
        let (mut i, i_end, mut of_a) = self.range(a, var);
        let (mut j, j_end, mut of_b) = self.range(b, var);
        let mut edges = Edges::new();
        while i < i_end || j < j_end {
            let next_a = if i < i_end { self.edges[i].0 } else { u32::MAX };
            let next_b = if j < j_end { self.edges[j].0 } else { u32::MAX };
            let start = if i == i_end {
                next_b
            } else if j == j_end {
                next_a
            } else {
                next_a.min(next_b)
            };
            if i < i_end && next_a == start {
                of_a = self.edges[i].1;
                i += 1;
            }
            if j < j_end && next_b == start {
                of_b = self.edges[j].1;
                j += 1;
            }
            let child = self.apply(operation, of_a, of_b);
            push_start(&mut edges, (start, child));
            // If one side decides alone, the ranges of the other side can be skipped until it ends.
            let (by_a, by_b) = match operation {
                Operation::And => (of_a == Set::NONE, of_b == Set::NONE),
                Operation::Or => (of_a == Set::ALL, of_b == Set::ALL),
                Operation::Minus => (of_a == Set::NONE, of_b == Set::ALL),
            };
            if by_a {
                let before = |edge: &Edge| i >= i_end || edge.0 < self.edges[i].0;
                let passed = self.edges[j..j_end].partition_point(before);
                if passed > 0 {
                    j += passed;
                    of_b = self.edges[j - 1].1;
                }
            } else if by_b {
                let before = |edge: &Edge| j >= j_end || edge.0 < self.edges[j].0;
                let passed = self.edges[i..i_end].partition_point(before);
                if passed > 0 {
                    i += passed;
                    of_a = self.edges[i - 1].1;
                }
            }
        }
        self.node(var, Set::NONE, &edges)
    }
}

/// The values that lead from a node to one child.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    /// This value.
    Named(u32),
    /// Any value but these, which are sorted.
    Other(&'a [u32]),
    /// The numbers from the first to the last.
    Between(u32, u32),
}

/// Adds the start of a range, unless its child is the one of the range before.
fn push_start(edges: &mut Edges, edge: Edge) {
    if edges.last().is_some_and(|last| last.0 == edge.0) {
        edges.pop();
    }
    if edges.last().is_none_or(|last| last.1 != edge.1) {
        edges.push(edge);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCALES: [Scale; 4] = [Scale::Names, Scale::Numbers, Scale::Names, Scale::Numbers];

    /// A set as the list of its cubes: for each variable the values that it may have.
    type Cubes = Vec<[Vec<u32>; 4]>;

    fn build(diagrams: &mut Diagrams, cubes: &Cubes) -> Set {
        let sets = cubes.iter().map(|cube| {
            let mut set = Set::ALL;
            for (at, values) in cube.iter().enumerate().rev() {
                let var = Var(at as u32);
                set = match (SCALES[at], values.as_slice()) {
                    (_, []) => set,
                    (Scale::Names, values) => diagrams.names(var, Set::NONE, values.iter().map(|value| (*value, set))),
                    (Scale::Numbers, values) => diagrams.numbers(var, [(values[0], values[0] + 2)], set),
                };
            }
            set
        });
        let sets: Vec<Set> = sets.collect();
        diagrams.union(sets)
    }

    fn is_in(cubes: &Cubes, point: [u32; 4]) -> bool {
        cubes.iter().any(|cube| {
            cube.iter().zip(point).zip(SCALES).all(|((values, value), scale)| match (scale, values.as_slice()) {
                (_, []) => true,
                (Scale::Names, values) => values.contains(&value),
                (Scale::Numbers, values) => (values[0]..=values[0] + 2).contains(&value),
            })
        })
    }

    fn points() -> impl Iterator<Item = [u32; 4]> {
        (0..5 * 7 * 5 * 7u32).map(|n| [n % 5, n / 5 % 7, n / 35 % 5, n / 175])
    }

    fn cubes() -> impl Strategy<Value = Cubes> {
        let values = || prop::collection::btree_set(0..4u32, 0..3).prop_map(|set| set.into_iter().collect::<Vec<_>>());
        prop::collection::vec([values(), values(), values(), values()], 0..5)
    }

    proptest! {
        #[test]
        fn operations_are_those_of_sets(one in cubes(), other in cubes(), third in cubes()) {
            let mut d = Diagrams::new(SCALES.to_vec(), u64::MAX);
            let (a, b, c) = (build(&mut d, &one), build(&mut d, &other), build(&mut d, &third));
            let (and, or, minus, not) = (d.and(a, b), d.or(a, b), d.minus(a, b), d.complement(a));
            for point in points() {
                let value = |var: Var| point[var.0 as usize];
                let (x, y) = (is_in(&one, point), is_in(&other, point));
                prop_assert_eq!(d.contains(a, value), x);
                prop_assert_eq!(d.contains(and, value), x && y);
                prop_assert_eq!(d.contains(or, value), x || y);
                prop_assert_eq!(d.contains(minus, value), x && !y);
                prop_assert_eq!(d.contains(not, value), !x);
            }
            // Equal sets have one handle, whichever operations made them.
            let (ab, bc, ac) = (d.or(a, b), d.or(b, c), d.and(a, c));
            let (left, right) = (d.or(ab, c), d.or(a, bc));
            prop_assert_eq!(left, right);
            let (bound, both) = (d.and(a, bc), d.and(a, b));
            let spread = d.or(both, ac);
            prop_assert_eq!(bound, spread);
            let twice = d.complement(not);
            prop_assert_eq!(twice, a);
            let outside = d.complement(b);
            let without = d.and(a, outside);
            prop_assert_eq!(without, minus);
            let absorbed = d.or(a, and);
            prop_assert_eq!(absorbed, a);
        }

        #[test]
        fn the_cheapest_way_leads_into_the_set(one in cubes(), other in cubes()) {
            let mut d = Diagrams::new(SCALES.to_vec(), u64::MAX);
            let (a, b) = (build(&mut d, &one), build(&mut d, &other));
            let set = d.minus(a, b);
            let way = d.cheapest(set, &mut |_, choice| Some(match choice {
                Choice::Named(value) => (value, 1),
                Choice::Other(named) => ((0..).find(|value| !named.contains(value)).unwrap(), 2),
                Choice::Between(first, _) => (first, u64::from(first)),
            }));
            prop_assert_eq!(way.is_none(), set == Set::NONE);
            if let Some(way) = way {
                let value = |var: Var| way.iter().find(|step| step.0 == var).map_or(0, |step| step.1);
                prop_assert!(d.contains(set, value));
            }
        }
    }

    #[test]
    fn too_many_variables_are_no_answer_and_no_deep_stack() {
        let mut d = Diagrams::new(vec![Scale::Names; 100_000], u64::MAX);
        let chain = |d: &mut Diagrams, value| {
            (0..100_000).rev().fold(Set::ALL, |rest, at| d.names(Var(at), Set::NONE, [(value, rest)]))
        };
        let (a, b) = (chain(&mut d, 1), chain(&mut d, 2));
        let both = d.or(a, b);
        assert_eq!(d.checked(both), Err(TooLarge));
    }

    #[test]
    fn a_set_beyond_its_budget_is_no_answer() {
        let mut d = Diagrams::new(vec![Scale::Names; 40], 1000);
        let pair = |d: &mut Diagrams, n: u32| {
            let late = d.names(Var(n + 20), Set::NONE, [(1, Set::ALL)]);
            d.names(Var(n), Set::NONE, [(1, late)])
        };
        let sets: Vec<Set> = (0..20).map(|n| pair(&mut d, n)).collect();
        let union = d.union(sets);
        assert_eq!(d.checked(union), Err(TooLarge));
    }
}
