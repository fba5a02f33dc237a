//! Look-ups: the definition of each name in use, by the span of the name.
//!
//! In `let db = data/{app=db}` and `allow shop/* -> db`, the `db` of the second line was looked up, and its definition
//! is the first line: `(span of db, the let)`. An editor uses this list to go from a name to its definition, and back
//! to all its uses.

use rustc_hash::FxHashMap;

use super::Def;
use crate::source::Span;

/// The names in the user's files that were looked up and have a definition.
#[derive(Clone, Debug, Default)]
pub struct Lookups(FxHashMap<Span, Def>);

impl Lookups {
    /// Records the definition of the name at a span. A template's body is looked up at each `apply`, with the same
    /// definitions each time.
    pub fn record(&mut self, place: Span, def: Def) {
        self.0.insert(place, def);
    }

    /// Returns the definition of the name at a span.
    pub fn get(&self, place: Span) -> Option<Def> {
        self.0.get(&place).copied()
    }

    /// Returns the span of every name with its definition, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Span, Def)> {
        self.0.iter().map(|(place, def)| (*place, *def))
    }
}
