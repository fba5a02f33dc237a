//! Look-ups: the definition that each name of a build stands for, with the place of the name.
//!
//! In `let db = data/{app=db}` and `allow shop/* -> db`, the `db` of the second line was looked up and stands for the
//! first: `(place of db, the let)`. An editor goes from a name to its definition, and back to all its uses, by this
//! list.

use rustc_hash::FxHashMap;

use super::Def;
use crate::source::Span;

/// The names that were looked up in the user's files and stand for something.
#[derive(Clone, Debug, Default)]
pub struct Lookups(FxHashMap<Span, Def>);

impl Lookups {
    /// Records that the name at a place stands for a statement. A template's body is looked up at each `apply`, and its
    /// names stand for the same each time.
    pub fn record(&mut self, place: Span, def: Def) {
        self.0.insert(place, def);
    }

    /// Returns what the name at a place stands for.
    pub fn get(&self, place: Span) -> Option<Def> {
        self.0.get(&place).copied()
    }

    /// Returns the place of every name with what it stands for, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Span, Def)> {
        self.0.iter().map(|(place, def)| (*place, *def))
    }
}
